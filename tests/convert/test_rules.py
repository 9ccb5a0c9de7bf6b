"""Names of the reference, rule by rule and for every leaf of a network."""

from flax import traverse_util
import jax
import pytest

import hrnet_jax
from hrnet_jax.convert.reference import reference_of
from hrnet_jax.convert.rules import BACKBONE, scheme_of, torch_name

SEGMENTATION = reference_of("segmentation").schemes[""]
TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}


@pytest.mark.parametrize(
  ("path", "expected"),
  [
    ("backbone/stem_1/conv/kernel", "conv1.weight"),
    ("backbone/stem_2/bn/scale", "bn2.weight"),
    ("backbone/stem_2/bn/bias", "bn2.bias"),
    ("backbone/stem_2/bn/mean", "bn2.running_mean"),
    ("backbone/stem_2/bn/var", "bn2.running_var"),
    ("backbone/stage1_3/conv2/conv/kernel", "layer1.3.conv2.weight"),
    ("backbone/stage1_3/conv3/bn/var", "layer1.3.bn3.running_var"),
    ("backbone/stage1_0/shortcut/conv/kernel", "layer1.0.downsample.0.weight"),
    ("backbone/stage1_0/shortcut/bn/scale", "layer1.0.downsample.1.weight"),
    ("backbone/transition2/keep_0/conv/kernel", "transition1.0.0.weight"),
    ("backbone/transition2/keep_0/bn/mean", "transition1.0.1.running_mean"),
    ("backbone/transition2/new_1/conv/kernel", "transition1.1.0.0.weight"),
    ("backbone/transition3/new_2/bn/scale", "transition2.2.0.1.weight"),
    ("backbone/transition4/new_3/conv/kernel", "transition3.3.0.0.weight"),
    # ours: module, branch, block
    ("backbone/stage3/branch_1_2_0/conv2/conv/kernel", "stage3.1.branches.2.0.conv2.weight"),
    ("backbone/stage3/branch_1_2_0/conv2/bn/bias", "stage3.1.branches.2.0.bn2.bias"),
    # ours: from, to (, step); the reference's: to, from (, step)
    ("backbone/stage4/exchange_2/up_3_1/conv/kernel", "stage4.2.fuse_layers.1.3.0.weight"),
    ("backbone/stage4/exchange_2/up_3_1/bn/scale", "stage4.2.fuse_layers.1.3.1.weight"),
    ("backbone/stage4/exchange_2/down_0_3_1/conv/kernel", "stage4.2.fuse_layers.3.0.1.0.weight"),
    ("backbone/stage4/exchange_2/down_0_3_1/bn/var", "stage4.2.fuse_layers.3.0.1.1.running_var"),
    ("head/mix/conv/kernel", "last_layer.0.weight"),
    ("head/mix/conv/bias", "last_layer.0.bias"),
    ("head/mix/bn/scale", "last_layer.1.weight"),
    ("head/mix/bn/mean", "last_layer.1.running_mean"),
    ("head/classify/kernel", "last_layer.3.weight"),
    ("head/classify/bias", "last_layer.3.bias"),
  ],
)
def test_names_of_segmentation(path: str, expected: str) -> None:
  assert torch_name(tuple(path.split("/")), SEGMENTATION) == expected


def test_bare_backbone_has_the_names_of_the_backbone() -> None:
  path = ("stage2", "exchange_0", "up_1_0", "conv", "kernel")
  assert torch_name(path, BACKBONE) == "stage2.0.fuse_layers.0.1.0.weight"


@pytest.mark.parametrize("path", ["backbone/stem_1/extra/kernel", "head/unknown/kernel"])
def test_path_without_a_rule_is_named(path: str) -> None:
  with pytest.raises(KeyError, match=path):
    torch_name(tuple(path.split("/")), SEGMENTATION)


@pytest.mark.parametrize(
  "options",
  [
    {"task": "segmentation", "num_classes": 2, "upsample": "bilinear"},
    {"task": "landmarks", "num_landmarks": 2},
    {"task": "classification", "num_classes": 2},
    {"task": "pose", "num_landmarks": 2},
  ],
)
def test_every_leaf_has_a_name_of_its_own(options: dict) -> None:
  model = hrnet_jax.build_model(**options, **TOY)
  image = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
  shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
  scheme = scheme_of(model)
  names = [torch_name(path[1:], scheme) for path in traverse_util.flatten_dict(shapes)]
  assert len(set(names)) == len(names)
  assert not [n for n in names if "{" in n or "-" in n or n.startswith(".")]
