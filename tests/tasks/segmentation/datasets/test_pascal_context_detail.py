"""Run-length codes and the JSON file around them: exact, and refused where damaged."""

import json

from hypothesis import given, settings
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pytest

from hrnet_jax.data.reading import Reading
from hrnet_jax.tasks.segmentation.datasets import pascal_context_detail as detail
from tests.helpers import miniatures


def test_codes_of_pycocotools():
  random = np.random.RandomState(0).rand(7, 9) > 0.5
  box = np.zeros((64, 96), bool)
  box[3:50, 10:80] = True
  box[20:30, 30:60] = False
  text = f"Sd0_1a{'0' * 39}ROI{'37MI' * 29}37k{'0' * 39}mo0"
  for mask, code in ((random, "0113011NON030M20N020N01021NOO010O1000O"), (box, text)):
    np.testing.assert_array_equal(detail.decode_runs(code, mask.shape, "mask"), mask)
    assert miniatures.encode_runs(mask) == code


def test_diagonal_by_hand():
  # runs 0 1 4 1 4 1 4 1 4 of a 4x5 mask; from the fourth on differences to the last but one
  mask = detail.decode_runs("014000000", (4, 5), "mask")
  np.testing.assert_array_equal(mask, np.eye(4, 5))


@given(
  st_numpy.arrays(bool, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=70)),
)
@settings(deadline=None, max_examples=60, database=None)
def test_decoding_undoes_encoding(mask):
  code = miniatures.encode_runs(mask)
  np.testing.assert_array_equal(detail.decode_runs(code, mask.shape, "mask"), mask)


@pytest.mark.parametrize(
  ("code", "message"),
  [
    ("", "counts is ''; expected a compressed run-length code"),
    ("zz", "counts is 'zz'"),
    ("01P", "counts is '01P'"),
    ("PPPPPPPP0", "counts is 'PPPPPPPP0'"),
    ("01é", "counts is '01é'"),
    ([1, 2], r"counts is \[1, 2\]"),
    (None, "counts is None"),
    ("014", "counts covers 5 pixels; expected 20"),
    ("0140000O5", "counts covers .* pixels; expected 20"),
  ],
)
def test_damaged_codes_are_refused(code, message):
  with pytest.raises(ValueError, match=f"^here: {message}"):
    detail.decode_runs(code, (4, 5), "here")


def write(folder, *categories, **changes):
  """A photo of 4x5 with a diagonal and then a full mask, of the categories given."""
  (folder / "JPEGImages").mkdir()
  (folder / "JPEGImages/a.jpg").write_bytes(b"")
  codes = [miniatures.encode_runs(mask) for mask in (np.eye(4, 5), np.ones((4, 5)))]
  content = {
    "images": [
      {"image_id": i, "file_name": "a.jpg", "height": 4, "width": 5, "phase": phase}
      for i, phase in enumerate(("train", "val", "test"))
    ],
    "annos_segmentation": [
      {"image_id": 0, "category_id": c, "segmentation": {"size": [4, 5], "counts": code}}
      for c, code in zip(categories, codes, strict=False)
    ],
  }
  (folder / "a.json").write_text(json.dumps(content | changes))
  return read(folder)


def read(folder):
  reading = Reading(folder)
  found = detail.read_entries(folder / "a.json", folder / "JPEGImages", reading)
  reading.problems.require_none()
  return found


def test_later_masks_cover_earlier_ones(tmp_path):
  items = write(tmp_path, 458, 2)
  assert {split: len(found) for split, found in items.items()} == {"train": 1, "val": 1}
  assert (detail.draw(items["train"][0]) == 2).all()
  assert (detail.draw(items["val"][0]) == 0).all()


def test_what_no_mask_covers_is_background(tmp_path):
  label = detail.draw(write(tmp_path, 458)["train"][0])
  np.testing.assert_array_equal(label, 458 * np.eye(4, 5))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"images": [{"image_id": 1}]}, r"a\.json: not the JSON .* \(KeyError: 'phase'\)"),
    ({"annos_segmentation": 3}, r"a\.json: not the JSON .* \(TypeError"),
    ({"images": []}, r"a\.json: no image of phase 'train'"),
  ],
)
def test_other_files_are_refused(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    write(tmp_path, 2, **changes)


def test_cut_file_is_refused(tmp_path):
  write(tmp_path, 2)
  path = tmp_path / "a.json"
  path.write_bytes(path.read_bytes()[:-9])
  with pytest.raises(ValueError, match=r"a\.json: not valid JSON"):
    read(tmp_path)


def test_missing_photo_is_named(tmp_path):
  write(tmp_path, 2)
  (tmp_path / "JPEGImages/a.jpg").unlink()
  with pytest.raises(FileNotFoundError, match=r"JPEGImages/a\.jpg: no such file, but .*a\.json"):
    read(tmp_path)


@pytest.mark.parametrize("category", [-1, 10**9])
def test_category_that_is_no_id(category, tmp_path):
  message = rf"image a, mask 0 \(category {category}\): the category is no id"
  with pytest.raises(ValueError, match=message):
    detail.draw(write(tmp_path, category)["train"][0])


def test_mask_of_another_size_is_named(tmp_path):
  mask = {"size": [5, 4], "counts": "09"}
  entry = {"image_id": 0, "category_id": 2, "segmentation": mask}
  item = write(tmp_path, annos_segmentation=[entry])["train"][0]
  message = r"image a, mask 0 \(category 2\): size \[5, 4\]; expected \[4, 5\]"
  with pytest.raises(ValueError, match=message):
    detail.draw(item)
