"""Files for the judges of a data set: official ids, official colours, names of the images."""

import types

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.inference import results


def dataset(class_ids):
  return types.SimpleNamespace(
    class_names=("road", "car", "sky"),
    palette=((128, 64, 128), (0, 0, 142), (70, 130, 180)),
    class_ids=class_ids,
  )


@pytest.mark.parametrize(("class_ids", "expected"), [((7, 26, 23), [7, 26, 23]), ((), [0, 1, 2])])
def test_label_map_has_official_ids_and_colours(tmp_path, class_ids, expected):
  writer = results.open_writer("segmentation", tmp_path / "out", dataset(class_ids))
  prediction = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
  writer.add(0, prediction, {"name": "munich/munich_000001_leftImg8bit"})
  image = Image.open(tmp_path / "out" / "munich" / "munich_000001_leftImg8bit.png")
  assert image.mode == "P"
  assert np.asarray(image).tolist() == [expected, expected[::-1]]
  colours = np.asarray(image.convert("RGB"))
  assert colours[0].tolist() == [[128, 64, 128], [0, 0, 142], [70, 130, 180]]


def test_a_task_without_result_files_is_said(tmp_path):
  with pytest.raises(ValueError, match="no result files for task 'juggling'; known: "):
    results.open_writer("juggling", tmp_path, dataset(()))
