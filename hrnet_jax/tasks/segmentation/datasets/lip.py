"""LIP, single persons with nineteen garments and parts of the body, and background.

Ids and order are the data set's own (Gong et al., "Look into Person"); the colours are those of
its authors' code. The files' ids are stored as they are.
"""

from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.segmentation.datasets import published

CLASSES: dict[str, tuple[int, int, int]] = {
  "background": (0, 0, 0),
  "hat": (128, 0, 0),
  "hair": (255, 0, 0),
  "glove": (0, 85, 0),
  "sunglasses": (170, 0, 51),
  "upper-clothes": (255, 85, 0),
  "dress": (0, 0, 85),
  "coat": (0, 119, 221),
  "socks": (85, 85, 0),
  "pants": (0, 85, 85),
  "jumpsuits": (85, 51, 0),
  "scarf": (52, 86, 128),
  "skirt": (0, 128, 0),
  "face": (0, 0, 255),
  "left arm": (51, 170, 221),
  "right arm": (0, 255, 255),
  "left leg": (85, 255, 170),
  "right leg": (170, 255, 85),
  "left shoe": (255, 255, 0),
  "right shoe": (255, 170, 0),
}
FLIP_PAIRS = ((14, 15), (16, 17), (18, 19))  # what is left becomes right in a mirror


def _split(name):
  images, labels = f"{name}_images", f"{name}_segmentations"
  return published.SplitLayout(
    lists=(f"{name}List.txt", f"{name}.lst"),
    images=(f"TrainVal_images/{images}", f"TrainVal_images/TrainVal_images/{images}", images),
    labels=(
      f"TrainVal_parsing_annotations/{labels}",
      f"TrainVal_parsing_annotations/TrainVal_parsing_annotations/{labels}",
      labels,
    ),
  )


class Lip(published.Published, skip_registration=True):
  """Persons with a garment or part of the body for every pixel."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image and label bytes untouched."}
  SOURCE_LAYOUT = (
    "TrainVal_images/{train,val}_images/*.jpg and "
    "TrainVal_parsing_annotations/{train,val}_segmentations/*.png; all that or in a folder lip/"
  )
  LAYOUT = published.Layout(
    roots=("lip",), list_folder="lip", splits={name: _split(name) for name in ("train", "val")}
  )
  FACTS = DatasetInfo(
    class_names=tuple(CLASSES), palette=tuple(CLASSES.values()), flip_pairs=FLIP_PAIRS
  )
  STORED_IDS: ClassVar = {i: i for i in range(len(CLASSES))}
  UNIONS: ClassVar = {}
