"""Which images an exported network takes: any."""

from collections.abc import Mapping
from typing import Any

from hrnet_jax.export.program import STRIDE, Sizes


def sizes(transform: Mapping[str, Any]) -> Sizes:
  """The images that an exported network takes; `transform` is `config.transform.eval`."""
  del transform
  return Sizes(
    height="h",
    width="w",
    padded=True,
    usual=(64, 96),
    text=f"any size; padded inside with black at the bottom and right to multiples of {STRIDE}",
  )
