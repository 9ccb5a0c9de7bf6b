"""Names: path of one of our leaves -> name of a tensor in the reference's state_dict."""

from collections.abc import Mapping
import re
from typing import Any

Rule = tuple[str, str, str]

# (our module path, the reference's convolution, the reference's norm). Groups of the pattern
# fill the templates; `-1` shifts what the reference counts from the transition before, `*2` skips
# activations.
_BACKBONE: tuple[Rule, ...] = (
  (r"stem_(\d+)", "conv{0}", "bn{0}"),
  (r"stage1_(\d+)/conv(\d+)", "layer1.{0}.conv{1}", "layer1.{0}.bn{1}"),
  (r"stage1_(\d+)/shortcut", "layer1.{0}.downsample.0", "layer1.{0}.downsample.1"),
  (r"transition(\d+)/keep_(\d+)", "transition{0-1}.{1}.0", "transition{0-1}.{1}.1"),
  (r"transition(\d+)/new_(\d+)", "transition{0-1}.{1}.0.0", "transition{0-1}.{1}.0.1"),
  (
    r"stage(\d+)/branch_(\d+)_(\d+)_(\d+)/conv(\d+)",
    "stage{0}.{1}.branches.{2}.{3}.conv{4}",
    "stage{0}.{1}.branches.{2}.{3}.bn{4}",
  ),
  (
    r"stage(\d+)/exchange_(\d+)/up_(\d+)_(\d+)",
    "stage{0}.{1}.fuse_layers.{3}.{2}.0",
    "stage{0}.{1}.fuse_layers.{3}.{2}.1",
  ),
  (
    r"stage(\d+)/exchange_(\d+)/down_(\d+)_(\d+)_(\d+)",
    "stage{0}.{1}.fuse_layers.{3}.{2}.{4}.0",
    "stage{0}.{1}.fuse_layers.{3}.{2}.{4}.1",
  ),
)


def _pixel_head(ours: str, name: str) -> tuple[Rule, ...]:
  return (f"{ours}/mix", f"{name}.0", f"{name}.1"), (f"{ours}/classify", f"{name}.3", "")


_ATTENTION = "ocr_distri_head.object_context_block"
_OCR_HEAD: tuple[Rule, ...] = (
  *_pixel_head("head/aux", "aux_head"),
  (r"head/pixels", "conv3x3_ocr.0", "conv3x3_ocr.1"),
  (r"head/query_(\d+)", f"{_ATTENTION}.f_pixel.{{0*2}}", f"{_ATTENTION}.f_pixel.{{0*2+1}}.0"),
  (r"head/key_(\d+)", f"{_ATTENTION}.f_object.{{0*2}}", f"{_ATTENTION}.f_object.{{0*2+1}}.0"),
  (r"head/value", f"{_ATTENTION}.f_down.0", f"{_ATTENTION}.f_down.1.0"),
  (r"head/up", f"{_ATTENTION}.f_up.0", f"{_ATTENTION}.f_up.1.0"),
  (
    r"head/fuse",
    "ocr_distri_head.conv_bn_dropout.0",
    "ocr_distri_head.conv_bn_dropout.1.0",
  ),
  (r"head/main/classify", "cls_head", ""),
)


def _stage(part: str, name: str, modules: str) -> tuple[Rule, ...]:
  """Rules for a head that is there once, or once for each stage."""
  return tuple(
    (f"head/{part}{ours}/{layer}", f"{name}{theirs}.{layer_name}", "")
    for ours, theirs, shift in (("", "", 0), (r"_(\d+)", ".{0}", 1))
    for layer, layer_name in ((k, v.format(f"{{{shift}}}")) for k, v in _LAYERS[modules])
  )


# Layers of the heads of detectors.
_LAYERS = {
  "box": ((r"shared_(\d)", "shared_fcs.{}"), ("classify", "fc_cls"), ("regress", "fc_reg")),
  "mask": ((r"conv_(\d)", "convs.{}.conv"), ("enlarge", "upsample"), ("classify", "conv_logits")),
}


def _detector(reduce: str, level: str, prefix: str) -> tuple[Rule, ...]:
  """Rules for what follows the backbone; names of the second stage have a prefix."""
  return (
    (r"representation/reduce", f"neck.{reduce}", ""),
    (r"representation/level_(\d)", f"neck.{level}", ""),
    (r"head/proposals/shared", "rpn_head.rpn_conv", ""),
    (r"head/proposals/classify", "rpn_head.rpn_cls", ""),
    (r"head/proposals/regress", "rpn_head.rpn_reg", ""),
    *_stage("boxes", f"{prefix}bbox_head", "box"),
    *_stage("masks", f"{prefix}mask_head", "mask"),
  )


# What follows the backbone, by scheme: a task, or a task and the convention of its boxes. Modern is
# mmdetection 2 and 3, legacy HRNet/HRNet-Object-Detection.
_HEADS: dict[str, tuple[Rule, ...]] = {
  "detection/modern": _detector("reduction_conv.conv", "fpn_convs.{0}.conv", "roi_head."),
  "detection/legacy": _detector("reduction_conv.0", "fpn_conv.{0}", ""),
  "segmentation": _pixel_head("head", "last_layer") + _OCR_HEAD,
  "landmarks": _pixel_head("head", "head"),
  "pose": ((r"head/classify", "final_layer", ""),),
  "classification": (
    (
      r"representation/increase_(\d+)/conv(\d+)",
      "incre_modules.{0}.0.conv{1}",
      "incre_modules.{0}.0.bn{1}",
    ),
    (
      r"representation/increase_(\d+)/shortcut",
      "incre_modules.{0}.0.downsample.0",
      "incre_modules.{0}.0.downsample.1",
    ),
    (r"representation/down_(\d+)", "downsamp_modules.{0}.0", "downsamp_modules.{0}.1"),
    (r"representation/final", "final_layer.0", "final_layer.1"),
    (r"head", "classifier", ""),
  ),
}

_CONV = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}

# What names may begin with, and what they then begin with here. mmdetection 1 has the new neck and
# the old heads.
_SPELLINGS: dict[str, tuple[tuple[str, str], ...]] = {
  "detection/modern": ((r"backbone\.", ""),),
  "detection/legacy": (
    (r"backbone\.", ""),
    (r"neck\.reduction_conv\.conv\.", "neck.reduction_conv.0."),
    (r"neck\.fpn_convs\.(\d+)\.conv\.", r"neck.fpn_conv.\1."),
  ),
}
# What the names of the backbone begin with in whole files, by scheme.
_TRUNK = {"detection/modern": "backbone.", "detection/legacy": "backbone."}


def scheme_of(model: Any) -> str | None:
  """How the reference names a network's tensors: key of the rules; None for a bare backbone."""
  task, method = (getattr(model, name, None) for name in ("task", "method"))
  return f"{task}/{method.convention}" if method else task


def respelt(tensors: Mapping[str, Any], scheme: str | None) -> dict[str, Any]:
  """Gives tensors the names that `torch_name` gives, where a scheme has several spellings.

  Raises:
    ValueError: two tensors would have the same name.
  """
  renamed = {}
  for name, tensor in tensors.items():
    short = name
    for start, replacement in _SPELLINGS.get(scheme, ()):
      short = re.sub(f"^{start}", replacement, short)
    if short in renamed:
      raise ValueError(f"two tensors of the file are {short} here, one of them {name}")
    renamed[short] = tensor
  return renamed


def torch_name(path: tuple[str, ...], scheme: str | None, *, whole: bool = False) -> str:
  """Name in the reference's state_dict of one of our leaves.

  Args:
    path: of the leaf without its collection, for example
      `("backbone", "stem_1", "conv", "kernel")`.
    scheme: of the network, see `scheme_of`; for most it is the task. None for a bare backbone,
      whose paths have no first part.
    whole: whether the backbone's names have the prefix that detectors give them.

  Raises:
    KeyError: no rule covers the path, because the reference has no such layer.
  """
  *module, leaf = path
  is_norm = module[-1] == "bn"
  if module[-1] in ("bn", "conv"):
    module = module[:-1]
  trunk = scheme is None or module[0] == "backbone"
  rules, prefix = (_BACKBONE, _TRUNK.get(scheme, "")) if trunk else (_HEADS[scheme], "")
  where = "/".join(module).removeprefix("backbone/")
  for pattern, conv, norm in rules:
    if match := re.fullmatch(pattern, where):
      template, leaves = (norm, _NORM) if is_norm else (conv, _CONV)
      return f"{prefix * whole}{_fill(template, match.groups())}.{leaves[leaf]}"
  raise KeyError(f"no weights of the reference for {'/'.join(path)}")


def _fill(template: str, groups: tuple[str, ...]) -> str:
  for k, group in enumerate(groups):
    shifted = {"-1": int(group) - 1, "*2": int(group) * 2, "*2+1": int(group) * 2 + 1}
    for suffix, value in shifted.items():
      template = template.replace(f"{{{k}{suffix}}}", str(value))
  return template.format(*groups)
