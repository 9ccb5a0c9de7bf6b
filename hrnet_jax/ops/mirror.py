"""Left and right change places: `heat maps (B, h, w, L) -> (B, h, w, L)`."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hrnet_jax.errors import UserError

Pairs = tuple[tuple[int, int], ...]


def checked_pairs(value: Any, key: str, kind: str) -> Pairs:
  """Pairs that change places in a mirrored image, as tuples.

  Args:
    value: of the config, perhaps in lists.
    key: of the config.
    kind: what the numbers stand for, in the singular.

  Raises:
    ValueError: not pairs of whole numbers from 0, or a number that is there twice.
  """
  try:
    pairs = tuple((int(a), int(b)) for a, b in value)
  except (TypeError, ValueError):
    many = kind + ("es" if kind.endswith("s") else "s")
    raise UserError(f"{key} is {value!r}, expected pairs of {many}") from None
  numbers = [n for pair in pairs for n in pair]
  if len(set(numbers)) != len(numbers):
    raise UserError(f"{key} {pairs} names a {kind} twice; each {kind} may be in one pair")
  if min(numbers, default=0) < 0:
    raise UserError(f"{key} {pairs} has a number below 0; a {kind} counts from 0")
  return pairs


def partners(pairs: Sequence[tuple[int, int]], num_points: int) -> np.ndarray:
  """For every point its partner in the mirrored image, `(num_points,)`; itself without a pair.

  Raises:
    ValueError: a pair names a point that there is not.
  """
  order = np.arange(num_points)
  for a, b in pairs:
    if max(a, b) >= num_points:
      raise UserError(
        f"the pair {a}, {b} names a point beyond the last of {num_points}, which is"
        f" {num_points - 1}; flip pairs count from 0"
      )
    order[a], order[b] = b, a
  return order


def flip_back(heatmaps: jax.Array, pairs: Sequence[tuple[int, int]]) -> jax.Array:
  """Heat maps of a mirrored crop as those of the crop itself, to be averaged with them.

  No shift is needed: mirrored, a position at x is at `w - 1 - x` where whole positions are the
  middles of cells.

  Args:
    heatmaps: `(B, h, w, L)`.
    pairs: indices of left points and their right partners.
  """
  return heatmaps[:, :, ::-1][..., partners(pairs, heatmaps.shape[-1])]
