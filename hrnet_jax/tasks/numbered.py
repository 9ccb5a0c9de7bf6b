"""Made-up facts about a data set: as many classes as asked for, with numbers for names."""

from typing import Any

from hrnet_jax import visualize
from hrnet_jax.data.dataset import DatasetInfo

_MOST_COLOURS = 256


def numbered_classes(config: Any) -> DatasetInfo:
  """`config.model.num_classes` classes; their colours repeat after 256."""
  count = config.model.num_classes
  colours = visualize.distinct_palette(min(count, _MOST_COLOURS))
  return DatasetInfo(
    name=config.data.name,
    class_names=tuple(f"class {k}" for k in range(count)),
    palette=tuple(colours[k % _MOST_COLOURS] for k in range(count)),
  )
