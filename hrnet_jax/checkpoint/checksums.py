"""Whether what was read is what was written: trees of arrays and plain data -> CRC-32 by item."""

from collections.abc import Mapping
import json
import pathlib
from typing import Any
import zlib

import jax
import numpy as np

from hrnet_jax.errors import UserError

Digests = dict[str, dict[str, int]]


class Damaged(UserError):
  """A checkpoint whose content is not what was written.

  Attributes:
    reason: without the checkpoint's name.
  """

  def __init__(self, reason: str, folder: pathlib.Path | None = None):
    """`folder` is the checkpoint, where it is known."""
    text = f"{folder} is damaged: {reason}; use another checkpoint" if folder else reason
    super().__init__(text)
    self.reason = reason


def digests(items: Mapping[str, Any]) -> Digests:
  """CRC-32 of every leaf, by item and path: of the bytes of an array, or of a value as JSON."""
  return {
    item: {jax.tree_util.keystr(path): digest(x) for path, x in _leaves(tree)}
    for item, tree in items.items()
  }


def check(items: Mapping[str, Any], written: Digests) -> None:
  """Compares with the digests that were written; items that have none are taken as they are.

  Raises:
    Damaged: names what differs.
  """
  found = digests({item: tree for item, tree in items.items() if item in written})
  for item, values in found.items():
    keys = sorted(values.keys() | written[item].keys())
    wrong = [key for key in keys if values.get(key) != written[item].get(key)]
    if wrong:
      more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
      raise Damaged(f"{item}{wrong[0]}{more}: the content is not what was written")


def digest(x: Any) -> int:
  """CRC-32 of an array with its shape and type, or of plain data as JSON."""
  if isinstance(x, np.ndarray | np.generic):
    x = np.asarray(x)
    head = f"{x.dtype}{x.shape}".encode()
    return zlib.crc32(np.ascontiguousarray(x).view(np.uint8).data, zlib.crc32(head))
  return zlib.crc32(json.dumps(x, sort_keys=True).encode())


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
  if any(isinstance(x, np.ndarray | np.generic) for x in jax.tree.leaves(tree)):
    return jax.tree_util.tree_leaves_with_path(tree)
  return [((), tree)]
