"""The transforms equal the official ones bit for bit, and mirror examples without a rest."""

import dataclasses
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import images, pipeline
from hrnet_jax.tasks.landmarks import geometry
from hrnet_jax.tasks.landmarks.transforms import (
  MISSING,
  FaceRecord,
  LandmarksDecisions,
  LandmarksEvalTransform,
  LandmarksTrainTransform,
  read,
)
from tests.golden import recipe
from tests.helpers import landmark_cases

CASES = landmark_cases.cases()
property_test = settings(deadline=None, max_examples=40, database=None)


@pytest.mark.parametrize("name", sorted(CASES))
def test_points_equal_the_reference(name):
  tpts, points = CASES[name]["tpts"], landmark_cases.apply(CASES[name])["heatmap_points"]
  assert points.dtype == np.float32
  missing = points[:, 0] == MISSING
  assert missing.sum() == (2 if name == "dead_points" else 0)
  np.testing.assert_array_equal(points[~missing], tpts[~missing] - 1)  # theirs count from one


@pytest.mark.wide
@pytest.mark.parametrize("name", sorted(CASES))
def test_crops_of_photos_equal_the_reference_bit_for_bit(name, shared):
  case, source = CASES[name], CASES[name]["source"]
  with np.load(shared / "golden/sources.npz") as files:
    image = images.decode_image(files[source["image"]].tobytes(), source["image"])
  assert recipe.crc32(image) == source["image_rgb_crc32"]
  image = image.repeat(source["repeat"], axis=0).repeat(source["repeat"], axis=1)
  assert image.shape == tuple(source["shape"])
  if case["dataset"] == "COFW":  # grey: the green channel
    image = image[..., [1, 1, 1]]
  crop = landmark_cases.apply(case, image)["image"]
  with np.load(shared / f"golden/landmarks_transforms/{name}.npz") as expected:
    np.testing.assert_array_equal(crop, expected["image"])
    np.testing.assert_array_equal(case["tpts"], expected["tpts"])
  assert recipe.crc32(crop) == case["image_crc32"]


def face(seed=0, size=(120, 150), count=9):
  """Noise and points on it; the window reaches over the border."""
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (*size, 3), np.uint8)
  points = rng.uniform(1, 119, (count, 2))
  return FaceRecord(image, points, np.array([70.5, 58]), 0.45)


def mirrored(original, width, pairs):
  """The annotation and the photo in a mirror."""
  return FaceRecord(
    np.ascontiguousarray(original.image[:, ::-1]),
    geometry.mirror(original.points, width, pairs),
    geometry.mirror(original.center[None], width)[0],
    original.scale,
  )


PAIRS = ((0, 3), (2, 7), (4, 5))
SMALL = {"crop_size": 64, "flip_pairs": PAIRS}
SEED = st.integers(0, 2**32 - 1)
DRAWS = {"scale": st.floats(0.75, 1.25), "rotation": st.floats(-30, 30)}


@property_test
@given(seed=SEED, **DRAWS)
def test_affine_flip_is_the_exact_mirror_image(seed, scale, rotation):
  transform, original = LandmarksTrainTransform(crop="affine", **SMALL), face(seed)
  plain = transform.apply(original, LandmarksDecisions(scale, -rotation))
  flipped = transform.apply(original, LandmarksDecisions(scale, rotation, flip=True))
  np.testing.assert_array_equal(flipped["image"], plain["image"][:, ::-1])
  # In float32 as in float64: 15 - x is rounded once.
  expected = geometry.mirror(plain["heatmap_points"].astype(np.float64), 15, PAIRS)
  np.testing.assert_allclose(flipped["heatmap_points"], expected, atol=2e-5)


@property_test
@given(seed=SEED, **DRAWS)
def test_affine_flip_equals_flipping_the_photo(seed, scale, rotation):
  transform, original = LandmarksTrainTransform(crop="affine", **SMALL), face(seed)
  width = original.image.shape[1]
  inside = transform.apply(original, LandmarksDecisions(scale, rotation, flip=True))
  outside = transform.apply(
    mirrored(original, width - 1, PAIRS), LandmarksDecisions(scale, rotation)
  )
  np.testing.assert_allclose(inside["heatmap_points"], outside["heatmap_points"], atol=2e-5)
  assert abs(inside["image"].astype(int) - outside["image"]).max() <= 1  # of rounding


@property_test
@given(seed=SEED, crop=st.sampled_from(["affine", "reference"]), **DRAWS)
def test_flipping_the_photo_twice_is_the_identity(seed, crop, scale, rotation):
  # The reference's width - x is an involution, too; the pixels it names are off by one.
  transform, original = LandmarksTrainTransform(crop=crop, **SMALL), face(seed)
  width = original.image.shape[1] - (crop == "affine")
  twice = mirrored(mirrored(original, width, PAIRS), width, PAIRS)
  twice = dataclasses.replace(twice, points=np.round(twice.points, 9))
  original = dataclasses.replace(original, points=np.round(original.points, 9))
  results = [transform.apply(x, LandmarksDecisions(scale, rotation)) for x in (original, twice)]
  for key, value in results[0].items():
    np.testing.assert_array_equal(value, results[1][key])


@property_test
@given(SEED, DRAWS["scale"])
def test_reference_flip_mirrors_the_cells(seed, scale):
  transform = LandmarksTrainTransform(crop="reference", **SMALL)
  original = face(seed)
  plain = transform.apply(original, LandmarksDecisions(scale))["heatmap_points"]
  flipped = transform.apply(original, LandmarksDecisions(scale, flip=True))["heatmap_points"]
  inside = ((plain > 0) & (plain < 15)).all(-1)
  expected = geometry.mirror(plain, 15, PAIRS)
  keep = inside[geometry.partners(PAIRS, len(inside))]
  np.testing.assert_array_equal(flipped[keep], expected[keep])


def test_reference_flip_mirrors_the_pixels_where_nothing_is_rounded():
  # A window of whole pixels that is not resized: 64 of them around x = 70.
  original = dataclasses.replace(face(), center=np.array([70.0, 58.0]), scale=64 / 250)
  transform = LandmarksTrainTransform(crop="reference", crop_size=64)
  plain = transform.apply(original, LandmarksDecisions())["image"]
  flipped = transform.apply(original, LandmarksDecisions(flip=True))["image"]
  # The noise reaches 0 and 255, so the contrast stays.
  np.testing.assert_array_equal(plain, original.image[26:90, 38:102])
  np.testing.assert_array_equal(flipped, plain[:, ::-1])


@pytest.mark.parametrize("crop", ["affine", "reference"])
def test_evaluation_has_all_that_maps_back(crop):
  original = face()
  result = LandmarksEvalTransform(crop=crop, crop_size=64).apply(original, box_size=77.0)
  assert {k: (v.shape, v.dtype.name) for k, v in result.items()} == {
    "image": ((64, 64, 3), "uint8"),
    "heatmap_points": ((9, 2), "float32"),
    "points": ((9, 2), "float32"),
    "window": ((3,), "float32"),
    "box_size": ((), "float32"),
  } | ({"whole_pixels": ((2, 69), "float32")} if crop == "reference" else {})
  left, top, side = result["window"]
  assert side == pytest.approx(200 * 0.45 * 1.25)
  back = [left, top] + (result["heatmap_points"] + 0.5) * side / 16
  if crop == "affine":
    np.testing.assert_allclose(back, original.points, atol=1e-4)
  else:  # the middle of the cell
    assert abs(back - original.points).max() <= side / 16 / 2 + 1e-4
  assert result["box_size"] == 77
  assert LandmarksEvalTransform(crop=crop, crop_size=64).apply(original)["box_size"] == 90


def test_a_face_without_landmarks_can_be_cropped():
  result = LandmarksEvalTransform(crop="affine").apply(
    dataclasses.replace(face(), points=np.zeros((0, 2)))
  )
  assert result["points"].shape == result["heatmap_points"].shape == (0, 2)


def test_draws_have_the_distribution_of_the_reference():
  transform = LandmarksTrainTransform(crop="affine")
  rng = np.random.default_rng(0)
  draws = [transform.draw(rng) for _ in range(4000)]
  scales = np.array([x.scale for x in draws])
  angles = np.array([x.rotation for x in draws])
  assert scales.min() == pytest.approx(0.75, abs=1e-3)
  assert scales.max() == pytest.approx(1.25, abs=1e-3)
  assert scales.std() == pytest.approx(0.5 / math.sqrt(12), rel=0.03)
  assert (angles != 0).mean() == pytest.approx(0.6, abs=0.03)
  assert abs(angles).max() == pytest.approx(30, abs=0.1)
  assert angles[angles != 0].std() == pytest.approx(60 / math.sqrt(12), rel=0.04)
  assert np.mean([x.flip for x in draws]) == pytest.approx(0.5, abs=0.03)


def test_nothing_is_random_when_switched_off():
  transform = LandmarksTrainTransform(
    crop="affine", scale_factor=0, rotation_probability=0, flip=False
  )
  assert transform.draw(np.random.default_rng(0)) == LandmarksDecisions(1.0, 0.0, False)


def record(seed=0, **changes):
  original = face(seed)
  return {
    "image": original.image,
    "name": f"photo{seed}.png",
    "points": original.points,
    "center": original.center,
    "scale": np.float64(original.scale),
    "box_size": np.float64(90),
  } | changes


def test_loader_makes_batches_and_repeats_them():
  source = [record(seed) for seed in range(5)]
  transform = LandmarksTrainTransform(crop="affine", **SMALL)
  batches = []
  for _ in range(2):
    with pipeline.train_loader(source, transform, batch_size=4, seed=3) as loader:
      batches.append(next(loader))
  assert batches[0]["image"].shape == (4, 64, 64, 3)
  assert batches[0]["heatmap_points"].shape == (4, 9, 2)
  np.testing.assert_array_equal(batches[0]["image"], batches[1]["image"])
  with pipeline.eval_loader(
    source, LandmarksEvalTransform(crop="reference"), batch_size=4
  ) as loader:
    batches = list(loader)
  assert [b["mask"].sum() for b in batches] == [4, 1]
  np.testing.assert_array_equal(batches[1]["points"][0], source[4]["points"].astype(np.float32))


def test_options_may_come_from_a_config():
  config = ml_collections.ConfigDict({"crop": "affine", "flip_pairs": [[0, 3], [2, 7], [4, 5]]})
  transform = LandmarksTrainTransform(**config)
  assert transform == LandmarksTrainTransform(crop="affine", flip_pairs=PAIRS)
  assert hash(transform) == hash(LandmarksTrainTransform(crop="affine", flip_pairs=PAIRS))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"crop": "warp"}, r"unknown transform.crop 'warp'; known: affine, reference"),
    ({"crop": "reference", "first_pixel": 1}, r"first_pixel is 1, but crop 'reference' takes"),
    ({"crop": "affine", "crop_size": 66}, r"crop_size is 66, expected a multiple of stride 4"),
    ({"crop": "affine", "margin": 0}, r"margin is 0, expected more than 0"),
    ({"crop": "affine", "scale_factor": 1}, r"scale_factor is 1, expected 0 .. below 1"),
    ({"crop": "affine", "rotation_probability": 2}, r"rotation_probability is 2, expected 0 .. 1"),
    ({"crop": "affine", "flip_pairs": [(0, 1), (1, 2)]}, r"each landmark may be in one pair"),
    ({"crop": "affine", "flip_pairs": [(-1, 1)]}, r"counts from 0"),
    ({"crop": "affine", "flip_pairs": [1, 2]}, r"expected pairs of landmarks"),
  ],
)
def test_wrong_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    LandmarksTrainTransform(**options)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"points": np.full((3, 2), np.nan)}, r"photo0.png: .*must be finite"),
    ({"scale": 0.0}, r"photo0.png: .*scale 0.0 and .* scale more than 0"),
    ({"center": np.array([np.inf, 0])}, r"photo0.png: center \[inf, 0.0\]"),
  ],
)
def test_a_bad_record_is_named(change, message):
  with pytest.raises(ValueError, match=message):
    read(record(**change))


def test_a_record_without_landmarks_says_what_to_do():
  with pytest.raises(ValueError, match=r"a.jpg: the record has no points, center, scale; set data"):
    read({"image": b"", "name": "a.jpg", "label": 1})


def test_a_pair_beyond_the_landmarks_is_an_error():
  transform = LandmarksTrainTransform(crop="affine", flip_pairs=[(0, 9)])
  with pytest.raises(ValueError, match=r"pair 0, 9 names a point beyond the last of 9"):
    transform.apply(face(), LandmarksDecisions(flip=True))
