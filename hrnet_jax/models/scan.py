"""Loops over equal parts, and rematerialisation, around a network whose definition knows neither.

`ScannedHRNet` intercepts the calls of the plain network's stages and of its sequences of blocks.
Equal parts become the body of one loop, which is compiled once. On a CPU they keep for the backward
pass what convolutions return and the statistics of norms, and compute norms, ReLUs and sums again.
Rematerialised parts keep their inputs alone. Both work on the variables of the plain network, so
names, shapes and initial values stay. Values inside of such a part are not visible as
intermediates.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hrnet_jax.models.backbone import HRNet
from hrnet_jax.models.blocks import BlockSequence
from hrnet_jax.models.exchange import Pyramid, Stage
from hrnet_jax.models.layers import CONVOLUTION
from hrnet_jax.ops.batch_norm import STATISTICS
from hrnet_jax.ops.cpu import onednn

# Where the variables of a part are in its owner: in one submodule, or of each of the part's
# submodules the name of the owner's.
Names = str | Mapping[str, str]
_STATS = "batch_stats"
# Of a part that is not rematerialised as a whole. Norms, ReLUs and sums are cheap to compute again,
# and a loop would stack the maps that each of them returns.
_KEPT = jax.checkpoint_policies.save_only_these_names(CONVOLUTION, STATISTICS)


class ScannedHRNet(HRNet):
  """`HRNet` as another program with the same variables and, but for rounding, the same numbers.

  Attributes:
    scan_layers: modules of a stage, and blocks of a sequence, become loops.
    remat: the backward pass computes the inside of stage 1 and of every exchange module again.
  """

  scan_layers: bool = False
  remat: bool = False

  def __call__(self, images: jax.Array, *, train: bool) -> Pyramid:
    with parts_of_stages(scan_layers=self.scan_layers, remat=self.remat):
      return super().__call__(images, train=train)


@contextlib.contextmanager
def parts_of_stages(*, scan_layers: bool, remat: bool) -> Iterator[None]:
  """Within this context, stages and sequences of blocks run by parts; see `ScannedHRNet`."""
  with nn.intercept_methods(_Interceptor(scan_layers, remat)):
    yield


@dataclasses.dataclass
class _Interceptor:
  """Runs what is intercepted by parts.

  Attributes:
    scan_layers: see `ScannedHRNet`.
    remat: see `ScannedHRNet`.
    in_part: whether a part is running, which is not rematerialised by parts once more.
  """

  scan_layers: bool
  remat: bool
  in_part: bool = False

  def __call__(
    self,
    next_method: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    module, remat = context.module, self.remat and not self.in_part
    # Initialisation makes the variables that parts need, one by one.
    if context.method_name == "__call__" and not module.is_initializing():
      if isinstance(module, Stage) and (remat or (self.scan_layers and module.modules > 1)):
        return self._stage(module, *args, **kwargs, remat=remat)
      if isinstance(module, BlockSequence) and remat:
        return self._whole_sequence(module, *args, **kwargs)
      if isinstance(module, BlockSequence) and self.scan_layers:
        return self._sequence(module, *args, **kwargs)
    return next_method(*args, **kwargs)

  def _stage(self, stage: Stage, xs: Pyramid, *, train: bool, remat: bool) -> Pyramid:
    """Every module is a stage of one; the last stands alone if it computes fewer branches."""
    alike = stage.modules - (stage.outputs not in (None, len(xs)))
    for modules, outputs in ((range(alike), None), (range(alike, stage.modules), stage.outputs)):
      part = stage.clone(modules=1, outputs=outputs, name=None, parent=None)
      names = [_names_of_module(stage, m) for m in modules]
      xs = self._run(stage, part, names, xs, train=train, remat=remat)
    return xs

  def _whole_sequence(self, sequence: BlockSequence, x: jax.Array, *, train: bool) -> jax.Array:
    """The sequence is one part."""
    blocks = sequence.blocks
    copies = tuple(block.clone(name=None, parent=None) for block in blocks)
    part = sequence.clone(blocks=copies, name=None, parent=None)
    names = {f"blocks_{k}": block.name for k, block in enumerate(blocks)}
    return self._run(blocks[0].parent, part, [names], x, train=train, remat=True)

  def _sequence(self, sequence: BlockSequence, x: jax.Array, *, train: bool) -> jax.Array:
    """Every block is a part; the first stands alone if it widens the map."""
    first, *rest = sequence.blocks
    owner = first.parent
    if rest and _shapes(owner, first.name) != _shapes(owner, rest[0].name):
      x = first(x, train=train)
    else:
      rest = [first, *rest]
    part, names = rest[0].clone(name=None, parent=None), [block.name for block in rest]
    return self._run(owner, part, names, x, train=train, remat=False)

  def _run(
    self,
    owner: nn.Module,
    part: nn.Module,
    names: Sequence[Names],
    x: Any,
    *,
    train: bool,
    remat: bool,
  ) -> Any:
    """Runs `part` once for each of `names`, with the variables that `owner` has there.

    New running statistics are stored in the owner, as submodules would do.

    Args:
      owner: a module inside `apply`; it must not be initialising.
      part: a module without parent, `part(x, train=...)`. In a loop, what it returns must have the
        shapes and dtypes of `x`.
      names: of the variables, in the order of the runs.
      x: what the first run takes, a tree of arrays.
      train: passed on.
      remat: computes the inside of every run again in the backward pass.

    Returns:
      What the last run returns.
    """
    store = train and owner.is_mutable_collection(_STATS)
    scanned = self.scan_layers and len(names) > 1
    # Parts of a part keep what it keeps. Measured on a CPU with its library alone; programs for
    # accelerators stay as they were.
    lean = not self.in_part and onednn.serves_here(jax.tree.leaves(x)[0].dtype)

    def run(x: Any, variables: Any) -> tuple[Any, Any]:
      with self._part():
        if not store:
          return part.apply(variables, x, train=train), None
        x, new = part.apply(variables, x, train=train, mutable=[_STATS])
        return x, new.get(_STATS, {})

    if remat:
      # A loop's body is not merged with its copy in the backward pass; anywhere else it would be.
      run = jax.checkpoint(run, prevent_cse=not scanned)
    elif lean:
      run = jax.checkpoint(run, prevent_cse=not scanned, policy=_KEPT)
    variables = [_read(owner, name) for name in names]
    x, stats = (_loop if scanned else _in_line)(run, x, variables)
    if store:
      for name, new in zip(names, stats, strict=True):
        _write(owner, name, new)
    return x

  @contextlib.contextmanager
  def _part(self) -> Iterator[None]:
    before, self.in_part = self.in_part, True
    try:
      yield
    finally:
      self.in_part = before


def _names_of_module(stage: Stage, module: int) -> dict[str, str]:
  """Names of the submodules in a stage of one module -> their names here."""
  split = ((name, *name.split("_", 2)) for name in stage.variables["params"])
  return {
    "_".join([kind, "0", *rest]): name
    for name, kind, number, *rest in split
    if int(number) == module
  }


def _loop(run: Callable, x: Any, variables: list) -> tuple[Any, list]:
  x, stats = jax.lax.scan(run, x, jax.tree.map(lambda *each: jnp.stack(each), *variables))
  return x, [jax.tree.map(lambda a, k=k: a[k], stats) for k in range(len(variables))]


def _in_line(run: Callable, x: Any, variables: list) -> tuple[Any, list]:
  stats = []
  for each in variables:
    x, new = run(x, each)
    stats.append(new)
  return x, stats


def _shapes(owner: nn.Module, name: str) -> Any:
  return jax.tree.map(jnp.shape, _read(owner, name))


def _read(owner: nn.Module, names: Names) -> dict[str, Any]:
  """Collections of a part; networks with folded norms or GroupNorm have no statistics."""
  if isinstance(names, str):
    kinds = [kind for kind in ("params", _STATS) if owner.has_variable(kind, names)]
    return {kind: owner.get_variable(kind, names) for kind in kinds}
  each = {inner: _read(owner, outer) for inner, outer in names.items()}
  return {
    kind: {inner: found[kind] for inner, found in each.items() if kind in found}
    for kind in ("params", _STATS)
  }


def _write(owner: nn.Module, names: Names, stats: Mapping[str, Any]) -> None:
  """Stores running statistics of a part; there are none without BatchNorm."""
  if isinstance(names, str):
    if stats:
      owner.put_variable(_STATS, names, stats)
  else:
    for inner, new in stats.items():
      owner.put_variable(_STATS, names[inner], new)
