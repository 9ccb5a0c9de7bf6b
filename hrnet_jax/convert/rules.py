"""Names: path of one of our leaves -> name of a tensor in the reference's state_dict."""

from collections.abc import Mapping
import re
from typing import Any

import flax.linen as nn

from hrnet_jax.convert.reference import NamingScheme, Rule, reference_of
from hrnet_jax.errors import UserError

# The reference counts transitions from 1, we name them after the stage that they lead to.
_BACKBONE_RULES: tuple[Rule, ...] = (
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
  # Our exchanges are named from, to; the reference's to, from.
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

BACKBONE = NamingScheme(rules=_BACKBONE_RULES)  # of a backbone without a network around it

_CONV = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def scheme_of(model: nn.Module) -> NamingScheme:
  """How the reference names the tensors of a network or of a bare backbone.

  Raises:
    UserError: the network's task states no names.
  """
  if not hasattr(model, "task"):
    return BACKBONE
  reference = reference_of(model.task)
  return reference.schemes[reference.scheme_of(model)]


def replace_aliases(tensors: Mapping[str, Any], scheme: NamingScheme) -> dict[str, Any]:
  """Gives tensors the names that `torch_name` gives, where a scheme has other spellings too.

  Raises:
    UserError: two tensors would have the same name.
  """
  renamed = {}
  for name, tensor in tensors.items():
    new = name
    for start, replacement in scheme.aliases:
      new = re.sub(f"^{start}", replacement, new)
    if new in renamed:
      raise UserError(f"two tensors of the file are {new} here, one of them {name}")
    renamed[new] = tensor
  return renamed


def torch_name(path: tuple[str, ...], scheme: NamingScheme, *, whole: bool = False) -> str:
  """Name in the reference's state_dict of one of our leaves.

  Args:
    path: of the leaf without its collection, for example
      `("backbone", "stem_1", "conv", "kernel")`.
    scheme: of the network, see `scheme_of`; or `BACKBONE`, whose paths have no first part.
    whole: whether the backbone's names have the prefix that whole files give them.

  Raises:
    KeyError: no rule covers the path, because the reference has no such layer.
  """
  *module, leaf = path
  is_norm = module[-1] == "bn"
  if module[-1] in ("bn", "conv"):
    module = module[:-1]
  rules, prefix = scheme.rules, ""
  if module[0] == "backbone":
    module = module[1:]
    rules, prefix = _BACKBONE_RULES, scheme.backbone_prefix if whole else ""
  for pattern, conv, norm in rules:
    if match := re.fullmatch(pattern, "/".join(module)):
      template, leaves = (norm, _NORM) if is_norm else (conv, _CONV)
      return f"{prefix}{_fill(template, match.groups())}.{leaves[leaf]}"
  raise KeyError(f"no weights of the reference for {'/'.join(path)}")


def _fill(template: str, groups: tuple[str, ...]) -> str:
  for k, group in enumerate(groups):
    shifted = {"-1": int(group) - 1, "*2": int(group) * 2, "*2+1": int(group) * 2 + 1}
    for suffix, value in shifted.items():
      template = template.replace(f"{{{k}{suffix}}}", str(value))
  return template.format(*groups)
