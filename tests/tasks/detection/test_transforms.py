"""Images on canvases, with their objects where they belong."""

import json

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.data import geometry
from hrnet_jax.ops import rle
from hrnet_jax.tasks.detection.transforms import (
  DetectionDecisions,
  DetectionEvalTransform,
  DetectionTrainTransform,
  read,
)

CANVAS = ((96, 160), (160, 96))
BOX = (20, 8, 44, 32)  # of a white square on grey


def record(height=48, width=80, name="square"):
  pixels = np.full((height, width, 3), 40, np.uint8)
  x0, y0, x1, y1 = BOX
  pixels[y0:y1, x0:x1] = 255
  return {
    "image": pixels,
    "name": name,
    "image_id": 77,
    "boxes": np.array([BOX], np.float32),
    "classes": np.array([2], np.int32),
    "ignored": np.array([False]),
    "ids": np.array([1]),
    "masks": json.dumps([rle.encode(pixels[..., 0] == 255)]),
  }


def bright(image):
  """Edges of what is brighter than half way, found in the pixels."""
  rows, columns = (np.flatnonzero((image[..., 0] > 147).any(axis)) for axis in (1, 0))
  return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("flip", [False, True])
def test_an_example_by_hand(flip):
  transform = DetectionTrainTransform(canvas=CANVAS, scales=((150, 96),), masks=True, max_objects=5)
  row = record()
  out = transform.apply(read(row), row, DetectionDecisions((150, 96), flip))
  assert out["image"].shape == (96, 160, 3)
  assert out["image_size"].tolist() == [90, 150]
  assert not out["image"][90:].any()
  assert not out["image"][:, 150:].any()
  assert (out["image"][:90, :150] >= 40).all()
  x0, y0, x1, y1 = 37.5, 15, 82.5, 60  # 1.875 times the box
  expected = [150 - x1, y0, 150 - x0, y1] if flip else [x0, y0, x1, y1]
  np.testing.assert_allclose(out["boxes"][0], expected, rtol=1e-6)
  np.testing.assert_allclose(bright(out["image"]), expected, atol=0.51)
  assert out["masks"].shape == (5, 112, 112)
  assert (out["masks"][0] == 255).all()
  assert (out["classes"].tolist(), out["valid"].sum()) == ([2, 0, 0, 0, 0], 1)


def test_pixels_are_those_of_the_resized_image():
  row = record()
  out = DetectionTrainTransform(canvas=CANVAS, scales=((150, 96),), flip=False).random_map(
    row, np.random.default_rng(0)
  )
  expected = geometry.resize_image(read(row), (90, 150))
  np.testing.assert_array_equal(out["image"][:90, :150], expected)
  same = DetectionTrainTransform(canvas=CANVAS, scales=((80, 48),), flip=False)
  out = same.random_map(row, np.random.default_rng(0))
  np.testing.assert_array_equal(out["image"][:48, :80], read(row))


@given(st.integers(40, 200), st.integers(50, 200), st.integers(0, 2**32))
def test_every_image_fits_the_canvas_of_its_group(height, width, seed):
  transform = DetectionTrainTransform(
    canvas=CANVAS, scales=((160, 96), (100, 60)), scale_mode="range", max_objects=2
  )
  out = transform.random_map(record(height, width), np.random.default_rng(seed))
  (group,) = transform.groups(np.array([[height, width]]))
  assert out["image"].shape[:2] == transform.canvas[group]
  tall = height >= width
  assert group == tall
  new = out["image_size"].astype(int)
  assert (out["image"][: new[0], : new[1]] > 0).all()
  assert not out["image"][new[0] :].any()
  assert 100 <= max(new) <= 160 or 60 <= min(new) <= 96
  np.testing.assert_allclose(bright(out["image"]), out["boxes"][0], atol=0.8)


def test_the_seed_decides():
  transform = DetectionTrainTransform(canvas=CANVAS, scales=((160, 96), (80, 48), (100, 60)))
  drawn = [transform.draw(np.random.default_rng(seed)) for seed in range(200)]
  assert drawn == [transform.draw(np.random.default_rng(seed)) for seed in range(200)]
  counts = {scale: sum(x.scale == scale for x in drawn) for scale in transform.scales}
  assert min(counts.values()) > 40
  assert 70 < sum(x.flip for x in drawn) < 130
  assert not any(
    DetectionTrainTransform(canvas=CANVAS, scales=((80, 48),), flip=False).draw(r).flip
    for r in map(np.random.default_rng, range(20))
  )


def test_a_range_reaches_both_ends():
  transform = DetectionTrainTransform(canvas=CANVAS, scales=((12, 5), (10, 7)), scale_mode="range")
  drawn = {transform.draw(np.random.default_rng(seed)).scale for seed in range(300)}
  assert drawn == {(long, short) for long in (10, 11, 12) for short in (5, 6, 7)}


def test_one_canvas_makes_one_group():
  square = DetectionEvalTransform(canvas=((160, 160),), scale=(160, 96))
  assert square.groups(np.array([[10, 20], [20, 10]])) is None
  assert square.map(record(80, 48))["image"].shape == (160, 160, 3)
  both = DetectionEvalTransform(canvas=((160, 160), (160, 160)), scale=(160, 96))
  assert both.groups(np.array([[10, 20], [20, 10]])) is None
  assert DetectionEvalTransform(canvas=CANVAS[::-1], scale=(9, 9)).groups(
    np.array([[10, 20], [20, 10], [15, 15]])
  ).tolist() == [0, 1, 1]


def test_evaluation_says_how_to_get_back():
  transform = DetectionEvalTransform(canvas=[[96, 160], [160, 96]], scale=[150, 96])
  out = transform.map(record())
  assert out["original_size"].tolist() == [48, 80]
  assert out["scale"].tolist() == [1.875, 1.875]
  assert (int(out["image_id"]), out["image_id"].dtype) == (77, np.int32)
  y, x = out["scale"]
  np.testing.assert_allclose(out["boxes"][0] / [x, y, x, y], BOX, rtol=1e-6)
  assert "masks" not in out
  assert hash(transform) == hash(DetectionEvalTransform(canvas=CANVAS, scale=(150, 96)))
  photo = transform.apply(read(record()), "photo")
  np.testing.assert_array_equal(photo["image"], out["image"])
  assert sorted(photo) == ["image", "image_size", "original_size", "scale"]


def test_an_image_that_does_not_fit():
  transform = DetectionEvalTransform(canvas=((96, 160),), scale=(160, 96))
  with pytest.raises(ValueError, match=r"square: 96x160 pixels after resizing do not fit .*160x96"):
    transform.map(record(80, 48))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"canvas": (96, 160)}, "transform.canvas is .*expected"),
    ({"canvas": ()}, "transform.canvas is .*expected"),
    ({"canvas": ((96, 160), (80, 90))}, "transform.canvas is .*a wide and a tall one"),
    ({"canvas": ((0, 160),)}, "transform.canvas"),
    ({"scales": ()}, "transform.scales is empty"),
    ({"scales": ((60, 80),)}, r"scale \(60, 80\), expected the long and the short"),
    ({"scales": (80,)}, "scale 80, expected"),
    ({"scales": ((161, 96),)}, r"scale \(161, 96\) do not fit the canvas of 160x96"),
    ({"scales": ((160, 97),)}, r"scale \(160, 97\) do not fit"),
    ({"scale_mode": "list"}, "unknown transform.scale_mode 'list'; known: range, value"),
    ({"max_objects": 0}, "transform.max_objects is 0"),
  ],
)
def test_wrong_options(options, message):
  with pytest.raises(ValueError, match=message):
    DetectionTrainTransform(**{"canvas": CANVAS, "scales": ((80, 48),)} | options)
  with pytest.raises(ValueError, match="do not fit"):
    DetectionEvalTransform(canvas=CANVAS)  # the default scale is 1333 x 800


def test_records_without_boxes():
  with pytest.raises(ValueError, match=r"street: this data set has no boxes .* coco or shapes"):
    read({"name": "street", "image": b""})
