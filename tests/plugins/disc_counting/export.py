"""Exported networks take pictures of one size."""

from collections.abc import Mapping
from typing import Any

from disc_counting.discs import SIDE
from hrnet_jax.export.program import Sizes


def sizes(transform: Mapping[str, Any]) -> Sizes:
  text = f"{SIDE}x{SIDE} alone"
  return Sizes(height=str(SIDE), width=str(SIDE), free=False, usual=(SIDE, SIDE), text=text)
