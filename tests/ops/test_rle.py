"""Run lengths by hand, and as pycocotools has them."""

import json

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from pycocotools import mask as coco_mask
import pytest

from hrnet_jax.ops import rle


def test_runs_by_hand():
  mask = np.array([[0, 1, 1], [0, 0, 1]])
  counts = rle.encode(mask)
  assert rle.checked_runs(counts, (2, 3)).tolist() == [2, 1, 1, 2]  # down the columns
  assert counts == "2111"  # the fourth number is 2 - 1
  np.testing.assert_array_equal(rle.decode(counts, (2, 3)), mask)
  assert rle.area(counts, (2, 3)) == 3
  assert rle.from_runs([2, 1, 1, 2], (2, 3)) == counts
  assert rle.checked_runs(rle.encode(np.ones((2, 2))), (2, 2)).tolist() == [0, 4]


@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
def test_there_and_back(seed, height, width, grain):
  rng = np.random.default_rng(seed)
  coarse = rng.random((height // grain + 1, width // grain + 1)) < rng.random()
  mask = coarse.repeat(grain, 0).repeat(grain, 1)[:height, :width].astype(np.uint8)
  counts = rle.encode(mask)
  np.testing.assert_array_equal(rle.decode(counts, mask.shape), mask)
  lengths = rle.checked_runs(counts, mask.shape)
  theirs = coco_mask.frPyObjects(
    {"size": list(mask.shape), "counts": lengths.tolist()}, *mask.shape
  )
  assert theirs["counts"].decode() == counts == rle.from_runs(lengths, mask.shape)
  assert rle.area(counts, mask.shape) == mask.sum() == coco_mask.area(theirs)


def test_polygons_are_joined():
  size = (20, 30)
  square, right = [2, 3, 8, 3, 8, 9, 2, 9], [8.0, 3, 20, 3, 20, 9, 8, 9]
  expected = np.zeros(size, np.uint8)
  expected[3:9, 2:8] = 1
  np.testing.assert_array_equal(rle.decode(rle.from_polygons([square], size), size), expected)
  expected[3:9, 8:20] = 1
  both = rle.from_polygons([square, right], size)
  np.testing.assert_array_equal(rle.decode(both, size), expected)
  assert rle.from_polygons([[1, 1, 9, 9], square, right, [5, 5]], size) == both  # lines, points
  outside = rle.decode(rle.from_polygons([[-9, -9, 99, -9, 99, 99, -9, 99]], size), size)
  assert outside.all()


@pytest.mark.parametrize("counts", ["", "xxxx", "é1", "ooooooooooo0", "1 1", "o"])
def test_damaged_texts(counts):
  with pytest.raises(ValueError, match="run lengths are"):
    rle.decode(counts, (20, 30))


def test_texts_of_other_images():
  counts = rle.encode(np.eye(20))
  with pytest.raises(ValueError, match="are of 400 pixels, but the image has 30x20, 600"):
    rle.decode(counts, (20, 30))
  with pytest.raises(ValueError, match="of 10 pixels"):
    rle.from_runs([5, 5], (20, 30))
  with pytest.raises(ValueError, match="not a list of whole numbers"):
    rle.from_runs([5.5, 594.5], (20, 30))
  with pytest.raises(ValueError, match="of 600 pixels"):
    rle.from_runs([-5, 605], (20, 30))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_runs_whose_sum_wraps(dtype):
  """To 600 in 64 bits, and in the 32 bits of COCO's library."""
  most = 2**63 - 1
  with pytest.raises(ValueError, match=f"of {2**64 + 600} pixels, but the image has 30x20"):
    rle.from_runs(np.array([most, most, 602], dtype), (20, 30))
  with pytest.raises(ValueError, match=f"of {2**32 + 600} pixels"):
    rle.from_runs(np.array([2**31, 2**31, 600], dtype), (20, 30))


@pytest.mark.parametrize(
  ("polygons", "message"),
  [
    ([], "0 polygons, none"),
    ([[1, 1, 2, 2]], "1 polygons, none of which has three corners"),
    ([[1, 1, 2, 2, 3]], "not a list of finite numbers"),
    ([[1, 1, 2, 2, 3, float("nan")]], "not a list of finite numbers"),
    ([["a"] * 6], "not a list of finite numbers"),
    ([3, 4], "not a list of finite numbers"),
    ([[[1, 2], [3]]], "not a list of finite numbers"),
  ],
)
def test_bad_polygons(polygons, message):
  with pytest.raises(ValueError, match=message):
    rle.from_polygons(polygons, (9, 9))


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of pycocotools' decode
def test_masks_of_coco(shared):
  for split in ("train2017", "val2017"):
    content = json.loads(
      (shared / "data" / "coco128" / "annotations" / f"instances_{split}.json").read_text()
    )
    for row in content["annotations"]:
      theirs, size = row["segmentation"], tuple(row["segmentation"]["size"])
      if isinstance(theirs["counts"], list):
        theirs = coco_mask.frPyObjects(theirs, *size)
        counts = rle.from_runs(row["segmentation"]["counts"], size)
      else:
        counts = theirs["counts"]
      np.testing.assert_array_equal(rle.decode(counts, size), coco_mask.decode(theirs))
