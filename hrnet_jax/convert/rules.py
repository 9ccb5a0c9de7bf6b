"""Names: path of one of our modules -> names of the reference's convolution and norm."""

import re

# (our module path, the reference's convolution, the reference's norm). Groups of the pattern
# fill the templates; stages that the reference counts from the transition before are shifted.
_RULES: tuple[tuple[str, str, str], ...] = (
  (r"backbone/stem_(\d)", "conv{0}", "bn{0}"),
  (r"backbone/stage1_(\d)/conv(\d)", "layer1.{0}.conv{1}", "layer1.{0}.bn{1}"),
  (r"backbone/stage1_(\d)/shortcut", "layer1.{0}.downsample.0", "layer1.{0}.downsample.1"),
  (r"backbone/transition(\d)/keep_(\d)", "transition{0-1}.{1}.0", "transition{0-1}.{1}.1"),
  (r"backbone/transition(\d)/new_(\d)", "transition{0-1}.{1}.0.0", "transition{0-1}.{1}.0.1"),
  (
    r"backbone/stage(\d)/branch_(\d)_(\d)_(\d)/conv(\d)",
    "stage{0}.{1}.branches.{2}.{3}.conv{4}",
    "stage{0}.{1}.branches.{2}.{3}.bn{4}",
  ),
  (
    r"backbone/stage(\d)/exchange_(\d)/up_(\d)_(\d)",
    "stage{0}.{1}.fuse_layers.{3}.{2}.0",
    "stage{0}.{1}.fuse_layers.{3}.{2}.1",
  ),
  (
    r"backbone/stage(\d)/exchange_(\d)/down_(\d)_(\d)_(\d)",
    "stage{0}.{1}.fuse_layers.{3}.{2}.{4}.0",
    "stage{0}.{1}.fuse_layers.{3}.{2}.{4}.1",
  ),
  (r"head/mix", "last_layer.0", "last_layer.1"),
  (r"head/classify", "last_layer.3", ""),
)

_CONV = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def torch_name(path: tuple[str, ...]) -> str:
  """Name in the reference's state_dict of one of our leaves.

  Args:
    path: of the leaf without its collection, for example
      `("backbone", "stem_1", "conv", "kernel")`.

  Raises:
    KeyError: no rule covers the path.
  """
  *module, leaf = path
  is_norm = module[-1] == "bn"
  if module[-1] in ("bn", "conv"):
    module = module[:-1]
  for pattern, conv, norm in _RULES:
    if match := re.fullmatch(pattern, "/".join(module)):
      template, leaves = (norm, _NORM) if is_norm else (conv, _CONV)
      return f"{_fill(template, match.groups())}.{leaves[leaf]}"
  raise KeyError(f"no rule for {'/'.join(path)}")


def _fill(template: str, groups: tuple[str, ...]) -> str:
  for k, group in enumerate(groups):
    template = template.replace(f"{{{k}-1}}", str(int(group) - 1) if group.isdigit() else group)
  return template.format(*groups)
