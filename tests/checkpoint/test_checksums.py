"""Digests see every change, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.checkpoint import checksums

ITEMS = {
  "variables": {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": [np.int32(4)]},
  "loader": {"next_batch": 7},
}


def test_what_was_written_passes():
  written = checksums.digests(ITEMS)
  assert written.keys() == ITEMS.keys()
  assert written["variables"].keys() == {"['a']", "['b'][0]"}
  again = {"variables": {"a": ITEMS["variables"]["a"].copy(), "b": [np.array(4, np.int32)]}}
  checksums.check({**again, "loader": {"next_batch": 7}}, written)


def test_items_without_digests_pass():
  checksums.check(ITEMS, {})
  checksums.check({"loader": ITEMS["loader"]}, checksums.digests(ITEMS))


@given(st.integers(0, 6 * 32 - 1))
def test_every_bit_counts(bit):
  a = ITEMS["variables"]["a"].copy()
  a.view(np.uint8).reshape(-1)[bit // 8] ^= 1 << (bit % 8)
  with pytest.raises(checksums.Damaged, match=r"variables\['a'\]: the content is not what was"):
    checksums.check({"variables": {**ITEMS["variables"], "a": a}}, checksums.digests(ITEMS))


@pytest.mark.parametrize(
  "other",
  [
    {"variables": {"a": ITEMS["variables"]["a"].reshape(3, 2), "b": [np.int32(4)]}},
    {"variables": {"a": ITEMS["variables"]["a"].view(np.int32), "b": [np.int32(4)]}},
    {"variables": {"a": ITEMS["variables"]["a"]}},
    {"loader": {"next_batch": 8}},
  ],
)
def test_shape_type_and_presence_count(other):
  with pytest.raises(checksums.Damaged, match="the content is not what was written"):
    checksums.check(other, checksums.digests(ITEMS))
