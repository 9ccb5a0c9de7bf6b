"""COCO-Stuff 10k: photos of COCO with 80 things and 91 kinds of stuff, 171 classes.

In the label files 0 is unlabelled and eleven further ids stand for things that COCO gave up; both
are ignored. The others are counted from 0 in their order.
"""

from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.tasks.segmentation.datasets import published
from hrnet_jax.tasks.segmentation.datasets.cocostuff10k_classes import CLASSES, UNUSED


class Cocostuff10k(published.Published, skip_registration=True):
  """Photos with a class for every pixel."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; ids from 0, the rest ignored."}
  SOURCE_LAYOUT = (
    "{train,val}/image/*.jpg and {train,val}/label/*.png; all that or in a folder cocostuff/"
  )
  LAYOUT = published.Layout(
    roots=("cocostuff", "coco_stuff_10k"),
    list_folder="cocostuff",
    splits={
      split: published.SplitLayout((f"{split}.lst",), (f"{split}/image",), (f"{split}/label",))
      for split in ("train", "val")
    },
  )
  FACTS = DatasetInfo(
    class_names=tuple(CLASSES.values()),
    palette=tuple(folders.make_colour(index) for index in range(len(CLASSES))),
    class_ids=tuple(CLASSES),
  )
  STORED_IDS: ClassVar = dict.fromkeys((0, *UNUSED), base.IGNORED) | {
    number: index for index, number in enumerate(CLASSES)
  }
