"""Cityscapes, streets of fifty cities seen from a driving car, with nineteen classes.

Label files `*_labelIds.png` hold 34 ids, of which nineteen are classes ("train ids" 0 to 18) and
the others ignored. The licence plate, id -1, is 255 in the files. Classes and colours are those of
the data set's own scripts; the weights in the loss are the reference's, `cityscapes.py` in
`lib/datasets` of HRNet/HRNet-Semantic-Segmentation.
"""

from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base
from hrnet_jax.tasks.segmentation.datasets import published

# name: id in the files, weight in the loss, colour
CLASSES: dict[str, tuple[int, float, tuple[int, int, int]]] = {
  "road": (7, 0.8373, (128, 64, 128)),
  "sidewalk": (8, 0.918, (244, 35, 232)),
  "building": (11, 0.866, (70, 70, 70)),
  "wall": (12, 1.0345, (102, 102, 156)),
  "fence": (13, 1.0166, (190, 153, 153)),
  "pole": (17, 0.9969, (153, 153, 153)),
  "traffic light": (19, 0.9754, (250, 170, 30)),
  "traffic sign": (20, 1.0489, (220, 220, 0)),
  "vegetation": (21, 0.8786, (107, 142, 35)),
  "terrain": (22, 1.0023, (152, 251, 152)),
  "sky": (23, 0.9539, (70, 130, 180)),
  "person": (24, 0.9843, (220, 20, 60)),
  "rider": (25, 1.1116, (255, 0, 0)),
  "car": (26, 0.9037, (0, 0, 142)),
  "truck": (27, 1.0865, (0, 0, 70)),
  "bus": (28, 1.0955, (0, 60, 100)),
  "train": (31, 1.0865, (0, 80, 100)),
  "motorcycle": (32, 1.1529, (0, 0, 230)),
  "bicycle": (33, 1.0507, (119, 11, 32)),
}
NUM_IDS = 34
_IDS, _WEIGHTS, _COLOURS = zip(*CLASSES.values(), strict=True)


class Cityscapes(published.Published, skip_registration=True):
  """Street scenes with a class for every pixel; the labels of `test` are not public."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; labels as train ids."}
  SOURCE_LAYOUT = (
    "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and gtFine/{train,val}/CITY/"
    "*_gtFine_labelIds.png, and perhaps leftImg8bit/test; all that or in a folder cityscapes/"
  )
  LAYOUT = published.Layout(
    roots=("cityscapes",),
    list_folder="cityscapes",
    splits={
      split: published.SplitLayout(
        lists=(f"{split}.lst",),
        images=(f"leftImg8bit/{split}",),
        labels=(f"gtFine/{split}",) if split != "test" else (),
        image_ending="_leftImg8bit",
        label_ending="_gtFine_labelIds",
      )
      for split in ("train", "val", "test")
    },
    optional=("test",),
  )
  FACTS = DatasetInfo(
    class_names=tuple(CLASSES), palette=_COLOURS, class_weights=_WEIGHTS, class_ids=_IDS
  )
  STORED_IDS: ClassVar = dict.fromkeys((*range(NUM_IDS), base.IGNORED), base.IGNORED) | {
    number: index for index, number in enumerate(_IDS)
  }
