"""Checkpoints with faults: saved, replaced, rotated and restored."""

import functools
import pathlib

import jax
import numpy as np

from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import sharding
from tests.faults import library
from tests.faults.operation import NEW, OLD, Operation
from tests.helpers import toy

FACTS = {"config": toy.get_config().to_dict(), "dataset": {"name": "toy", "fingerprint": "f"}}
_LATER = 9  # a step that follows all others


@functools.cache
def _mesh() -> jax.sharding.Mesh:
  return toy.make_mesh(1)


def state_at(step: int) -> TrainState:
  """A state of a few numbers that all depend on the step."""
  rng = np.random.default_rng(step)
  params = {"w": rng.normal(size=(3, 4)).astype(np.float32), "b": rng.normal(size=5)}
  state = TrainState(
    step=np.int32(step),
    params=params,
    batch_stats={"mean": rng.normal(size=2).astype(np.float32)},
    opt_state=({"w": rng.integers(0, 99, (3, 4))},),
  )
  return jax.device_put(state, sharding.replicated(_mesh()))


def position(step: int, score: float | None) -> dict[str, int]:
  """As a run has it, which owes the validation of a step without a score."""
  return {"next_batch": 10 * step} | ({} if score is not None else {"evaluation_due": 1})


def save(
  workdir: pathlib.Path,
  scores: dict[int, float | None],
  *,
  keep_last: int = 2,
  late: bool = False,
) -> None:
  """Saves a state at each step of `{step: score}`, one after the other.

  Args:
    workdir: of the run.
    scores: by step; None for a save without validation.
    keep_last: of the run.
    late: the steps are there, and get their scores.

  Raises:
    OSError: the last could not be written.
  """
  with Checkpoints(workdir, facts=FACTS, keep_last=keep_last, retry_seconds=0.0) as saver:
    for step, score in scores.items():
      if late:
        saver.add_score(step, score)
      else:
        saver.save(state_at(step), position(step, score), score=score)
    saver.finish()


def restored(workdir: pathlib.Path) -> tuple[int, dict[str, int]] | None:
  """Step and position of what a run would go on from, after a look at every bit.

  Raises:
    AssertionError: it holds other numbers than were saved.
  """
  with Checkpoints(workdir, facts=FACTS) as saver:
    found = saver.restore(state_at(0), _mesh())
  if found is None:
    return None
  state, where = found
  step = int(state.step)
  _compare(state, state_at(step))
  return step, where


def _compare(found: object, expected: object) -> None:
  leaves, others = jax.tree.leaves(jax.device_get(found)), jax.tree.leaves(expected)
  if any(x.tobytes() != np.asarray(y).tobytes() for x, y in zip(leaves, others, strict=True)):
    raise AssertionError("other bits than were saved")


def _best(workdir: pathlib.Path) -> int:
  loaded = networks.load(workdir)
  _compare(loaded.variables, state_at(loaded.step).variables)
  return loaded.step


def saving(
  name: str,
  before: dict[int, float | None],
  step: int,
  score: float | None,
  *,
  keep_last: int = 2,
  late: bool = False,
  share: int = 1,
) -> Operation:
  """Saves one step where others are.

  Args:
    name: for people.
    before: steps that are there, with their scores.
    step: to save.
    score: its score.
    keep_last: of the run.
    late: the step is there already, without its score.
    share: see `Operation`.
  """
  newest = max(before, default=None)
  old = None if newest is None else (newest, position(newest, before[newest]))
  # The best of those with a score, or the newest.
  bests = {x: y for x, y in before.items() if y is not None}
  best = {OLD: max(bests, key=bests.get, default=newest)}
  if score is not None:
    bests[step] = score
  best[NEW] = max(bests, key=bests.get, default=step)

  def look(workdir: pathlib.Path) -> str:
    found = restored(workdir)
    if found not in (old, (step, position(step, score))):
      return f"goes on from {found}"
    which = OLD if found == old else NEW
    if found and _best(workdir) != best[which]:
      return f"{which}, but the best is {_best(workdir)} instead of {best[which]}"
    return which

  def again(workdir: pathlib.Path) -> None:
    if look(workdir) != NEW:
      save(workdir, {step: score}, keep_last=keep_last, late=late)
    if (found := look(workdir)) != NEW:
      raise ValueError(f"after the next save: {found}")
    save(workdir, {_LATER: None}, keep_last=keep_last)
    if restored(workdir) != (_LATER, position(_LATER, None)):
      raise ValueError(f"after the save that follows: {restored(workdir)}")

  return Operation(
    name,
    prepare=lambda workdir: save(workdir, before, keep_last=keep_last) if before else None,
    run=lambda workdir: save(workdir, {step: score}, keep_last=keep_last, late=late),
    look=look,
    again=again,
    survives=True,
    share=share,
  )


def _restore_newest(workdir: pathlib.Path) -> None:
  found = restored(workdir)
  if found is None or found[0] != 2:
    raise LookupError(f"a good checkpoint is passed over: goes on from {found}")


def _still_there(workdir: pathlib.Path) -> str:
  return NEW if restored(workdir) == (2, position(2, 0.2)) else f"goes on from {restored(workdir)}"


def _best_is_first(workdir: pathlib.Path) -> None:
  if _best(workdir) != 1:
    raise LookupError("the best is passed over")


def reading(name: str, run: object) -> Operation:
  """Reads where two checkpoints are; nothing is to be called damaged."""
  return Operation(
    name,
    prepare=lambda workdir: save(workdir, {1: 0.9, 2: 0.2}),
    run=run,
    look=_still_there,
    again=run,
    calls=library.LOOKING,
    survives=True,
  )


OPERATIONS = (
  saving("save, first", {}, 1, None, share=5),
  saving("save, one goes", {1: 0.1, 2: 0.9, 3: None}, 4, 0.3, keep_last=1),
  saving("score made up for", {1: None}, 1, 0.5, keep_last=1, late=True),
  reading("restore", _restore_newest),
  reading("load the best", _best_is_first),
)
