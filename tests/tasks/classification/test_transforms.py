"""Augmentation of whole images: windows by hand, pixels against Pillow called directly."""

import itertools
import math

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.tasks.classification import transforms
from hrnet_jax.tasks.classification.transforms import (
  ClassificationDecisions,
  ClassificationEvalTransform,
  ClassificationTrainTransform,
)

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (60, 90, 3)).astype(np.uint8)
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)


class Script:
  """Stands for a generator: gives what a list says, and notes between which bounds."""

  def __init__(self, *values):
    self.values, self.asked = list(values), []

  def uniform(self, low, high):
    self.asked.append((float(low), float(high)))
    return self.values.pop(0)

  def random(self):
    return self.values.pop(0)

  def integers(self, high):
    self.asked.append(high)
    return self.values.pop(0)


def record(photo=PHOTO, **more):
  return {"image": photo, "label": np.int32(3), "name": "a"} | more


def test_window_by_hand():
  # Area 0.25 * 5400 = 1350 and aspect 1.5: 45 wide and 30 high; 61 columns... 31 rows to choose.
  rng = Script(0.25, math.log(1.5), 7, 11)
  assert transforms.draw_log_uniform(rng, (60, 90), AREA, (0.5, 2.0)) == (11, 7, 45, 30)
  assert rng.asked == [(0.08, 1.0), (math.log(0.5), math.log(2)), 31, 46]
  turned = Script(0.25, 1.5, 0.2, 7, 11)
  assert transforms.draw_linear_swap(turned, (60, 90), AREA, (0.5, 2.0)) == (11, 7, 30, 45)
  assert turned.asked == [(0.08, 1.0), (0.5, 2.0), 16, 61]
  kept = Script(0.25, 1.5, 0.5, 7, 11)
  assert transforms.draw_linear_swap(kept, (60, 90), AREA, (0.5, 2.0)) == (11, 7, 45, 30)


def test_window_that_does_not_fit_is_drawn_again():
  # The whole area as a square is 73 high.
  rng = Script(1.0, 0.0, 0.25, math.log(1.5), 0, 0)
  assert transforms.draw_log_uniform(rng, (60, 90), AREA, ASPECT) == (0, 0, 45, 30)


@pytest.mark.parametrize(
  ("size", "modern", "old"),
  [
    ((100, 300), (83, 0, 133, 100), (100, 0, 100, 100)),  # 4/3 of the height: 133.3
    ((300, 100), (0, 83, 100, 133), (0, 100, 100, 100)),
    ((100, 120), (0, 0, 120, 100), (10, 0, 100, 100)),
  ],
)
def test_fallback_after_ten_tries(size, modern, old):
  never = list(itertools.chain.from_iterable([(9.0, 0.0)] * 10))
  assert transforms.draw_log_uniform(Script(*never), size, AREA, ASPECT) == modern
  never = list(itertools.chain.from_iterable([(9.0, 1.0, 0.9)] * 10))
  assert transforms.draw_linear_swap(Script(*never), size, AREA, ASPECT) == old


@pytest.mark.parametrize("sampling", sorted(transforms.SAMPLING))
@pytest.mark.parametrize("size", [(60, 90), (1, 1), (3, 200)])
def test_windows_stay_inside_and_within_their_bounds(sampling, size):
  rng = np.random.default_rng(0)
  areas = []
  for _ in range(300):
    x, y, w, h = transforms.SAMPLING[sampling](rng, size, AREA, ASPECT)
    assert 0 <= x <= x + w <= size[1]
    assert 0 <= y <= y + h <= size[0]
    assert min(w, h) > 0
    areas.append(w * h / (size[0] * size[1]))
    if size == (60, 90):
      assert 0.7 < w / h < 1.42  # the bounds, and what rounding adds
  if size == (60, 90):
    assert min(areas) < 0.12
    assert max(areas) > 0.8


def test_pixels_are_those_of_crop_and_resize_in_pillow():
  transform = ClassificationTrainTransform(crop_size=(32, 48))
  got = transform.apply(PHOTO, 3, ClassificationDecisions((11, 7, 45, 30), flip=True))
  crop = Image.fromarray(PHOTO).crop((11, 7, 11 + 45, 7 + 30)).resize((48, 32), Image.BILINEAR)
  want = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
  np.testing.assert_array_equal(got["image"], np.asarray(want))
  assert got["image"].flags.c_contiguous
  assert got["image"].base is None
  assert got["label"] == 3
  assert got["label"].dtype == np.int32


def test_reduction_is_antialiased():
  stripes = np.zeros((64, 64, 3), np.uint8)
  stripes[:, ::2] = 200
  small = transforms.resize(stripes, (8, 8))
  assert abs(small.astype(int) - 100).max() <= 8  # without, it would be 0 or 200


def test_decisions_can_be_replayed():
  transform = ClassificationTrainTransform(crop_size=(16, 16))
  got = transform.random_map(record(), np.random.default_rng(5))
  decisions = transform.draw(np.random.default_rng(5), (60, 90))
  np.testing.assert_array_equal(got["image"], transform.apply(PHOTO, 3, decisions)["image"])
  flips = [transform.draw(np.random.default_rng(i), (60, 90)).flip for i in range(200)]
  assert 70 < sum(flips) < 130
  never = ClassificationTrainTransform(crop_size=(16, 16), flip=False)
  assert not any(never.draw(np.random.default_rng(i), (60, 90)).flip for i in range(20))


@pytest.mark.parametrize(
  ("size", "resized", "corner"),
  # Half pixels go to the even side: (384 - 224) / 2 = 80, (383 - 224) / 2 = 79.5 -> 80.
  [
    ((200, 300), (256, 384), (16, 80)),
    ((200, 299), (256, 382), (16, 79)),
    ((300, 201), (382, 256), (79, 16)),
    ((256, 385), (256, 385), (16, 80)),
    ((256, 383), (256, 383), (16, 80)),
  ],
)
def test_evaluation_resizes_the_short_side_and_cuts_the_centre(size, resized, corner):
  photo = RNG.integers(0, 256, (*size, 3)).astype(np.uint8)
  got = ClassificationEvalTransform(crop_size=(224, 224), resize=256).map(record(photo))
  y, x = corner
  want = Image.fromarray(photo).resize(resized[::-1], Image.BILINEAR)
  np.testing.assert_array_equal(got["image"], np.asarray(want)[y : y + 224, x : x + 224])


def test_box_selects_a_part_of_the_image():
  transform = ClassificationEvalTransform(crop_size=(20, 20), resize=20)
  got = transform.map(record(box=np.array([30, 10, 50, 30], np.int32)))
  np.testing.assert_array_equal(got["image"], PHOTO[10:30, 30:50])
  assert transforms.read(record(box=np.array([-5, -5, 10, 99]))).shape == (60, 10, 3)


@pytest.mark.parametrize("label", [b"png", np.zeros((2, 2))])
def test_label_maps_are_refused(label):
  with pytest.raises(ValueError, match=r"a: this data set has label maps, not one class"):
    transforms.read(record() | {"label": label})


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"crop_size": 224}, r"transform\.crop_size is 224, expected \(height, width\)"),
    ({"area": (0.5, 0.1)}, r"transform\.area is \(0\.5, 0\.1\), expected 0 < smallest"),
    ({"area": (0.5, 1.1)}, r"<= 1\.0"),
    ({"aspect": (0, 1)}, r"transform\.aspect"),
    ({"sampling": "log"}, r"unknown transform\.sampling 'log'; known: linear_swap, log_uniform"),
  ],
)
def test_options_of_training_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    ClassificationTrainTransform(**{"crop_size": (8, 8)} | options)


def test_options_of_evaluation_are_checked():
  with pytest.raises(ValueError, match=r"transform\.resize is 200, expected at least .*\(224, 192"):
    ClassificationEvalTransform(crop_size=(224, 192), resize=200)
  assert ClassificationEvalTransform(crop_size=[8, 8], resize=8) == ClassificationEvalTransform(
    crop_size=(8, 8), resize=8
  )
