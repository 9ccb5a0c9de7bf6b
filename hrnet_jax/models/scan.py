"""Equal parts of a network run as one: a part, its variables for each turn, x -> x.

Rolled parts are the body of one loop, which is compiled once. Rematerialised parts keep their
inputs alone for the backward pass, which computes the rest again. Both work on the variables that
the owner of the parts already has, so names, shapes and initial values are those of the network
without them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

# Of a part's variables in its owner: one submodule, or {submodule of the part: of the owner}.
Place = str | Mapping[str, str]
_STATS = "batch_stats"


def run_parts(
  owner: nn.Module,
  part: nn.Module,
  places: Sequence[Place],
  x: Any,
  *,
  train: bool,
  scan_layers: bool = False,
  remat: bool = False,
) -> Any:
  """Runs `part` once for each place, with the variables that `owner` has there.

  New running statistics are stored in the owner, as submodules would do. Submodules and
  intermediate values of the parts are not visible from outside.

  Args:
    owner: a module inside `apply`; it must not be initialising.
    part: a module without parent, `part(x, train=...)`. In a loop, what it returns must have the
      shapes and dtypes of `x`.
    places: of the variables, in the order of the turns.
    x: what the first turn takes, a tree of arrays.
    train: passed on.
    scan_layers: makes two turns or more one loop.
    remat: computes the inside of every turn again in the backward pass.

  Returns:
    What the last turn returns.
  """
  store = train and owner.is_mutable_collection(_STATS)
  rolled = scan_layers and len(places) > 1

  def turn(x: Any, variables: Any) -> tuple[Any, Any]:
    if not store:
      return part.apply(variables, x, train=train), None
    x, new = part.apply(variables, x, train=train, mutable=[_STATS])
    return x, new[_STATS]

  if remat:
    # A loop's body is not merged with its copy in the backward pass; anywhere else it would be.
    turn = jax.checkpoint(turn, prevent_cse=not rolled)
  variables = [_read(owner, place) for place in places]
  x, stats = (_loop if rolled else _in_line)(turn, x, variables)
  if store:
    for place, new in zip(places, stats, strict=True):
      _write(owner, place, new)
  return x


def _loop(turn: Any, x: Any, variables: list) -> tuple[Any, list]:
  x, stats = jax.lax.scan(turn, x, jax.tree.map(lambda *each: jnp.stack(each), *variables))
  return x, [jax.tree.map(lambda a, k=k: a[k], stats) for k in range(len(variables))]


def _in_line(turn: Any, x: Any, variables: list) -> tuple[Any, list]:
  stats = []
  for each in variables:
    x, new = turn(x, each)
    stats.append(new)
  return x, stats


def _read(owner: nn.Module, place: Place) -> dict[str, Any]:
  """Collections of the part; a network with folded norms has no statistics."""
  if isinstance(place, str):
    kinds = [kind for kind in ("params", _STATS) if owner.has_variable(kind, place)]
    return {kind: owner.get_variable(kind, place) for kind in kinds}
  each = {inner: _read(owner, outer) for inner, outer in place.items()}
  return {
    kind: {inner: found[kind] for inner, found in each.items() if kind in found}
    for kind in ("params", _STATS)
  }


def _write(owner: nn.Module, place: Place, stats: Mapping[str, Any]) -> None:
  if isinstance(place, str):
    owner.put_variable(_STATS, place, stats)
  else:
    for inner, outer in place.items():
      owner.put_variable(_STATS, outer, stats[inner])
