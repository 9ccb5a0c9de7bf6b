"""Weights of detectors in both generations of names: every layer, every class, and back.

The layers are listed here by hand, as the files of the reference have them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax import convert
from hrnet_jax.tasks.detection.detector import Detector
from tests.helpers import toy

CLASSES, HIDDEN = 3, 1024
TRUNK = {key: toy.MODEL[key] for key in ("width", "modules", "blocks", "bottlenecks")}


@functools.cache
def build(method: str, convention: str) -> Detector:
  return hrnet_jax.build_model(
    task="detection",
    method=method,
    convention=convention,
    num_classes=CLASSES,
    bottleneck_width=4,
    min_score=0.0,
    **TRUNK,
  )


def box_head(name: str, *, boxes: int) -> dict[str, tuple[int, ...]]:
  return {
    f"{name}.shared_fcs.0": (HIDDEN, 256 * 7 * 7),
    f"{name}.shared_fcs.1": (HIDDEN, HIDDEN),
    f"{name}.fc_cls": (CLASSES + 1, HIDDEN),
    f"{name}.fc_reg": (4 * boxes, HIDDEN),
  }


def mask_head(name: str, *, masks: int) -> dict[str, tuple[int, ...]]:
  convs = {f"{name}.convs.{k}.conv": (256, 256, 3, 3) for k in range(4)}
  return convs | {f"{name}.upsample": (256, 256, 2, 2), f"{name}.conv_logits": (masks, 256, 1, 1)}


def layers(method: str, convention: str, neck: str = "") -> dict[str, tuple[int, ...]]:
  """Weights of all layers after the backbone; each has a bias."""
  legacy = convention == "legacy"
  neck = neck or ("official" if legacy else "mmdetection")
  reduce, level = {
    "official": ("reduction_conv.0", "fpn_conv.{}"),
    "mmdetection": ("reduction_conv.conv", "fpn_convs.{}.conv"),
  }[neck]
  heads = "" if legacy else "roi_head."
  cascade, background = method.startswith("cascade"), int(legacy)
  found = {f"neck.{reduce}": (256, 15 * TRUNK["width"], 1, 1)}
  found |= {f"neck.{level.format(k)}": (256, 256, 3, 3) for k in range(5)}
  found |= {"rpn_head.rpn_conv": (256, 256, 3, 3), "rpn_head.rpn_cls": (3, 256, 1, 1)}
  found |= {"rpn_head.rpn_reg": (12, 256, 1, 1)}
  for stage in (".0", ".1", ".2") if cascade else ("",):
    boxes = 1 if cascade else CLASSES + background
    found |= box_head(f"{heads}bbox_head{stage}", boxes=boxes)
    if "mask" in method:
      found |= mask_head(f"{heads}mask_head{stage}", masks=CLASSES + background)
  return found


def state_dict(method: str, convention: str, neck: str = "") -> dict[str, np.ndarray]:
  """Made-up weights under the names of a file."""
  rng = np.random.default_rng(0)
  model = hrnet_jax.build_backbone(bottleneck_width=4, **TRUNK)
  zeros = jax.tree.map(
    lambda x: np.zeros(x.shape, x.dtype),
    jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False)),
  )
  shapes = {f"backbone.{k}": np.shape(v) for k, v in convert.to_torch(model, zeros).items()}
  for name, shape in layers(method, convention, neck).items():
    # A transposed convolution has its outputs second.
    shapes |= {f"{name}.weight": shape, f"{name}.bias": (shape[0],)}
  draw = functools.partial(rng.standard_normal, dtype=np.float32)
  return {k: 0.1 * draw(shape) if shape else np.zeros((), np.int64) for k, shape in shapes.items()}


CASES = [
  (method, convention)
  for method in ("mask_rcnn", "cascade_mask_rcnn")
  for convention in ("modern", "legacy")
]


@pytest.mark.parametrize(("method", "convention"), CASES)
def test_there_and_back(method, convention, tmp_path):
  """Through a file, from which prefixes come off; only what the background never uses is lost."""
  tensors = state_dict(method, convention)
  convert.write_state_dict(tmp_path / "weights.npz", tensors)
  model = build(method, convention)
  variables = convert.from_torch(model, convert.read_state_dict(tmp_path / "weights.npz"))
  direct = convert.from_torch(model, tensors)
  jax.tree.map(np.testing.assert_array_equal, variables, direct)
  back = convert.to_torch(model, variables)
  assert set(back) == set(tensors)
  lost = {"bbox_head.fc_reg": 4, "mask_head.conv_logits": 1}
  lost |= {f"mask_head.{k}.conv_logits": 1 for k in range(3)}
  for name, value in tensors.items():
    assert back[name].dtype == value.dtype, name
    if rows := lost.get(name.rpartition(".")[0], 0) * (convention == "legacy"):
      assert not back[name][:rows].any()
      np.testing.assert_array_equal(back[name][rows:], value[rows:], err_msg=name)
    else:
      np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_the_ground_is_the_last_class_here_and_was_the_first():
  old = state_dict("mask_rcnn", "legacy")
  variables = convert.from_torch(build("mask_rcnn", "legacy"), old)["params"]["head"]
  for leaf, ours in (("weight", "kernel"), ("bias", "bias")):
    scores = variables["boxes"]["classify"][ours]
    boxes = variables["boxes"]["regress"][ours]
    masks = variables["masks"]["classify"][ours]
    for k in range(CLASSES):
      first = old[f"bbox_head.fc_cls.{leaf}"]
      np.testing.assert_array_equal(scores[..., k], first[k + 1])
      np.testing.assert_array_equal(scores[..., CLASSES], first[0])
      there = old[f"bbox_head.fc_reg.{leaf}"][4 * (k + 1) : 4 * (k + 2)]
      np.testing.assert_array_equal(boxes[..., 4 * k : 4 * k + 4], there.T)
      there = old[f"mask_head.conv_logits.{leaf}"][k + 1].squeeze()
      np.testing.assert_array_equal(masks[..., k].squeeze(), there)


def test_old_and_new_files_of_one_network_are_one_network():
  """The new one is made from the old one by the rules: prefix, background to the end or away."""
  old = state_dict("mask_rcnn", "legacy", "mmdetection")
  new = {}
  for name, value in old.items():
    if ".fc_cls." in name:
      value = np.concatenate([value[1:], value[:1]])
    if rows := 4 * (".fc_reg." in name) + (".conv_logits." in name):
      value = value[rows:]
    head = name.startswith(("bbox_head.", "mask_head."))
    new[f"roi_head.{name}" if head else name] = value
  models = [build("mask_rcnn", convention) for convention in ("legacy", "modern")]
  variables = [
    convert.from_torch(model, tensors) for model, tensors in zip(models, (old, new), strict=True)
  ]
  jax.tree.map(np.testing.assert_array_equal, *variables)


def test_first_layer_reads_maps_in_our_order():
  tensors = state_dict("faster_rcnn", "legacy")
  variables = convert.from_torch(build("faster_rcnn", "legacy"), tensors)
  kernel = variables["params"]["head"]["boxes"]["shared_0"]["kernel"]
  y, x, channel, unit = 2, 5, 77, 900
  there = tensors["bbox_head.shared_fcs.0.weight"][unit, 49 * channel + 7 * y + x]
  assert kernel.reshape(7, 7, 256, HIDDEN)[y, x, channel, unit] == there


@pytest.mark.parametrize(
  ("model", "weights", "message"),
  [
    ("legacy", "modern", "mmdetection 2 and 3; set model.convention to 'modern'"),
    ("modern", "legacy", "mmdetection 1 and HRNet-Object-Detection; set .* to 'legacy'"),
  ],
)
def test_the_other_convention_is_named(model, weights, message):
  with pytest.raises(ValueError, match=message):
    convert.from_torch(build("faster_rcnn", model), state_dict("faster_rcnn", weights))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda t: t.pop("bbox_head.fc_reg.bias"), r"1 missing: bbox_head\.fc_reg\.bias \(16,\)$"),
    (lambda t: t.update({"rpn_head.extra": np.zeros(1)}), r"1 unused: rpn_head\.extra$"),
    (
      lambda t: t.update({"bbox_head.fc_cls.bias": np.zeros(3, np.float32)}),
      r"1 of another shape: bbox_head\.fc_cls\.bias: \(3,\), expected \(4,\)$",
    ),
    (
      lambda t: t.update({"neck.fpn_convs.0.conv.bias": np.zeros(256, np.float32)}),
      r"two tensors of the file are neck\.fpn_conv\.0\.bias here",
    ),
  ],
)
def test_misfits_are_listed(change, message):
  tensors = state_dict("faster_rcnn", "legacy")
  change(tensors)
  with pytest.raises(ValueError, match=message):
    convert.from_torch(build("faster_rcnn", "legacy"), tensors)


def test_weights_of_another_task_give_the_backbone():
  tensors = state_dict("faster_rcnn", "legacy")
  trunk = {k: v for k, v in tensors.items() if k.startswith("backbone.")}
  given = trunk | {"incre_modules.0.0.conv1.weight": np.zeros((4, 4, 1, 1), np.float32)}
  model = build("faster_rcnn", "modern")
  with pytest.raises(ValueError, match="model is for detection; --reinit=representation,head tak"):
    convert.fit(model, given)
  fit = convert.fit(model, given, ("representation", "head"))
  assert fit.unused == ("incre_modules.0.0.conv1.weight",)
  assert {path[1] for path in fit.loaded} == {"backbone"}
