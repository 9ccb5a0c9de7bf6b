"""Which images an exported network takes: multiples of the coarsest stride."""

from collections.abc import Mapping
from typing import Any

from hrnet_jax.export.program import STRIDE, Sizes


def sizes(transform: Mapping[str, Any]) -> Sizes:
  """The images that an exported network takes; `transform` is `config.transform.eval`."""
  usual = tuple(map(int, transform["crop_size"]))
  return Sizes(
    height=f"{STRIDE}*h",
    width=f"{STRIDE}*w",
    usual=usual,
    text=f"sides are multiples of {STRIDE}; the network was evaluated at {usual[0]}x{usual[1]}",
  )
