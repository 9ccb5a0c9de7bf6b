"""Parts that are given up are initialised and listed; all else stays strict."""

from collections.abc import Callable

import numpy as np
import pytest

from hrnet_jax.convert import fit, origin
from hrnet_jax.convert.fitting import leaves


def trunk(names: object) -> set[str]:
  return {name for name in names if origin.is_backbone(name) and not origin.is_counter(name)}


@pytest.mark.parametrize("task", ["segmentation", "landmarks"])
def test_classification_weights_fill_the_backbone(
  toy: Callable, weights: Callable, task: str
) -> None:
  given = weights("classification")
  result = fit(toy(task), given, ["head"])
  assert {path[1] for path in result.loaded} == {"backbone"}
  assert {path[1] for path in result.initialised} == {"head"}
  assert len(result.loaded) == len(trunk(given))
  assert set(result.unused) == {n for n in given if not origin.is_counter(n)} - trunk(given)
  kernel = result.loaded["params", "backbone", "stem_1", "conv", "kernel"]
  np.testing.assert_array_equal(kernel, given["conv1.weight"].transpose(2, 3, 1, 0))


def test_every_leaf_is_loaded_or_initialised(toy: Callable, weights: Callable) -> None:
  model = toy("segmentation")
  result = fit(model, weights("landmarks"), ["head"])
  assert set(result.loaded) | set(result.initialised) == set(leaves(model))
  assert not set(result.loaded) & set(result.initialised)


def test_other_classes_need_a_new_last_layer_only(toy: Callable, weights: Callable) -> None:
  result = fit(toy("segmentation", num_classes=11), weights("segmentation"), ["head/classify"])
  assert set(result.initialised) == {
    ("params", "head", "classify", "bias"),
    ("params", "head", "classify", "kernel"),
  }
  assert result.unused == ("last_layer.3.bias", "last_layer.3.weight")
  assert ("params", "head", "mix", "conv", "kernel") in result.loaded


def test_pose_takes_classification_weights_without_their_last_exchanges(
  toy: Callable, weights: Callable
) -> None:
  result = fit(toy("pose"), weights("classification"), ["head"])
  left = [name for name in result.unused if origin.is_backbone(name)]
  assert left
  assert {name.split(".")[:4][-1] for name in left} == {"1", "2", "3"}
  assert all(name.startswith("stage4.0.fuse_layers.") for name in left)


def test_pose_imagenet_files(toy: Callable, weights: Callable) -> None:
  given = {k: v for k, v in weights("classification").items() if origin.is_backbone(k)}
  given |= {"head.0.0.0.conv1.weight": np.zeros((32, 4, 1, 1)), "fc.bias": np.zeros(1000)}
  result = fit(toy("pose"), given, ["head"])
  assert {"fc.bias", "head.0.0.0.conv1.weight"} <= set(result.unused)


def test_what_pose_weights_lack_has_to_be_named(toy: Callable, weights: Callable) -> None:
  model, given = toy("segmentation"), weights("pose")
  with pytest.raises(ValueError, match=r"missing: stage4\.0\.fuse_layers\.\d\.\d"):
    fit(model, given, ["head"])
  result = fit(model, given, ["head", "backbone/stage4/exchange_0"])
  assert {path[1:4] for path in result.initialised if path[1] == "backbone"} == {
    ("backbone", "stage4", "exchange_0")
  }


def test_detectors_give_their_backbone(toy: Callable, weights: Callable) -> None:
  given = {k: v for k, v in weights("classification").items() if origin.is_backbone(k)}
  given["neck.reduction_conv.0.weight"] = np.zeros((256, 60, 1, 1))
  assert fit(toy("segmentation"), given, ["head"]).unused == ("neck.reduction_conv.0.weight",)


def test_a_layer_of_our_own_is_missing_by_its_own_name(toy: Callable, weights: Callable) -> None:
  model = toy("segmentation", representation="v1h")
  with pytest.raises(ValueError, match=r"2 missing: representation/widen/(bias|kernel) "):
    fit(model, weights("segmentation"))
  result = fit(model, weights("segmentation"), ["representation"])
  assert {path[1:3] for path in result.initialised} == {("representation", "widen")}


def test_a_part_given_up_does_not_excuse_the_others(toy: Callable, weights: Callable) -> None:
  given = weights("classification")
  del given["conv1.weight"]
  given["stage2.0.branches.0.7.conv1.weight"] = np.zeros((4, 4, 3, 3))
  with pytest.raises(ValueError, match=r"1 missing: conv1\.weight") as error:
    fit(toy("segmentation"), given, ["head"])
  assert "1 unused: stage2.0.branches.0.7.conv1.weight" in str(error.value)
  with pytest.raises(ValueError, match=r"unused: classifier\.bias, classifier\.weight, "):
    fit(toy("segmentation"), weights("classification"), ["head/classify"])


@pytest.mark.parametrize("part", ["heads", "head/mixx", "backbone/stage5", "params/head"])
def test_unknown_parts_are_refused(toy: Callable, weights: Callable, part: str) -> None:
  with pytest.raises(ValueError, match=rf"no part '{part}' to initialise; there are "):
    fit(toy("segmentation"), weights("segmentation"), [part])


def test_the_right_variant_is_named(toy: Callable) -> None:
  shapes = {"transition1.0.0.weight": (48, 256, 3, 3), "layer1.0.conv1.weight": (64, 64, 1, 1)}
  shapes |= {f"layer1.{k}.bn1.bias": (64,) for k in range(4)}
  shapes |= {f"stage2.0.branches.0.{k}.bn1.bias": (48,) for k in range(4)}
  shapes |= {f"stage3.{k}.branches.0.0.bn1.bias": (48,) for k in range(4)}
  shapes |= {f"stage4.{k}.branches.0.0.bn1.bias": (48,) for k in range(3)}
  given = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
  with pytest.raises(ValueError, match=r"weights are of w48, .*; set model\.variant to 'w48'"):
    fit(toy("segmentation"), given)


def test_another_task_is_named(toy: Callable, weights: Callable) -> None:
  with pytest.raises(ValueError, match="for classification, the model is for segmentation; --re"):
    fit(toy("segmentation"), weights("classification"))


@pytest.mark.parametrize(
  ("task", "option", "part"),
  [
    ("segmentation", "num_classes", "head/classify"),
    ("classification", "num_classes", "head"),
    ("landmarks", "num_landmarks", "head/classify"),
    ("pose", "num_landmarks", "head"),
  ],
)
def test_another_number_of_outputs_is_named(
  toy: Callable, weights: Callable, task: str, option: str, part: str
) -> None:
  model, given = toy(task, **{option: 9}), weights(task)
  count = toy(task).head.num_outputs
  message = (
    f"the weights have {count} outputs, the model has 9; set model.{option} to {count}, "
    f"or --reinit={part} initialises"
  )
  with pytest.raises(ValueError, match=message):
    fit(model, given)
  assert {path[1] for path in fit(model, given, [part]).initialised} == {"head"}


def test_long_lists_are_cut_where_the_reason_is_known(toy: Callable, weights: Callable) -> None:
  with pytest.raises(ValueError, match="does not fit") as error:
    fit(toy("segmentation", width=8), weights("segmentation"))
  explained, *rest = str(error.value).splitlines()[1:]
  assert explained.startswith("  the weights are of a network of width 4")
  assert all(line.count(" expected ") <= 6 and " more" in line for line in rest)


def test_other_channels_of_images_are_named(toy: Callable, weights: Callable) -> None:
  message = r"for images of 3 channels, the model for 4; .* --reinit=backbone/stem_1 initialises"
  with pytest.raises(ValueError, match=message):
    fit(toy("segmentation", channels=4), weights("segmentation"))
  result = fit(toy("segmentation", channels=4), weights("segmentation"), ["backbone/stem_1"])
  assert {path[:3] for path in result.initialised} == {
    ("params", "backbone", "stem_1"),
    ("batch_stats", "backbone", "stem_1"),
  }


def test_another_norm_is_named(toy: Callable, weights: Callable) -> None:
  with pytest.raises(ValueError, match="no weights for GroupNorm; set model"):
    fit(toy("segmentation", norm="group"), weights("segmentation"))
