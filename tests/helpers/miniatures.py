"""Published data sets in miniature: a few photos in the files and folders in which they come.

Each function writes a source folder for `prepare` and returns it. The photos are pieces of four of
CamVid; the labels are random blocks with the ids that the real files have.
"""

import functools
import json
import pathlib

import cv2
import numpy as np

from hrnet_jax.data import images
from hrnet_jax.tasks.segmentation.datasets import cityscapes as cityscapes_builder
from hrnet_jax.tasks.segmentation.datasets import cocostuff10k_classes, pascal_context_classes

SOURCES = pathlib.Path(__file__).parents[1] / "golden/segmentation_transforms/sources.npz"
SIZE = (64, 96)
SIZES = ((64, 96), (80, 64), (72, 88), (64, 64))  # of the sets whose photos have several
NUM_TRAIN, NUM_VAL, NUM_TEST = 4, 2, 2
BLOCK = 16


def cityscapes(folder: pathlib.Path) -> pathlib.Path:
  """Train, val and test, the last without labels; label files of other kinds lie about, too."""
  ids = range(cityscapes_builder.NUM_IDS)
  for split, count in (("train", NUM_TRAIN), ("val", NUM_VAL), ("test", NUM_TEST)):
    for index in range(count):
      city = ("aachen", "bochum")[index % 2]
      name = f"{split}/{city}/{city}_{index:06}_000019"
      _write(folder / f"leftImg8bit/{name}_leftImg8bit.png", images.encode_png(photo(index)))
      if split != "test":
        label = images.encode_png(random_label(ids, SIZE, index))
        _write(folder / f"gtFine/{name}_gtFine_labelIds.png", label)
        _write(folder / f"gtFine/{name}_gtFine_instanceIds.png", b"not read")
        _write(folder / f"gtFine/{name}_gtFine_polygons.json", b"{}")
  return folder


def lip(folder: pathlib.Path) -> pathlib.Path:
  """The reference's `data` folder: `lip/` and, for `train`, a list of four columns in `list/`."""
  lines = []
  for split, count in (("train", NUM_TRAIN), ("val", NUM_VAL)):
    for index in range(count):
      name, size = f"{index}_{split}", SIZES[index % len(SIZES)]
      image = folder / f"lip/TrainVal_images/{split}_images/{name}.jpg"
      _write(image, images.encode_jpeg(photo(index, size), 90))
      label = f"{split}_segmentations/{name}.png"
      encoded = images.encode_png(random_label(range(20), size, index))
      _write(folder / "lip/TrainVal_parsing_annotations" / label, encoded)
      lines.append(f"{split}_images/{name}.jpg {label} reversed/{name}.png unused")
  _write(folder / "list/lip/trainList.txt", "\n".join(lines[:NUM_TRAIN]).encode())
  return folder


def pascal_context_json(folder: pathlib.Path) -> pathlib.Path:
  """`VOCdevkit/VOC2010` with the JSON file of PASCAL in Detail."""
  root = folder / "VOCdevkit/VOC2010"
  content: dict[str, list] = {"images": [], "annos_segmentation": []}
  splits = ["train"] * NUM_TRAIN + ["val"] * NUM_VAL
  for index, split in enumerate(splits):
    name, size = f"2008_{index:06}.jpg", SIZES[index % len(SIZES)]
    _write(root / "JPEGImages" / name, images.encode_jpeg(photo(index, size), 90))
    entry = {"image_id": 2008000000 + index, "file_name": name, "phase": split}
    content["images"].append(entry | {"height": size[0], "width": size[1]})
    label = random_label(pascal_context_classes.CLASSES, size, index)
    for category in np.unique(label[label > 0]).tolist():
      mask = {"size": list(size), "counts": encode_runs(label == category)}
      content["annos_segmentation"].append(
        {"image_id": entry["image_id"], "category_id": category, "segmentation": mask}
      )
  _write(root / "trainval_merged.json", json.dumps(content).encode())
  return folder


def pascal_context_png(folder: pathlib.Path) -> pathlib.Path:
  """Folders of photos and of labels with the ids 0 to 59."""
  return _folders(folder, range(60))


def ade20k(folder: pathlib.Path) -> pathlib.Path:
  """Folders of photos and of labels with the ids 0 to 150."""
  return _folders(folder, range(151))


def cocostuff10k(folder: pathlib.Path) -> pathlib.Path:
  """Folders of photos and of labels with the ids 0 to 182."""
  return _folders(folder, (0, *cocostuff10k_classes.CLASSES, *cocostuff10k_classes.UNUSED))


def photo(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
  """A part of a photo, shrunk to `size`: uint8 (H, W, 3)."""
  height, width = size
  whole = _photos()[index % len(_photos())]
  part = whole[: 4 * height, 5 * index : 5 * index + 4 * width]
  return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)


def random_label(ids, size: tuple[int, int], seed: int) -> np.ndarray:
  """Blocks of 16 pixels, each of one of `ids`: uint8 or, for greater ids, int32 (H, W)."""
  ids = np.array(list(ids))
  blocks = np.random.default_rng(seed).choice(ids, [-(-side // BLOCK) for side in size])
  label = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[: size[0], : size[1]]
  return label.astype(np.uint8 if ids.max() < 256 else np.int32)


def encode_runs(mask: np.ndarray) -> str:
  """COCO's compressed run-length code of a mask (H, W)."""
  changes = np.flatnonzero(np.diff(mask.T.ravel().astype(int), prepend=0))
  runs = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
  return "".join(_encode_number(n - (runs[i - 2] if i > 2 else 0)) for i, n in enumerate(runs))


def _encode_number(number):
  text = ""
  while True:
    low, number = number & 31, number >> 5
    done = number == (-1 if low & 16 else 0)
    text += chr(48 + (low if done else low | 32))
    if done:
      return text


def _folders(folder, ids):
  for split, count in (("train", NUM_TRAIN), ("val", NUM_VAL)):
    for index in range(count):
      size, name = SIZES[index % len(SIZES)], f"{split}_{index}"
      _write(folder / f"{split}/image/{name}.jpg", images.encode_jpeg(photo(index, size), 90))
      label = random_label(ids, size, index + 10 * (split == "val"))
      _write(folder / f"{split}/label/{name}.png", images.encode_png(label))
  return folder


@functools.cache
def _photos():
  sources = np.load(SOURCES)
  return [
    images.decode_image(sources[k].tobytes(), k) for k in sorted(sources) if k.endswith("jpg")
  ]


def _write(path, data):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data)
