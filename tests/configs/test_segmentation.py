"""The published experiments of semantic segmentation, row by row, against their configs."""

import dataclasses
import pathlib
import re

from flax import traverse_util
import jax
import ml_collections
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax import config as configs
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.convert.reference import reference_of
from hrnet_jax.convert.rules import torch_name
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig
from hrnet_jax.training import optimizer

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "configs.md"
OHEM = {"threshold": 0.9, "min_kept": 131072}
LIP_PAIRS = ((14, 15), (16, 17), (18, 19))
SGD = {"momentum": 0.9, "clip_norm": 0.0, "schedule": {"name": "poly", "power": 0.9}}

# Data set of each folder, size and crop base (h, w) of training, and what the test is like.
DATA = {
  "cityscapes": ("cityscapes", (512, 1024), 2048, ("whole", 2048, (1024, 2048), {})),
  "lip": (
    "lip", (473, 473), 473,
    ("windows", 473, (473, 473), {"flip": True, "flip_pairs": LIP_PAIRS, "resize": (473, 473)}),
  ),
  "pascal_ctx": ("pascal_context", (480, 480), 520, ("windows", 520, (480, 480), {})),
}  # fmt: skip
_O = ("windows", 520, (520, 520), {"short_side": 520})
DATA_O = DATA | {
  "pascal_ctx": ("pascal_context", (520, 520), 520, _O),
  "cocostuff": ("cocostuff10k", (520, 520), 520, _O),
  "ade20k": ("ade20k", (520, 520), 520, (*_O[:3], {"short_side": 520, "keep_padding": True})),
}
EVAL = {
  "cityscapes": {},
  "lip": {"resize": (473, 473), "size": (473, 473)},
  "pascal_ctx": {"resize": (480, 480), "size": (480, 480)},
}
EVAL_O = {"short_side": 520, "center_crop": (520, 520), "size": (520, 520)}


# Options that only some of the experiments have, as the transforms have them otherwise.
TRAIN_DEFAULTS = {"brightness": False, "flip_pairs": None, "resize": None, "short_side": None}
EVAL_DEFAULTS = dict.fromkeys(("resize", "short_side", "base_size", "center_crop", "size"))


@dataclasses.dataclass(frozen=True)
class Row:
  """A line of the reference's experiments.

  Attributes:
    name: of its file, under `experiments/`.
    classes: K.
    gpus: number of GPUs and images on each.
    epochs: of the (first) phase.
    rate: base learning rate.
    decay: of weights.
    loss: `ce`, `ohem`; with `+w` class weights, with `ocr` two outputs.
    factor: SCALE_FACTOR.
    validation: images of validation in training, 0 is all.
    test_batch: images on each GPU in validation.
    aligned: ALIGN_CORNERS.
    variant: of the network.
    ten: whether the head learns at ten times the rate.
    split: of training.
    extra: whether a phase of as many epochs on trainval follows, from a rate of 0.001.
  """

  name: str
  classes: int
  gpus: tuple[int, int]
  epochs: int
  rate: float
  decay: float
  loss: str
  factor: int
  validation: int
  test_batch: int
  aligned: bool = False
  variant: str = "w48"
  ten: bool = False
  split: str = "train"
  extra: bool = False


def mv(name: str, *values: object, **options: object) -> Row:
  """A row of the branches master and pytorch-v1.1."""
  return Row(name, *values, **options)


def o(name: str, aligned: str, *values: object, **options: object) -> Row:
  """A row of branch HRNet-OCR, where validation has the batch of training."""
  return Row(name, *values, values[1][1], aligned=aligned == "T", **options)


CS = "cityscapes/seg_hrnet_"
CS_TAIL = "512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484"
CS_16 = CS_TAIL.replace("bs_12", "bs_16") + "_paddle"
LIP = "473x473_sgd_lr7e-3_wd5e-4_bs_40_epoch150"
CTX = "520x520_sgd_lr1e-3_wd1e-4_bs_16_epoch200"
COCO = "sgd_lr1e-3_wd1e-4_bs_16_epoch110"
ADE = "sgd_lr2e-2_wd1e-4_bs_16_epoch120"

# fmt: off
MASTER = [
  mv(f"{CS}w18_small_v1_{CS_TAIL}", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0, 4,
     variant="w18_small_v1"),
  mv(f"{CS}w18_small_v2_{CS_TAIL}", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0, 4,
     variant="w18_small_v2"),
  mv(f"{CS}w48_train_{CS_TAIL}", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0, 4),
  mv(f"{CS}w48_train_ohem_{CS_TAIL}", 19, (4, 3), 484, 0.01, 5e-4, "ohem+w", 16, 0, 4),
  mv(f"{CS}w48_trainval_{CS_TAIL}x2", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0, 4, extra=True),
  mv(f"{CS}w48_trainval_ohem_{CS_TAIL}x2", 19, (4, 3), 484, 0.01, 5e-4, "ohem+w", 16, 0, 4,
     extra=True),
  mv(f"lip/seg_hrnet_w48_{LIP}", 20, (4, 10), 150, 0.007, 5e-4, "ce", 11, 2000, 16),
  mv("pascal_ctx/seg_hrnet_w48_cls59_480x480_sgd_lr4e-3_wd1e-4_bs_16_epoch200", 59, (4, 4), 200,
     0.004, 1e-4, "ce", 16, 0, 16),
  mv("pascal_ctx/seg_hrnet_w48_cls60_480x480_sgd_lr4e-3_wd1e-4_bs_16_epoch200", 60, (4, 4), 200,
     0.004, 1e-4, "ce", 16, 0, 16),
]
OCR_BRANCH = [
  o(f"{CS}w48_train_{CS_TAIL}", "F", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0),
  o(f"{CS}w48_train_{CS_TAIL}_paddle", "F", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0),
  o(f"{CS}w48_train_{CS_16}", "F", 19, (4, 2), 484, 0.01, 5e-4, "ce+w", 16, 0),
  o(f"{CS}w48_train_ohem_{CS_TAIL}", "F", 19, (4, 3), 484, 0.01, 5e-4, "ohem+w", 16, 0),
  o(f"{CS}w48_trainval_{CS_TAIL}x2", "F", 19, (4, 3), 484, 0.01, 5e-4, "ce+w", 16, 0, extra=True),
  o(f"{CS}w48_trainval_ohem_{CS_TAIL}x2", "F", 19, (4, 3), 484, 0.01, 5e-4, "ohem+w", 16, 0,
    extra=True),
  o(f"{CS}ocr_w48_train_{CS_TAIL}", "T", 19, (4, 3), 484, 0.01, 5e-4, "ocr ce+w", 16, 0),
  o(f"{CS}ocr_w48_train_{CS_16}", "T", 19, (8, 2), 484, 0.01, 5e-4, "ocr ce+w", 16, 0),
  o(f"{CS}ocr_w48_trainval_{CS_TAIL}", "T", 19, (4, 3), 484, 0.01, 5e-4, "ocr ce+w", 16, 0,
    split="trainval"),
  o(f"lip/seg_hrnet_w48_{LIP}", "F", 20, (4, 10), 150, 0.007, 5e-4, "ce", 11, 2000),
  o(f"lip/seg_hrnet_w48_{LIP}_paddle", "F", 20, (4, 10), 150, 0.007, 5e-4, "ce", 11, 2000),
  o(f"lip/seg_hrnet_ocr_w48_{LIP}", "T", 20, (4, 10), 150, 0.007, 5e-4, "ocr ce", 11, 2000),
  o(f"pascal_ctx/seg_hrnet_w48_cls59_{CTX}", "F", 59, (4, 4), 200, 0.001, 1e-4, "ce", 16, 0,
    ten=True),
  o(f"pascal_ctx/seg_hrnet_w48_cls59_{CTX}_paddle", "F", 59, (4, 4), 200, 0.001, 1e-4, "ce", 16, 0,
    ten=True),
  o(f"pascal_ctx/seg_hrnet_ocr_w48_cls59_{CTX}", "T", 59, (4, 4), 200, 0.001, 1e-4, "ocr ce", 16, 0,
    ten=True),
  o(f"pascal_ctx/seg_hrnet_ocr_w48_cls60_{CTX}", "T", 60, (4, 4), 200, 0.001, 1e-4, "ocr ce", 16, 0,
    ten=True),
  o(f"cocostuff/seg_hrnet_w48_520x520_{COCO}", "T", 171, (4, 4), 110, 0.001, 1e-4, "ce", 16, 200,
    ten=True),
  o(f"cocostuff/seg_hrnet_w48_520x520_ohem_{COCO}", "T", 171, (4, 4), 110, 0.001, 1e-4, "ohem", 16,
    200, ten=True),
  o(f"cocostuff/seg_hrnet_w48_520x520_ohem_{COCO}_paddle", "T", 171, (8, 2), 110, 0.001, 1e-4,
    "ohem", 16, 200, ten=True),
  o(f"cocostuff/seg_hrnet_ocr_w48_520x520_ohem_{COCO}", "T", 171, (4, 4), 110, 0.001, 1e-4,
    "ocr ohem", 16, 200, ten=True),
  o(f"cocostuff/seg_hrnet_ocr_w48_520x520_ohem_{COCO}_paddle", "T", 171, (8, 2), 110, 0.001, 1e-4,
    "ocr ohem", 16, 200, ten=True),
  o(f"ade20k/seg_hrnet_w48_520x520_{ADE}", "T", 150, (4, 4), 120, 0.02, 1e-4, "ce", 11, 200),
  o(f"ade20k/seg_hrnet_w48_520x520_ohem_{ADE}", "T", 150, (4, 4), 120, 0.02, 1e-4, "ohem", 11, 200),
  o(f"ade20k/seg_hrnet_w48_520x520_ohem_{ADE}_paddle", "T", 150, (8, 2), 120, 0.02, 1e-4, "ohem",
    11, 200),
  o(f"ade20k/seg_hrnet_ocr_w48_520x520_ohem_{ADE}", "T", 150, (4, 4), 120, 0.02, 1e-4, "ocr ohem",
    16, 200),
  o(f"ade20k/seg_hrnet_ocr_w48_520x520_ohem_{ADE}_paddle", "T", 150, (8, 2), 120, 0.02, 1e-4,
    "ocr ohem", 16, 200),
]
# fmt: on
PUBLISHED = [(".", row) for row in MASTER] + [("ocr_branch", row) for row in OCR_BRANCH]

each_row = pytest.mark.parametrize(
  ("branch", "row"), PUBLISHED, ids=[f"{branch}/{row.name}" for branch, row in PUBLISHED]
)


# Branch and name of the reference's file -> config, as the docs have it.
NAMES = {
  ("ocr_branch" if branch == "HRNet-OCR" else ".", file): name
  for branch, file, name in re.findall(
    r"\| HRNet-Semantic-Segmentation, (\S+) \| `(\S+)\.yaml` \| `(\S+)` \|", PAGE.read_text()
  )
}


def load(branch: str, row: Row) -> ml_collections.ConfigDict:
  return configs.load(NAMES[branch, row.name])


def test_every_published_experiment_has_a_config_and_no_other_is_beside_them() -> None:
  assert len(MASTER) == 9
  assert len(OCR_BRANCH) == 26
  assert NAMES.keys() == {(branch, row.name) for branch, row in PUBLISHED}
  assert len(set(NAMES.values())) == 35
  folders = {*(f"segmentation/{data[0]}" for data in (DATA | DATA_O).values())}
  listed = {f"{x}:{name}" for x in folders for name in configs.module(x).EXPERIMENTS}
  assert set(NAMES.values()) == listed


@each_row
def test_model(branch: str, row: Row) -> None:
  model = load(branch, row).model.to_dict()
  assert model.pop("head") == ("ocr" if "ocr" in row.loss else "pixel")
  assert model == {
    "task": "segmentation",
    "variant": row.variant,
    "num_classes": row.classes,
    "upsample": "bilinear_aligned" if row.aligned else "bilinear",
    "bn_momentum": 0.1 if branch == "ocr_branch" else 0.01,
    "dtype": "float32",
    "init": "normal_0.001",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
    "representation": "v2",
    "channels": 3,
    "norm": "batch",
  }


@each_row
def test_loss(branch: str, row: Row) -> None:
  expected: dict = {"ignore": 255, "class_weights": None, "aux_weights": (), "ohem": {}}
  if "+w" in row.loss:
    expected["class_weights"] = "dataset"
  if "ocr" in row.loss:
    expected["aux_weights"] = (0.4, 1.0)
  if "ohem" in row.loss:
    expected["ohem"] = OHEM | {"num_groups": row.gpus[0]}
  assert load(branch, row).loss.to_dict() == expected


@each_row
def test_optimizer_and_length(branch: str, row: Row) -> None:
  config = load(branch, row)
  expected = SGD | {"name": "sgd", "learning_rate": row.rate, "weight_decay": row.decay}
  expected["multipliers"] = {"head": 10.0} if row.ten else {}
  assert config.optimizer.to_dict() == expected
  train = config.train.to_dict()
  assert (train["epochs"], train["steps"]) == (row.epochs, 0)
  assert train["batch_size"] == row.gpus[0] * row.gpus[1]
  phase = {"epochs": row.epochs, "split": "trainval", "learning_rate": 0.001}
  assert train["fine_tune"] == (phase if row.extra else {})


@each_row
def test_data_and_transforms(branch: str, row: Row) -> None:
  config, folder = load(branch, row), row.name.partition("/")[0]
  data, crop, base, _ = (DATA_O if branch == "ocr_branch" else DATA)[folder]
  assert config.data.name == data + ("60" if row.classes == 60 else "")
  assert (config.data.train_split, config.data.eval_split) == (row.split, "val")
  train = {"crop_size": crop, "base_size": base, "scale_factor": row.factor, "flip": True}
  if folder == "lip":
    train |= {"resize": crop, "flip_pairs": LIP_PAIRS}
  if crop == (520, 520):
    train["short_side"] = 520
  assert config.transform.train.to_dict() == TRAIN_DEFAULTS | train
  expected = EVAL_O if crop == (520, 520) else EVAL[folder]
  assert config.transform.eval.to_dict() == EVAL_DEFAULTS | expected


@each_row
def test_validation_and_test(branch: str, row: Row) -> None:
  config, folder = load(branch, row), row.name.partition("/")[0]
  assert config.eval.examples == row.validation
  assert config.eval.every_epochs == 1
  assert config.eval.batch_size == row.gpus[0] * row.test_batch
  kind, base, crop, options = (DATA_O if branch == "ocr_branch" else DATA)[folder][3]
  expected = MultiScaleConfig(kind=kind, base_size=base, crop_size=crop, **options)
  assert MultiScaleConfig(**config.eval.protocol) == expected
  # So that they can be set on the command line.
  assert {"scales", "flip"} <= set(config.eval.protocol)


@pytest.mark.parametrize(
  ("head", "keywords"), [("pixel", ["last_layer"]), ("ocr", ["cls", "aux", "ocr"])]
)
def test_the_path_head_is_what_the_keywords_of_the_reference_name(
  head: str, keywords: list[str]
) -> None:
  options = {"num_classes": 5, "upsample": "bilinear", "variant": "w18_small_v1", "head": head}
  model = hrnet_jax.build_model(task="segmentation", **options)
  params = jax.eval_shape(lambda: init_variables(model, 0))["params"]
  _, tx = optimizer.build(
    1, name="sgd", learning_rate=1.0, schedule={"name": "constant"}, multipliers={"head": 10.0}
  )
  ones = jax.tree.map(lambda x: np.ones((), x.dtype), params)
  rates = traverse_util.flatten_dict(tx.update(ones, tx.init(ones), ones)[0])
  scheme = reference_of("segmentation").schemes[""]
  named = {path: any(word in torch_name(path, scheme) for word in keywords) for path in rates}
  assert set(named.values()) == {True, False}
  for path, rate in rates.items():
    assert rate == (-10 if named[path] else -1), path
