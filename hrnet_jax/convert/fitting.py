"""Assigns the tensors of a file to the leaves of a model: `{name: array}` -> `{path: array}`."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import re

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.convert import layout, origin, rules
from hrnet_jax.convert.reference import NamingScheme
from hrnet_jax.errors import UserError, some_of
from hrnet_jax.models.network import image_shape

Path = tuple[str, ...]

_PARTS = ("backbone", "representation", "head")
_MOST = {True: 6, False: 50}  # names in one line of a message, with and without an explanation


@dataclasses.dataclass(frozen=True)
class Fit:
  """The result of `fit`.

  Attributes:
    loaded: path of a leaf with its collection -> value in the model's layout and dtype.
    initialised: paths of the leaves that the model has to initialise itself.
    unused: tensors that no leaf takes.
  """

  loaded: dict[Path, jax.Array]
  initialised: tuple[Path, ...]
  unused: tuple[str, ...]


def fit(model: nn.Module, state_dict: Mapping[str, np.ndarray], reinit: Sequence[str] = ()) -> Fit:
  """Assigns tensors to leaves, all of them, except where the caller gives parts up.

  Args:
    model: what `hrnet_jax.build_model` returned.
    state_dict: PyTorch name -> array or CPU tensor; counters of batches are not used.
    reinit: parts of the model, such as `head`, `representation` or `head/classify`, that are to
      be initialised; tensors for them may be absent or of any shape. With `head`, tensors outside
      the backbone and exchanges that the model does not compute may be left over.

  Raises:
    UserError: lists all tensors that are missing, unused or of another shape.
  """
  spec, scheme = leaves(model), rules.scheme_of(model)
  given = {k: v for k, v in state_dict.items() if not origin.is_counter(k)}
  given = rules.replace_aliases(given, scheme)
  given_up = _parts_to_initialise(reinit, spec)
  loaded, initialised, spare = {}, [], set()
  missing, misshapen, used = [], [], set()
  for path, leaf in spec.items():
    name = _name(path[1:], scheme)
    tensor_layout = scheme.layout_of(name or "")
    shape = layout.torch_shape(leaf.shape, tensor_layout)
    if _under(path[1:], given_up):
      initialised.append(path)
      spare.add(name)
    elif name not in given:
      missing.append(f"{name or '/'.join(path[1:])} {shape}")
    elif np.shape(given[name]) != shape:
      used.add(name)
      misshapen.append(f"{name}: {tuple(np.shape(given[name]))}, expected {shape}")
    else:
      used.add(name)
      value = layout.from_torch(given[name], leaf.shape, tensor_layout)
      loaded[path] = jnp.array(value, leaf.dtype)
  left = sorted(set(given) - used)
  unused = [x for x in left if x not in spare and not _may_be_left(x, model, given_up)]
  problems = {"missing": missing, "unused": unused, "of another shape": misshapen}
  if any(problems.values()):
    own = {name for path in spec if (name := _name(path[1:], scheme))}
    raise UserError(_message(problems, origin.explain(model, own, given)))
  return Fit(loaded, tuple(initialised), tuple(left))


def leaves(model: nn.Module) -> dict[Path, jax.ShapeDtypeStruct]:
  """Shapes of a model's variables by path, the collection first.

  Raises:
    UserError: the model has GroupNorm, which the reference has not.
  """
  flat = dict(_traced(model))
  if any("gn" in path for path in flat):
    raise UserError(
      "the reference has BatchNorm and no weights for GroupNorm; set model.norm to 'batch', or "
      "start from a checkpoint of your own with config.init_from"
    )
  return flat


@functools.lru_cache(maxsize=8)  # seconds for a large network
def _traced(model: nn.Module) -> dict[Path, jax.ShapeDtypeStruct]:
  image = jax.ShapeDtypeStruct(image_shape(model, (64, 64)), jnp.float32)
  shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
  return traverse_util.flatten_dict(shapes)


def _name(path: Path, scheme: NamingScheme) -> str | None:
  try:
    return rules.torch_name(path, scheme)
  except KeyError:  # a layer of our own
    return None


def _parts_to_initialise(reinit: Sequence[str], spec: Mapping[Path, object]) -> list[Path]:
  prefixes = [tuple(text.strip("/").split("/")) for text in reinit]
  for prefix in prefixes:
    if prefix[0] not in _PARTS or (
      len(prefix) > 1 and not any(_under(path[1:], [prefix]) for path in spec)
    ):
      known = sorted({"/".join(p[1:3]) for p in spec if p[1] == prefix[0]}) or _PARTS
      raise UserError(f"no part {'/'.join(prefix)!r} to initialise; there are {', '.join(known)}")
  return prefixes


def _under(path: Path, prefixes: Sequence[Path]) -> bool:
  return any(path[: len(prefix)] == prefix for prefix in prefixes)


def _may_be_left(name: str, model: nn.Module, given_up: Sequence[Path]) -> bool:
  if ("head",) not in given_up:
    return False
  if not origin.is_backbone(name):
    return True
  backbone = getattr(model, "backbone", model)
  # HRNetV1 computes the finest map of the last exchange alone.
  last = backbone.config.modules[2] - 1
  match = re.match(rf"stage4\.{last}\.fuse_layers\.(\d)\.", name)
  return match is not None and int(match[1]) >= backbone.outputs


def _message(problems: Mapping[str, Sequence[str]], explanation: str) -> str:
  lines = ["the state_dict does not fit the model"]
  if explanation:
    lines.append(explanation)
  most = _MOST[bool(explanation)]
  for problem, names in problems.items():
    if names:
      lines.append(f"{len(names)} {problem}: {some_of(names, most)}")
  return "\n  ".join(lines)
