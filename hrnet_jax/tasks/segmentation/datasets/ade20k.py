"""ADE20K's scene parsing challenge: scenes of all kinds with 150 classes.

In the label files 0 is anything else and is ignored; 1 to 150 are the classes.
"""

from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base
from hrnet_jax.tasks.segmentation.datasets import published
from hrnet_jax.tasks.segmentation.datasets.ade20k_classes import CLASSES


def _split(name, official):
  return published.SplitLayout(
    lists=(f"{name}.lst",),
    images=(f"{name}/image", f"images/{official}"),
    labels=(f"{name}/label", f"annotations/{official}"),
  )


class Ade20k(published.Published, skip_registration=True):
  """Scenes with a class for every pixel."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; ids from 0, the rest ignored."}
  SOURCE_LAYOUT = (
    "{train,val}/image/*.jpg and {train,val}/label/*.png, or images/{training,validation}/*.jpg "
    "and annotations/{training,validation}/*.png; all that or in a folder ade20k/ or "
    "ADEChallengeData2016/"
  )
  LAYOUT = published.Layout(
    roots=("ade20k", "ADEChallengeData2016"),
    list_folder="ade20k",
    splits={"train": _split("train", "training"), "val": _split("val", "validation")},
  )
  FACTS = DatasetInfo(
    class_names=tuple(CLASSES),
    palette=tuple(CLASSES.values()),
    class_ids=tuple(range(1, len(CLASSES) + 1)),
  )
  STORED_IDS: ClassVar = {0: base.IGNORED} | {i + 1: i for i in range(len(CLASSES))}
