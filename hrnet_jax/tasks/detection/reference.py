"""Tensors of detectors: of mmdetection, and of HRNet/HRNet-Object-Detection, which came before.

Modern is what mmdetection 2 and 3 save, legacy what mmdetection 1 and HRNet-Object-Detection do.
"""

from collections.abc import Iterator

from hrnet_jax.convert.reference import (
  NamingScheme,
  NetworkKind,
  Reference,
  Rule,
  TensorLayout,
)

_BOX_LAYERS = (
  (r"shared_(\d)", "shared_fcs.{}"),
  ("classify", "fc_cls"),
  ("regress", "fc_reg"),
)
_MASK_LAYERS = (
  (r"conv_(\d)", "convs.{}.conv"),
  ("enlarge", "upsample"),
  ("classify", "conv_logits"),
)
# The first layer of the box heads reads a flattened map.
_FLATTENED = (r".*shared_fcs\.0\.weight", TensorLayout(flattened=True))


def _head(part: str, name: str, layers: tuple[tuple[str, str], ...]) -> Iterator[Rule]:
  """Rules for a head that is there once, or once for each stage of a cascade."""
  for path, prefix, group in ((part, name, 0), (rf"{part}_(\d+)", f"{name}.{{0}}", 1)):
    for layer, layer_name in layers:
      yield f"head/{path}/{layer}", f"{prefix}.{layer_name.format(f'{{{group}}}')}", ""


def _rules(reduce: str, level: str, prefix: str) -> tuple[Rule, ...]:
  """Rules for what follows the backbone; `prefix` begins the names of the second stage."""
  return (
    (r"representation/reduce", f"neck.{reduce}", ""),
    (r"representation/level_(\d)", f"neck.{level}", ""),
    (r"head/proposals/shared", "rpn_head.rpn_conv", ""),
    (r"head/proposals/classify", "rpn_head.rpn_cls", ""),
    (r"head/proposals/regress", "rpn_head.rpn_reg", ""),
    *_head("boxes", f"{prefix}bbox_head", _BOX_LAYERS),
    *_head("masks", f"{prefix}mask_head", _MASK_LAYERS),
  )


_MODERN = NamingScheme(
  rules=_rules("reduction_conv.conv", "fpn_convs.{0}.conv", "roi_head."),
  backbone_prefix="backbone.",
  aliases=((r"backbone\.", ""),),
  layouts=(_FLATTENED,),
  mark="roi_head.",
  source="mmdetection 2 and 3",
)
_LEGACY = NamingScheme(
  rules=_rules("reduction_conv.0", "fpn_conv.{0}", ""),
  backbone_prefix="backbone.",
  aliases=(
    (r"backbone\.", ""),
    # mmdetection 1 has the neck of mmdetection 2 and the heads of HRNet-Object-Detection.
    (r"neck\.reduction_conv\.conv\.", "neck.reduction_conv.0."),
    (r"neck\.fpn_convs\.(\d+)\.conv\.", r"neck.fpn_conv.\1."),
  ),
  layouts=(
    _FLATTENED,
    # The background was the first class, with a box and a mask that nothing uses; here it is the
    # last score and has neither. The heads of a cascade, which have numbers, have one box for all
    # classes and so none for the background.
    (r"bbox_head\.(\d+\.)?fc_cls\.(weight|bias)", TensorLayout(first_is_last=True)),
    (r"bbox_head\.fc_reg\.(weight|bias)", TensorLayout(extra_rows=4)),
    (r"mask_head\.(\d+\.)?conv_logits\.(weight|bias)", TensorLayout(extra_rows=1)),
  ),
  source="mmdetection 1 and HRNet-Object-Detection",
)


REFERENCE = Reference(
  schemes={"modern": _MODERN, "legacy": _LEGACY},
  kinds=(NetworkKind(words="detection", marks=("rpn_head.",), reinit_all="representation,head"),),
  priority=10,
  scheme_of=lambda model: str(model.method.convention),
  scheme_option="convention",
)
