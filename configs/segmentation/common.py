"""Blocks that the segmentation configs share; sources: the experiments of the reference.

`base` is for small runs from scratch, `published` for the recipes of
HRNet/HRNet-Semantic-Segmentation.
"""

from typing import Any

import ml_collections

from configs import common

# Hard example mining; `num_groups` is the number of the reference's GPUs, on each of which it
# selects.
OHEM = {"threshold": 0.9, "min_kept": 131072, "num_groups": 4}
# What every data set of the reference may be trained with.
WORDS = ("ocr", "ohem")


def base(variant: str, data: str, *, num_classes: int) -> ml_collections.ConfigDict:
  """Everything but crops, rate and length.

  Args:
    variant: of the network.
    data: name of the data set.
    num_classes: of it.
  """
  config = common.base(
    "segmentation", variant, data, num_classes=num_classes, representation="v2", head="pixel"
  )
  config.transform.train = {
    "crop_size": (512, 512),
    "base_size": None,  # to which the long side is brought before scaling
    "scale_factor": 16,  # scales from 0.5 to 0.5 + this / 10
    "flip": True,
    "flip_pairs": None,  # classes that change places in the mirrored image
    "resize": None,
    "short_side": None,
    "brightness": False,
  }
  config.transform.eval = {
    "resize": None,
    "short_side": None,
    "base_size": None,
    "center_crop": None,
    "size": None,
  }
  config.loss = {"ignore": 255, "class_weights": None, "aux_weights": (), "ohem": {}}
  return config


def published(variant: str, data: str, *, num_classes: int) -> ml_collections.ConfigDict:
  """The part of the reference's recipes that is the same for all of its data sets."""
  config = base(variant, data, num_classes=num_classes)
  config.model.update({"bn_momentum": 0.01, "init": "normal_0.001"})
  config.data.workers = 8
  config.eval.protocol = protocol()
  return config


def protocol(**values: Any) -> dict[str, Any]:
  """How `hrnet eval` tests: the block `eval.protocol` with all of its keys."""
  return {
    "kind": "windows",
    "base_size": 520,
    "crop_size": (520, 520),
    "scales": (1.0,),
    "flip": False,
    "flip_pairs": (),
    "resize": None,
    "short_side": None,
    "stride": 8,
    "keep_padding": False,
  } | values


def short_side_520(config: ml_collections.ConfigDict) -> None:
  """Crops of 520 pixels of images whose short side has 520: what branch HRNet-OCR does.

  Validation in training looks at the centre of the images, where the reference crops at random.
  """
  config.transform.train.update({"crop_size": (520, 520), "base_size": 520, "short_side": 520})
  config.transform.eval.update({"short_side": 520, "center_crop": (520, 520), "size": (520, 520)})
  config.eval.protocol.update({"crop_size": (520, 520), "short_side": 520})


def use_ocr(config: ml_collections.ConfigDict) -> None:
  """The object-contextual head, its auxiliary output, and the interpolation that goes with it."""
  config.model.update({"head": "ocr", "upsample": "bilinear_aligned"})
  config.loss.aux_weights = (0.4, 1.0)
