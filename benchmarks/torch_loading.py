"""The reference's training examples of a segmentation set in a DataLoader: files -> batches.

Written after the order of operations of lib/datasets/base_dataset.py in
HRNet/HRNet-Semantic-Segmentation (`gen_sample`), with its libraries: OpenCV on the host, float32
images `(3, h, w)` and int32 labels `(h, w)` to the network. Needs the extra `torch`.
"""

from collections.abc import Sequence
import pathlib
import random

import cv2
import numpy as np
import torch
from torch.utils import data

from benchmarks import apart, camvid_ours
from hrnet_jax.data import images
from hrnet_jax.data.inputs import open_dataset
from hrnet_jax.ops.normalize import MEAN, STD
from hrnet_jax.tasks.segmentation.transforms import SegmentationTrainTransform, read

CHECKED = 8  # examples that are compared with ours
_EQUAL = 1e-5  # of normalised values; one grey level is 0.017
_ENDLESS = 10**7
Example = tuple[np.ndarray, np.ndarray]


class Files(data.Dataset):
  """Photos and labels of a split in CamVid's folders, with the augmentation of a config."""

  def __init__(self, folder: pathlib.Path, split: str, transform: SegmentationTrainTransform):
    """Takes the numbers of the transform, none of its code."""
    self._photos = {path.stem: path for path in sorted((folder / split).iterdir())}
    self._names = list(self._photos)
    self._labels = folder / f"{split}annot"
    self._crop, self._base = transform.crop_size, transform.base_size
    self._scales, self._ignore = transform.scale_factor, transform.ignore

  def __len__(self) -> int:
    return len(self._photos)

  def __getitem__(self, index: int) -> Example:
    image, label = self.read(self._names[index])
    image, label = self.scale(image, label, 0.5 + random.randint(0, self._scales) / 10.0)
    x = random.randint(0, image.shape[1] - self._crop[1])
    y = random.randint(0, image.shape[0] - self._crop[0])
    return self.finish(image, label, x, y, np.random.choice(2) == 0)  # noqa: NPY002

  def read(self, name: str) -> Example:
    """BGR photo `(H, W, 3)` and label `(H, W)`, both uint8."""
    label = cv2.imread(str(self._labels / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    return cv2.imread(str(self._photos[name]), cv2.IMREAD_COLOR), label

  def scale(self, image: np.ndarray, label: np.ndarray, factor: float) -> Example:
    """Resizes to a multiple of the base size and fills up to the crop's size."""
    height, width = image.shape[:2]
    long = int(self._base * factor + 0.5)
    if height > width:
      size = (int(width * long / height + 0.5), long)
    else:
      size = (long, int(height * long / width + 0.5))
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    bottom, right = max(self._crop[0] - size[1], 0), max(self._crop[1] - size[0], 0)
    if bottom or right:
      edges = (0, bottom, 0, right, cv2.BORDER_CONSTANT)
      image = cv2.copyMakeBorder(image, *edges, value=(0.0, 0.0, 0.0))
      label = cv2.copyMakeBorder(label, *edges, value=(self._ignore,))
    return image, label

  def finish(self, image: np.ndarray, label: np.ndarray, x: int, y: int, flip: bool) -> Example:
    """Crop, normalisation and mirror."""
    window = np.s_[y : y + self._crop[0], x : x + self._crop[1]]
    image = image[window].astype(np.float32)[:, :, ::-1]
    image = image / 255.0
    image -= np.array(MEAN, np.float32)
    image /= np.array(STD, np.float32)
    image, label = image.transpose(2, 0, 1), label[window].astype(np.int32)
    if flip:
      image, label = image[:, :, ::-1], label[:, ::-1]
    return image.copy(), label.copy()


def loader(
  data_dir: str | None,
  crop: Sequence[int] | None,
  batch_size: int | None,
  *,
  workers: int,
  folder: str,
) -> apart.Rival:
  """Endless shuffled batches.

  Args:
    data_dir, crop, batch_size: see `camvid_ours.make_config`; the images are compared with ours.
    workers: processes; 0 prepares batches when they are asked for.
    folder: CamVid's, with the files.

  Raises:
    ValueError: an image or label differs from ours.
  """
  config = camvid_ours.make_config(data_dir, crop, batch_size)
  transform = SegmentationTrainTransform(**config.transform.train)
  files = Files(pathlib.Path(folder), config.data.train_split, transform)
  check(files, open_dataset(config).source(config.data.train_split), transform)
  batches = data.DataLoader(
    files,
    batch_size=config.train.batch_size,
    sampler=data.RandomSampler(files, num_samples=_ENDLESS),
    num_workers=workers,
    drop_last=True,
  )
  batches = iter(batches)
  next(batches)
  return apart.Rival({"torch": torch.__version__}, camvid_ours.read_from(batches))


def check(files: Files, source: Sequence[dict], transform: SegmentationTrainTransform) -> None:
  """Refuses to go on unless the same decisions give the same example here and in our transform.

  Raises:
    ValueError: they do not.
  """
  rng = np.random.default_rng(0)
  for record in [source[i] for i in range(min(CHECKED, len(source)))]:
    record = record | {"image": images.decode_image(record["image"], record["name"])}
    image, label = read(record)
    decisions = transform.draw(rng, label.shape)
    ours = transform.apply(image, label, decisions)
    scaled = files.scale(*files.read(record["name"]), decisions.scale)
    theirs = files.finish(*scaled, decisions.x, decisions.y, decisions.flip)
    wanted = ((ours["image"] / 255.0 - MEAN) / STD).transpose(2, 0, 1)
    far = float(np.abs(theirs[0] - wanted).max())
    if far > _EQUAL or (theirs[1] != ours["label"]).any():
      raise ValueError(f"{record['name']}: the loaders' examples differ, images by up to {far:.2g}")
