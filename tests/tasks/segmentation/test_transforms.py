"""The augmentation equals the official one bit for bit, and its properties hold for all draws."""

import dataclasses
import json
import pathlib

from hypothesis import given, settings
from hypothesis import strategies as st
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import geometry, images
from hrnet_jax.tasks.segmentation import transforms
from hrnet_jax.tasks.segmentation.transforms import (
  SegmentationDecisions,
  SegmentationEvalTransform,
  SegmentationTrainTransform,
)
from tests.golden import recipe

GOLDEN = pathlib.Path(__file__).parents[2] / "golden/segmentation_transforms"
CASES = json.loads((GOLDEN / "cases.json").read_text())
LIP_PAIRS = ((14, 15), (16, 17), (18, 19))
property_test = settings(deadline=None, max_examples=60, database=None)


def golden_input(case):
  """Image and label of a case before the transform, checked against their stored CRC-32."""
  sources, names = np.load(GOLDEN / "sources.npz"), case["source"]
  image = images.decode_image(sources[names["image"]].tobytes(), names["image"])
  label = images.decode_label(sources[names["label"]].tobytes(), names["label"])
  label = np.where(label == 11, 255, label).astype(np.uint8)
  assert recipe.crc32(image) == names["image_rgb_crc32"]
  assert recipe.crc32(label) == names["label_crc32_void255"]
  if made := case.get("label_recipe"):
    label = recipe.labels(
      made["shape"], made["num_classes"], made["seed"], made["ignore"], made["block"]
    )[0].astype(np.uint8)
    assert recipe.crc32(label) == made["crc32"]
  if case.get("prepared") == "transpose":
    return image.transpose(1, 0, 2), label.T
  if case.get("prepared") == "top_left_128x160":
    return image[:128, :160], label[:128, :160]
  return image, label


def golden_transform(case):
  size, base_size = case["crop_size"], case["base_size"]
  if case.get("center_crop_test"):
    return SegmentationEvalTransform(base_size=base_size, center_crop=size)
  lip = "label_recipe" in case
  return SegmentationTrainTransform(
    crop_size=size,
    base_size=base_size,
    scale_factor=case["scale_factor"] if case.get("multi_scale", True) else None,
    ignore=case["ignore_label"],
    label_stride=case.get("downsample_rate", 1),
    flip_pairs=LIP_PAIRS if lip else (),
    resize=size if lip else None,
  )


def golden_decisions(case):
  draws = case["decisions"]
  scale = 0.5 + draws["scale_index"] / 10 if "scale_index" in draws else 1.0
  return SegmentationDecisions(scale, draws.get("x", 0), draws.get("y", 0), draws["flip"] == -1)


def run_golden(case):
  transform, (image, label) = golden_transform(case), golden_input(case)
  if isinstance(transform, SegmentationEvalTransform):
    return transform.apply(image, label)
  return transform.apply(image, label, golden_decisions(case))


@pytest.mark.parametrize("name", sorted(CASES))
def test_equals_the_reference_bit_for_bit(name):
  case = CASES[name]
  result = run_golden(case)
  assert {k: (list(v.shape), v.dtype) for k, v in result.items()} == {
    "image": (case["image_shape"], np.uint8),
    "label": (case["label_shape"], np.uint8),
  }
  assert recipe.crc32(result["image"]) == case["image_crc32"]
  assert recipe.crc32(result["label"]) == case["label_crc32"]


@pytest.mark.parametrize("name", sorted(n for n in CASES if "image_float_crc32_hwc" in CASES[n]))
def test_normalised_image_equals_the_reference_bit_for_bit(name):
  image = run_golden(CASES[name])["image"]
  # The reference subtracts and divides lists, so these two steps round from double.
  scaled = image.astype(np.float32) / np.float32(255)
  centred = (scaled.astype(np.float64) - recipe.MEAN).astype(np.float32)
  normalised = (centred.astype(np.float64) / recipe.STD).astype(np.float32)
  assert recipe.crc32(normalised) == CASES[name]["image_float_crc32_hwc"]


def test_there_are_fifteen_cases_that_differ():
  assert len(CASES) == 15
  assert len({case["image_crc32"] for case in CASES.values()}) == 15


class Draws:
  """Stands for a generator: returns given numbers and keeps the bounds it was asked for."""

  def __init__(self, *values):
    self.values, self.bounds = list(values), []

  def integers(self, *bounds):
    self.bounds.append(bounds)
    return self.values.pop(0)


@pytest.mark.parametrize("name", sorted(n for n in CASES if "scale_index" in CASES[n]["decisions"]))
def test_draws_in_the_order_and_range_of_the_reference(name):
  case, draws = CASES[name], CASES[name]["decisions"]
  rng = Draws(draws["scale_index"], draws["x"], draws["y"], int(draws["flip"] == -1))
  decisions = golden_transform(case).draw(rng, golden_input(case)[1].shape)
  assert decisions == golden_decisions(case)
  # Both ends belong to the reference's ranges, the upper one is outside of numpy's.
  bounds = (case["scale_factor"], draws["x_max"], draws["y_max"], 1)
  assert rng.bounds == [(n + 1,) for n in bounds]


def example(size, seed=0):
  """An image whose first channel is the label, so that one can see whether they stay aligned."""
  label = np.random.default_rng(seed).integers(0, 20, size, np.uint8)
  return np.repeat(label[..., None], 3, axis=-1), label


SIZE = st.tuples(st.integers(8, 60), st.integers(8, 60))


@property_test
@given(SIZE, SIZE, st.integers(0, 2**32 - 1), st.sampled_from([None, 20, 64]))
def test_every_drawn_crop_lies_inside(size, crop_size, seed, base_size):
  transform = SegmentationTrainTransform(crop_size, base_size, brightness=True)
  rng = np.random.default_rng(seed)
  result = transform.apply(*example(size), transform.draw(rng, size))
  assert result["image"].shape == (*crop_size, 3)
  assert result["label"].shape == crop_size
  assert set(np.unique(result["label"])) <= {*range(20), 255}


@property_test
@given(SIZE, SIZE, st.integers(0, 2**32 - 1))
def test_image_and_label_stay_aligned(size, crop_size, seed):
  # Without a scale the image is moved only, so its pixels must follow the label's exactly.
  transform = SegmentationTrainTransform(crop_size, scale_factor=None)
  result = transform.apply(*example(size), transform.draw(np.random.default_rng(seed), size))
  inside = result["label"] != 255
  assert inside.sum() == min(size[0], crop_size[0]) * min(size[1], crop_size[1])
  np.testing.assert_array_equal(result["image"][inside][:, 0], result["label"][inside])
  assert (result["image"][~inside] == 0).all()


def test_a_halved_image_keeps_its_edge_where_the_label_has_it():
  image, label = np.zeros((40, 80, 3), np.uint8), np.zeros((40, 80), np.uint8)
  image[:, 32:], label[:, 32:] = 200, 7
  result = SegmentationTrainTransform((20, 40), 80).apply(
    image, label, SegmentationDecisions(scale=0.5)
  )
  np.testing.assert_array_equal(result["image"][..., 0] == 200, result["label"] == 7)
  assert (result["label"] == 7).sum() == 20 * 24


@property_test
@given(SIZE, st.integers(0, 2**32 - 1), st.booleans())
def test_a_flipped_example_is_the_mirrored_one(size, seed, pairs):
  transform = SegmentationTrainTransform((16, 16), 40, flip_pairs=LIP_PAIRS if pairs else ())
  drawn = transform.draw(np.random.default_rng(seed), size)
  straight, mirrored = (
    transform.apply(*example(size), SegmentationDecisions(drawn.scale, drawn.x, drawn.y, flip))
    for flip in (False, True)
  )
  expected = straight["label"][:, ::-1].copy()
  if pairs:
    at = {n: expected == n for n in range(14, 20)}
    for a, b in LIP_PAIRS:
      expected[at[a]], expected[at[b]] = b, a
  np.testing.assert_array_equal(mirrored["label"], expected)
  np.testing.assert_array_equal(mirrored["image"], straight["image"][:, ::-1])


@property_test
@given(SIZE, st.integers(0, 2**32 - 1), st.booleans())
def test_short_side_first_is_the_same_as_two_resizes(size, seed, flip):
  """What the transform without the option makes of an example that is resized already."""
  plain, first = (SegmentationTrainTransform((24, 24), 32, short_side=n) for n in (None, 40))
  small = geometry.short_side_size(size, 40)
  assert min(small) == 40
  image, label = example(size)
  resized = geometry.resize_image(image, small), geometry.resize_label(label, small)
  drawn = first.draw(np.random.default_rng(seed), size)
  assert drawn == plain.draw(np.random.default_rng(seed), small)
  decisions = dataclasses.replace(drawn, flip=flip)
  expected, result = plain.apply(*resized, decisions), first.apply(image, label, decisions)
  for key in ("image", "label"):
    np.testing.assert_array_equal(result[key], expected[key])


def test_all_scales_and_both_flips_occur():
  transform = SegmentationTrainTransform((8, 8), 20, scale_factor=3)
  rng = np.random.default_rng(0)
  draws = [transform.draw(rng, (20, 20)) for _ in range(200)]
  assert {d.scale for d in draws} == {0.5, 0.6, 0.7, 0.8}
  assert {d.flip for d in draws} == {False, True}
  assert {d.brightness for d in draws} == {0}


def test_brightness_is_drawn_last_and_leaves_the_rest_alone():
  size = (30, 40)
  plain, bright = (SegmentationTrainTransform((8, 8), 40, brightness=b) for b in (False, True))
  shifts = []
  for seed in range(200):
    a, b = (t.draw(np.random.default_rng(seed), size) for t in (plain, bright))
    assert (a.scale, a.x, a.y, a.flip) == (b.scale, b.x, b.y, b.flip)
    shifts.append(b.brightness)
  assert 60 < shifts.count(0) < 140
  assert (min(shifts), max(shifts)) == (-10, 10)
  image, label = example(size)
  shifted = bright.apply(image, label, SegmentationDecisions(brightness=10))
  np.testing.assert_array_equal(shifted["image"], image[:8, :8] + 10)
  np.testing.assert_array_equal(shifted["label"], label[:8, :8])


def test_flip_off_never_flips():
  rng = np.random.default_rng(0)
  assert not any(
    SegmentationTrainTransform((8, 8), flip=False).draw(rng, (9, 9)).flip for _ in range(50)
  )


def record(size=(20, 30), name="a/b.png"):
  image, label = example(size)
  return {"image": image, "label": images.encode_png(label), "name": name}


def test_random_map_reads_draws_and_applies():
  transform, (image, label) = SegmentationTrainTransform((16, 24), 40), example((20, 30))
  result = transform.random_map(record(), np.random.default_rng(5))
  expected = transform.apply(image, label, transform.draw(np.random.default_rng(5), label.shape))
  for key in ("image", "label"):
    np.testing.assert_array_equal(result[key], expected[key])
    assert result[key].flags.c_contiguous
    assert result[key].base is None  # not a view that keeps the whole image


def test_eval_keeps_the_example_as_it_is():
  result, (image, label) = SegmentationEvalTransform().map(record()), example((20, 30))
  np.testing.assert_array_equal(result["image"], image)
  np.testing.assert_array_equal(result["label"], label)


def test_eval_pads_black_and_ignored_at_the_bottom_and_right():
  result, (image, label) = SegmentationEvalTransform(size=(22, 33)).map(record()), example((20, 30))
  np.testing.assert_array_equal(result["image"][:20, :30], image)
  np.testing.assert_array_equal(result["label"][:20, :30], label)
  assert (result["image"][20:] == 0).all()
  assert (result["image"][:, 30:] == 0).all()
  assert (result["label"] == 255).sum() == 22 * 33 - 20 * 30


def test_eval_stretches():
  result = SegmentationEvalTransform(resize=(10, 10)).map(record())
  assert result["image"].shape == (10, 10, 3)
  np.testing.assert_array_equal(result["label"], example((20, 30))[1][::2, ::3])


def test_eval_takes_the_centre_after_the_short_side():
  size = (20, 30)  # to 40 x 60, of which the columns 10 to 49 are kept
  transform = SegmentationEvalTransform(short_side=40, center_crop=(40, 40), size=(40, 40))
  image, label = example(size)
  result = transform.apply(image, label)
  expected = geometry.resize_image(image, (40, 60))[:, 10:50]
  np.testing.assert_array_equal(result["image"], expected)
  np.testing.assert_array_equal(result["label"], geometry.resize_label(label, (40, 60))[:, 10:50])
  upright = transform.apply(image.transpose(1, 0, 2), label.T)
  np.testing.assert_array_equal(upright["label"], result["label"].T)


def test_an_image_larger_than_the_evaluation_size_names_what_to_change():
  with pytest.raises(ValueError, match=r"a/b.png: .* 20 x 30 .*\.size is 24 x 29; .*\(20, 30\)"):
    SegmentationEvalTransform(size=(24, 29)).map(record())
  with pytest.raises(ValueError, match=r"a/b.png: .* 20 x 30 .*\.center_crop is 21 x 8"):
    SegmentationEvalTransform(center_crop=(21, 8)).map(record())


def test_image_and_label_of_different_sizes_name_the_record():
  damaged = record() | {"label": images.encode_png(np.zeros((20, 31), np.uint8))}
  with pytest.raises(ValueError, match=r"a/b.png: the image is 20 x 30 .* is 20 x 31"):
    transforms.read(damaged)


def test_damaged_bytes_name_the_record():
  with pytest.raises(ValueError, match=r"a/b.png"):
    SegmentationEvalTransform().map(record() | {"label": record()["label"][:60]})


def test_config_blocks_expand_as_keywords():
  config = ml_collections.ConfigDict(
    {"crop_size": [128, 160], "base_size": 480, "flip_pairs": [[14, 15], [16, 17]]}
  )
  transform = SegmentationTrainTransform(**config)
  assert transform == SegmentationTrainTransform((128, 160), 480, flip_pairs=((14, 15), (16, 17)))
  assert hash(transform) == hash(
    SegmentationTrainTransform((128, 160), 480, flip_pairs=((14, 15), (16, 17)))
  )
  with pytest.raises(TypeError, match="crop_sise"):
    SegmentationTrainTransform(crop_sise=(1, 2))


@pytest.mark.parametrize(
  ("kwargs", "message"),
  [
    ({"crop_size": 128}, r"crop_size is 128, expected \(height, width\)"),
    ({"crop_size": (128, 0)}, r"crop_size is \(128, 0\)"),
    ({"crop_size": (8, 8), "resize": (1, 2, 3)}, r"resize is \(1, 2, 3\)"),
    ({"crop_size": (8, 10), "label_stride": 4}, r"label_stride is 4, expected a divisor"),
    ({"crop_size": (8, 8), "label_stride": 0}, "label_stride is 0"),
    ({"crop_size": (8, 8), "scale_factor": -1}, "scale_factor is -1"),
    ({"crop_size": (8, 8), "base_size": 0}, "base_size is 0"),
    ({"crop_size": (8, 8), "short_side": 0}, "short_side is 0, expected a number of pixels"),
    ({"crop_size": (8, 8), "short_side": 9, "resize": (9, 9)}, "short_side is 9; set one of them"),
    ({"crop_size": (8, 8), "ignore": -1}, "ignore holds -1; label maps are uint8"),
    ({"crop_size": (8, 8), "flip_pairs": ((1, 256),)}, "flip_pairs holds 256"),
    ({"crop_size": (8, 8), "flip_pairs": ((1, 2), (2, 3))}, "names a class twice"),
    ({"crop_size": (8, 8), "flip_pairs": (1, 2)}, r"flip_pairs is \(1, 2\), expected pairs"),
  ],
)
def test_wrong_settings_say_which_and_what_was_expected(kwargs, message):
  with pytest.raises(ValueError, match=message):
    SegmentationTrainTransform(**kwargs)
