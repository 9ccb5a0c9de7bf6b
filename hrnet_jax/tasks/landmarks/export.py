"""Which images an exported network takes: crops as in evaluation."""

from collections.abc import Mapping
from typing import Any

from hrnet_jax.export.program import Sizes


def sizes(transform: Mapping[str, Any]) -> Sizes:
  """The images that an exported network takes; `transform` is `config.transform.eval`."""
  side = int(transform["crop_size"])
  text = f"crops of {side}x{side}, cut out around an object as in evaluation"
  return Sizes(height=str(side), width=str(side), free=False, usual=(side, side), text=text)
