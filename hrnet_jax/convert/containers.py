"""Takes off what surrounds the weights in files of the reference, timm and mmdet.

File content -> `{name: array}` under the names of a bare network.
"""

from collections.abc import Callable, Mapping
import dataclasses
import pathlib
import re
from typing import Any

import numpy as np

from hrnet_jax.convert import origin
from hrnet_jax.errors import UserError

# Where a dict keeps the weights beside the epoch, the optimizer and the like; the first that is
# there counts. `model` is also the network's name (a text) in files of the reference.
_ENTRIES = ("state_dict", "model_state_dict", "model")
_DEEPEST = 8  # of dicts in dicts; one may hold itself
_WRAPPERS = re.compile(r"((module|model)\.)+")
_TRUNK = re.compile(r"backbone\.(body\.)?")
_MOST_EXPANSION = 8  # bytes in memory for a byte of a file, beyond the first few
_FREE_BYTES = 2**26
_MOST_NAMES = 5  # of tensors in a message
ABN_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Choice:
  """Which weights of a file are wanted, where it holds several.

  Attributes:
    entry: its name in the file, such as `state_dict_ema`; empty for the usual one.
    say: is told of others.
  """

  entry: str = ""
  say: Callable[[str], None] = lambda text: None


def unwrap(content: Any, where: str, choice: Choice | None = None) -> dict[str, Any]:
  """Finds the weights in what a file holds.

  Args:
    content: a state_dict, or a dict that has one as `state_dict` or `model`.
    where: name of the file, for messages.
    choice: among several.

  Returns:
    Name -> tensor or array, the names as they are.

  Raises:
    UserError: there are no weights, or something else lies among them.
  """
  choice = choice or Choice()
  if choice.entry:
    sets = _weight_sets(content)
    if choice.entry not in sets:
      known = ", ".join(sets) or "none"
      raise UserError(f"{where} has no weights called {choice.entry!r}; those it has: {known}")
    content = content[choice.entry]
  for _ in range(_DEEPEST):
    if not isinstance(content, Mapping):
      break
    entry = next((k for k in _ENTRIES if isinstance(content.get(k), Mapping)), None)
    if entry is None:
      break
    if others := [name for name in _weight_sets(content) if name != entry]:
      choice.say(
        f"{where}: {entry} is taken; there are other weights, too: {', '.join(others)}; "
        f"--entry={others[0]} takes those"
      )
    content = content[entry]
  if not isinstance(content, Mapping) or not any(map(_is_array, content.values())):
    found = list(content)[:5] if isinstance(content, Mapping) else type(content).__name__
    raise UserError(
      f"{where} holds no weights: found {found}, expected names such as conv1.weight, at the top "
      f"or in one of the entries {', '.join(_ENTRIES)}"
    )
  if others := [str(k) for k, v in content.items() if not _is_array(v)]:
    raise UserError(f"{where} has entries among its weights that are none: {', '.join(others)}")
  return dict(content)


def _weight_sets(content: Any) -> list[str]:
  """Names of the entries that hold nothing but arrays, and names with a dot among theirs."""
  if not isinstance(content, Mapping):
    return []
  return [
    str(name)
    for name, value in content.items()
    if isinstance(value, Mapping)
    and value
    and all(map(_is_array, value.values()))
    and any("." in str(key) for key in value)
  ]


def require_plausible(path: pathlib.Path, num_bytes: int) -> None:
  """Refuses weights that would take far more memory than their file has bytes.

  Raises:
    UserError: names the file.
  """
  size = path.stat().st_size
  if num_bytes > _FREE_BYTES + _MOST_EXPANSION * size:
    raise UserError(
      f"{path} has {size:,} bytes, but its tensors would take {num_bytes:,}; it is damaged, or "
      "made to fill the memory"
    )


def require_numbers(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
  """Refuses weights that no network can have: not real, or not finite in float32.

  Raises:
    UserError: names the file, the tensors and how many of their numbers are wrong.
  """
  wrong = []
  for name, array in tensors.items():
    if array.dtype.kind not in "fiub":
      raise UserError(f"{path}: {name} has dtype {array.dtype}; weights are real numbers")
    if array.dtype.kind != "f" or _finite(array).all():
      continue
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    large = array.size - int(_finite(array).sum()) - nan - infinite
    counts = {"NaN": nan, "infinite": infinite, "too large for float32": large}
    text = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    wrong.append(f"{name} ({text} of {array.size:,})")
  if wrong:
    more = f" and {len(wrong) - _MOST_NAMES} more tensors" if len(wrong) > _MOST_NAMES else ""
    raise UserError(
      f"{path}: numbers that are not finite, of which nothing can be made, in "
      f"{', '.join(wrong[:_MOST_NAMES])}{more}; the file is damaged, or its training diverged"
    )


def _finite(array: np.ndarray) -> np.ndarray:
  with np.errstate(over="ignore"):
    return np.isfinite(array.astype(np.float32, copy=False))


def clean(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Gives tensors the names of the bare network.

  Takes off `module.` and `model.` (wrappers for several devices and for the loss) and `backbone.`
  or `backbone.body.` (of mmdet); drops `loss.*`, the class weights of the reference's training.

  Raises:
    UserError: two tensors would have the same name.
  """
  cleaned, before = {}, {}
  for name, tensor in tensors.items():
    short = _WRAPPERS.sub("", name) if _WRAPPERS.match(name) else name
    if short.startswith("loss."):
      continue
    if match := _TRUNK.match(short):
      short = short[match.end() :]
    if short in cleaned:
      raise UserError(f"the file has {before[short]} and {name}, which are both {short} here")
    cleaned[short], before[short] = tensor, name
  return cleaned


def absolute_scales(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Replaces every norm's weight `w` by `|w| + 1e-5`, by which in-place ABN multiplies.

  Networks that the reference trained with in-place ABN (its branch master, and all files named
  `*_torch04`) need it; all others are wrong with it.
  """
  return {
    name: np.abs(x) + np.asarray(ABN_EPSILON, x.dtype) if is_scale(name, tensors) else x
    for name, x in tensors.items()
  }


def abn_suspicion(tensors: Mapping[str, np.ndarray]) -> str:
  """Says what speaks for in-place ABN; empty if nothing does.

  A suspicion only: other files lack the counters too, and plain norms may turn negative.
  """
  scales = [x for name, x in tensors.items() if is_scale(name, tensors)]
  negative = sum(int((x < 0).sum()) for x in scales)
  if not negative or any(origin.is_counter(name) for name in tensors):
    return ""
  total = sum(x.size for x in scales)
  return f"{negative} of {total} scales of norms are negative and no norm has a counter"


def is_scale(name: str, tensors: Mapping[str, np.ndarray]) -> bool:
  """Whether a tensor is the scale of a BatchNorm."""
  stem, _, leaf = name.rpartition(".")
  return leaf == "weight" and f"{stem}.running_mean" in tensors


def _is_array(value: Any) -> bool:
  return hasattr(value, "shape") and hasattr(value, "dtype")
