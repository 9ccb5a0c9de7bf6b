"""The DataLoader's examples are ours where the decisions are equal."""

import pathlib

import cv2
import numpy as np
import pytest

from benchmarks import jax_side
from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.segmentation.transforms import SegmentationTrainTransform
from tests.helpers import miniatures

pytest.importorskip("torch")
pytestmark = pytest.mark.torch
NUM = 6


@pytest.fixture
def camvid(tmp_path: pathlib.Path) -> pathlib.Path:
  """CamVid in miniature, prepared."""
  source = tmp_path / "source"
  for split in ("train", "val"):
    for index in range(NUM):
      photo, label = source / split / f"{index}.jpg", source / f"{split}annot" / f"{index}.png"
      for path in (photo, label):
        path.parent.mkdir(parents=True, exist_ok=True)
      photo.write_bytes(images.encode_jpeg(miniatures.photo(index), 92))
      label.write_bytes(images.encode_png(miniatures.random_label(range(12), (64, 96), index)))
  prepared.prepare("camvid", tmp_path / "data", source=source)
  return tmp_path / "data"


def test_equal_decisions_give_equal_examples(camvid: pathlib.Path, tmp_path: pathlib.Path) -> None:
  from benchmarks import torch_side

  folder = tmp_path / "files"
  jax_side.write_files(str(camvid), str(folder))
  transform = SegmentationTrainTransform(crop_size=(48, 64), base_size=96, scale_factor=11)
  files = torch_side.CamvidFiles(folder, "train", transform)
  source = prepared.open_dataset("camvid", camvid).source("train")
  torch_side.check(files, source, transform)

  image, label = files[0]
  assert (image.shape, image.dtype) == ((3, 48, 64), np.float32)
  assert (label.shape, label.dtype) == ((48, 64), np.int32)

  path = str(folder / "trainannot" / f"{source[0]['name']}.png")
  cv2.imwrite(path, 10 - cv2.imread(path, cv2.IMREAD_GRAYSCALE))
  with pytest.raises(ValueError, match=f"{source[0]['name']}: the loaders' examples differ"):
    torch_side.check(files, source, transform)


def test_the_contender_reads_full_batches(camvid: pathlib.Path, tmp_path: pathlib.Path) -> None:
  from benchmarks import torch_side

  folder = tmp_path / "files"
  jax_side.write_files(str(camvid), str(folder))
  given = {"data_dir": str(camvid), "crop": (48, 64), "batch_size": 4}
  contender = torch_side.loader(**given, workers=0, folder=str(folder))
  assert 0 < contender.run(2) < 5
