"""PASCAL-Context: the photos of VOC 2010 with 59 classes, or with background as a sixtieth.

Labels come from `trainval_merged.json` of PASCAL in Detail where it is found, as on the branches
`master` and `pytorch-v1.1` of HRNet/HRNet-Semantic-Segmentation, and only without it from prepared
PNG files with the ids 0 (background) to 59, as on its branch `HRNet-OCR`. With 59 classes the
background is ignored and each class has one less.
"""

import pathlib
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.regular_files import read_regular
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs, published
from hrnet_jax.tasks.segmentation.datasets import pascal_context_detail as detail
from hrnet_jax.tasks.segmentation.datasets.pascal_context_classes import CLASSES

_COLOURS = ((0, 0, 0), *(folders.make_colour(index) for index in range(len(CLASSES) - 1)))


class PascalContext60(published.Published, skip_registration=True):
  """Photos with a class for every pixel, background among the 60 classes."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; ids by position."}
  SOURCE_LAYOUT = (
    "VOCdevkit/VOC2010/ with trainval_merged.json and JPEGImages/*.jpg; or, without that file, "
    "{train,val}.lst (an image and its PNG label with ids 0 to 59 a line), or {train,val}/image/ "
    "and {train,val}/label/; all that or in a folder pascal_ctx/"
  )
  LAYOUT = published.Layout(
    roots=(
      "pascal_ctx/VOCdevkit/VOC2010",
      "VOCdevkit/VOC2010",
      "VOC2010",
      "pascal_ctx",
      "pascal_context",
    ),
    list_folder="pascal_ctx",
    splits={
      split: published.SplitLayout((f"{split}.lst",), (f"{split}/image",), (f"{split}/label",))
      for split in ("train", "val")
    },
  )
  FACTS = DatasetInfo(
    class_names=tuple(CLASSES.values()), palette=_COLOURS, class_ids=tuple(CLASSES)
  )
  STORED_IDS: ClassVar = {i: i for i in (*range(len(CLASSES)), base.IGNORED)}

  def plan(self, source: pathlib.Path | None) -> dict[str, list[base.Entry]]:
    """Photos of the JSON file, or pairs if there is none."""
    root = published.find_root(source, self.LAYOUT.roots, lambda p: (p / detail.FILE).is_file())
    if root is None:
      return super().plan(source)
    folders.require_folder(root / "JPEGImages", self.SOURCE_LAYOUT)
    return detail.read_entries(root / detail.FILE, root / "JPEGImages", self.reading(source))

  def record(self, entry: detail.DetailEntry | image_label_pairs.Pair) -> dict[str, Any]:
    """Draws the label of one photo, or checks one pair."""
    if isinstance(entry, image_label_pairs.Pair):
      return super().record(entry)
    data = read_regular(entry.image)
    name = f"{entry.json_file}, image {entry.name}"
    image_label_pairs.require_same_size(
      name, entry.shape, entry.image, images.decode_image(data, str(entry.image)).shape[:2]
    )
    stored = {number: self.STORED_IDS[index] for index, number in enumerate(CLASSES)}
    label = image_label_pairs.map_ids(detail.draw(entry), stored, name)
    return {"image": data, "label": images.encode_png(label), "name": entry.name}


class PascalContext(PascalContext60, skip_registration=True):
  """Photos with one of 59 classes for every pixel, background ignored."""

  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; background ignored."}
  FACTS = DatasetInfo(
    class_names=tuple(CLASSES.values())[1:],
    palette=_COLOURS[1:],
    class_ids=tuple(CLASSES)[1:],
  )
  STORED_IDS: ClassVar = {0: base.IGNORED, base.IGNORED: base.IGNORED} | {
    i: i - 1 for i in range(1, len(CLASSES))
  }
