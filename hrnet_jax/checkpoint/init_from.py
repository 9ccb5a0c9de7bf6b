"""Starts a run from another network's weights: state + checkpoint -> state, and a list.

The backbones have to be equal. In the representation and the head, a layer that the other network
lacks, or has in another shape, keeps its initial values.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
import dataclasses
import pathlib
from typing import Any

from flax import traverse_util
import jax

from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.errors import UserError

Path = tuple[str, ...]

_BACKBONE = "backbone"
_MOST = 20  # names in a message


@dataclasses.dataclass(frozen=True)
class Transfer:
  """The fate of each leaf, by its path with the collection.

  Attributes:
    source: the checkpoint.
    loaded: taken from it.
    initialised: as a run from scratch would have them.
    unused: of the checkpoint, without use here.
  """

  source: pathlib.Path
  loaded: tuple[Path, ...]
  initialised: tuple[Path, ...]
  unused: tuple[Path, ...]

  def summary(self) -> str:
    """Lines with the number of tensors of each module; the trunk counts as one."""
    lines = [f"weights from {self.source}"]
    for label, paths in self._groups().items():
      counts = Counter(_module(path) for path in paths)
      shown = ", ".join(f"{name} ({count})" for name, count in counts.items())
      lines.append(f"  {label}: {shown or 'nothing'}")
    return "\n".join(lines)

  def listing(self) -> str:
    """One line for each tensor."""
    lines = [f"# {self.source}"]
    for label, paths in self._groups().items():
      lines += [f"{label:<12} {'/'.join(path)}" for path in paths]
    return "\n".join(lines) + "\n"

  def _groups(self) -> dict[str, tuple[Path, ...]]:
    return {"loaded": self.loaded, "initialised": self.initialised, "not used": self.unused}


def start_from(path: str | pathlib.Path, state: TrainState) -> tuple[TrainState, Transfer]:
  """Replaces initial parameters and statistics by those of a checkpoint where they fit.

  Args:
    path: a workdir, a checkpoint or a folder of `hrnet convert`.
    state: initial, gives shapes, dtypes and shardings.

  Raises:
    FileNotFoundError: there is no checkpoint.
    ValueError: the backbones differ; names their tensors.
  """
  where = jax.tree.leaves(state.params)[0].sharding
  try:
    loaded = networks.load(path, where)
  except FileNotFoundError as error:
    raise FileNotFoundError(f"config.init_from: {error}") from None
  target = traverse_util.flatten_dict(state.variables)
  source = traverse_util.flatten_dict(loaded.variables)
  transfer = _plan(loaded.path, source, target)
  moved = {p: source[p].astype(target[p].dtype) for p in transfer.loaded}
  variables = traverse_util.unflatten_dict(target | moved)
  return state.replace(**variables), transfer  # type: ignore[attr-defined]


def _plan(where: pathlib.Path, source: Mapping[Path, Any], target: Mapping[Path, Any]) -> Transfer:
  fits = {p for p, x in target.items() if p in source and source[p].shape == x.shape}
  misfits = {p for p in target if p not in fits}
  wrong = [p for p in target if p in misfits and p[1] == _BACKBONE]
  # A layer is loaded as a whole or not at all: its statistics belong to its kernel.
  broken = {_layer(p) for p in misfits}
  loaded = tuple(p for p in target if _layer(p) not in broken)
  unused = tuple(p for p in source if p not in set(loaded))
  wrong += [p for p in unused if p[1] == _BACKBONE and p not in target and not _cut(p, target)]
  if wrong:
    raise UserError(_refusal(where, wrong, source, target))
  return Transfer(where, loaded, tuple(p for p in target if _layer(p) in broken), unused)


def _layer(path: Path) -> Path:
  """`(params, head, mix, bn, scale)` -> `(head, mix)`."""
  module = path[1:-1]
  return module[:-1] if module[-1] in ("bn", "conv", "gn") else module


def _cut(path: Path, target: Iterable[Path]) -> bool:
  """Whether a leaf belongs to an output that the target's last exchange unit does not compute."""
  return path[3].startswith("exchange") and any(p[1:4] == path[1:4] for p in target)


def _module(path: Path) -> str:
  return path[1] if path[1] == _BACKBONE else "/".join(_layer(path)[:2])


def _refusal(
  where: pathlib.Path,
  wrong: Iterable[Path],
  source: Mapping[Path, Any],
  target: Mapping[Path, Any],
) -> str:
  lines = [
    f"  {'/'.join(p)}: {_shape(p, source)} there, {_shape(p, target)} in this model" for p in wrong
  ]
  more = [f"  and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
  return (
    f"config.init_from: {where} has another backbone; set model.variant to the checkpoint's\n"
    + "\n".join(lines[:_MOST] + more)
  )


def _shape(path: Path, leaves: Mapping[Path, Any]) -> Any:
  return tuple(leaves[path].shape) if path in leaves else "absent"
