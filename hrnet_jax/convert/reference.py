"""Names of the PyTorch reference's tensors, as every task states them for its own networks.

The backbone is the same in all tasks; its names are in `rules`. All else comes from the task's
`reference.py`, whose `REFERENCE` is found through `TaskSpec.reference`.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import re

import flax.linen as nn

from hrnet_jax import registry
from hrnet_jax.errors import UserError

# A module path here (a regular expression), the reference's convolution or linear layer, its norm.
# Groups of the expression fill the templates by number: `{0}`; `{0-1}` is one less, `{0*2}` twice
# and `{0*2+1}` twice and one more.
Rule = tuple[str, str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorLayout:
  """How a tensor of the reference lies in memory, where the order of the axes is not all.

  Attributes:
    flattened: it is a linear layer on all values of a map, `(O, I * kH * kW)`.
    extra_rows: rows that the reference has in front of those that there are here; they are dropped
      when it is read and zero when it is written.
    first_is_last: its first row is the last one here.
  """

  flattened: bool = False
  extra_rows: int = 0
  first_is_last: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamingScheme:
  """One way in which the reference names the tensors of a task's network.

  Attributes:
    rules: for all modules but those of the backbone.
    backbone_prefix: begins the names of the backbone in whole files.
    aliases: other beginnings of names (regular expressions) and what they become, so that the
      rules give them.
    layouts: of tensors whose whole name matches a regular expression.
    mark: beginning of names that only files with this scheme have; empty for the scheme of files
      that have no other's mark.
    source: what wrote such files, for messages.
  """

  rules: tuple[Rule, ...]
  backbone_prefix: str = ""
  aliases: tuple[tuple[str, str], ...] = ()
  layouts: tuple[tuple[str, TensorLayout], ...] = ()
  mark: str = ""
  source: str = ""

  def layout_of(self, name: str) -> TensorLayout:
    """The layout of a tensor."""
    found = (layout for pattern, layout in self.layouts if re.fullmatch(pattern, name))
    return next(found, TensorLayout())


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkKind:
  """A kind of network that a file may hold, told from the names in it.

  Attributes:
    words: what to call it in messages.
    marks: beginnings of names of which only such a network has one.
    last_layer: name of the weight whose first axis is the number of outputs; empty where there is
      no such layer.
    outputs_option: key of `config.model` for that number.
    reinit_outputs: what `--reinit` gives up for another number of outputs.
    reinit_all: what it gives up for weights of another task.
  """

  words: str
  marks: tuple[str, ...]
  last_layer: str = ""
  outputs_option: str = ""
  reinit_outputs: str = "head"
  reinit_all: str = "head"


def _only_scheme(model: nn.Module) -> str:
  del model
  return ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
  """The networks of one task in PyTorch: how their tensors are called, and how they are told apart.

  Attributes:
    schemes: ways of naming, by name; the empty name where there is one alone.
    kinds: of networks, the more particular one first.
    priority: whose kinds are tried first where a file has marks of several tasks: the largest.
    scheme_of: model -> name of its scheme.
    scheme_option: key of `config.model` that chooses the scheme.
  """

  schemes: Mapping[str, NamingScheme]
  kinds: tuple[NetworkKind, ...]
  priority: int = 0
  scheme_of: Callable[[nn.Module], str] = _only_scheme
  scheme_option: str = ""


def reference_of(task: str) -> Reference:
  """The reference of a task.

  Raises:
    UserError: there is no such task, or it states no names.
  """
  spec = registry.task_spec(task)
  if not spec.has("reference"):
    raise UserError(
      f"weights cannot be converted for task {task!r}: it states no names of PyTorch's tensors "
      "(the `reference` of its TaskSpec). To start from a published backbone, convert its file "
      "with the config that it was made for, and name the result in config.init_from. Tasks that "
      f"can be converted: {', '.join(registry.task_names('reference'))}"
    )
  return spec.part("reference")


def kind_of(names: Iterable[str]) -> NetworkKind | None:
  """The kind of network that has tensors of these names; None if it cannot be told."""
  names = tuple(names)
  for reference in _all():
    for kind in reference.kinds:
      if any(name.startswith(kind.marks) for name in names):
        return kind
  return None


def _all() -> list[Reference]:
  specs = map(registry.task_spec, registry.task_names("reference"))
  return sorted((spec.part("reference") for spec in specs), key=lambda x: -x.priority)
