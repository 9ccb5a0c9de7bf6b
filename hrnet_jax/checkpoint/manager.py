"""Saves and restores runs: state <-> `WORKDIR/checkpoints`.

A checkpoint is a folder `checkpoints/<step>` with the items of `handlers`, among them the config
and facts about the data, so that it can be used without the folder around it. Process 0 writes,
every process reads; the folder has to be one that all of them see.
"""

from collections.abc import Mapping
import enum
import errno
import functools
import pathlib
import time
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from hrnet_jax import files
from hrnet_jax.checkpoint import handlers, listing, scores
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.reading import Gone
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.checkpoint.writer import Write, publish_folder
from hrnet_jax.distributed import collectives, sharding
from hrnet_jax.errors import UserError, first_line
from hrnet_jax.run_log import log

FOLDER, DAMAGED = "checkpoints", "damaged"
# In the position of a checkpoint: its validation was broken off, and comes first when the run goes
# on, so that its line in the log and its score are those of a run that was not interrupted.
EVALUATION_DUE = "evaluation_due"
_SLOW_SECONDS = 10.0  # of waiting for storage that is worth a word
_PAUSE = 1.0  # seconds between attempts at the end of a run
_MAY_PASS = files.TRANSIENT | {errno.ENOENT, errno.ENOSPC, errno.EDQUOT}


class _Found(enum.IntEnum):
  """How a process found a checkpoint; of several processes the highest counts."""

  WHOLE = 0
  DAMAGED = 1
  GONE = 2
  NOT_USABLE = 3  # now, or by this program, though it may be whole


class Checkpoints:
  """The checkpoints of one workdir, written in the background; a context manager.

  Leaving it waits for the write that is under way, with a bound. A folder appears under its final
  name only when it is complete and has reached the disk, and older ones go after that, so a run
  that is killed has no checkpoint half written and none too few. What cannot be written is said,
  and tried again with a later step; the run goes on.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    facts: dict[str, Any],
    keep_last: int = 2,
    retry_seconds: float = 60.0,
  ):
    """Keeps the `keep_last` newest checkpoints and the one with the best score.

    Args:
      workdir: of the run.
      facts: what to store beside the arrays; JSON.
      keep_last: 1 or more.
      retry_seconds: after a failure, until another step is tried.

    Raises:
      ValueError: `keep_last` is less than 1.
    """
    if keep_last < 1:
      raise UserError(f"checkpoint.keep_last is {keep_last}, expected 1 or more")
    self._facts, self._keep_last, self._retry_seconds = facts, keep_last, retry_seconds
    self._workdir, self._folder = workdir, (workdir / FOLDER).absolute()
    self._writes = jax.process_index() == 0
    # Under way, and the one that failed last, if none has come through since.
    self._write: Write | None = None
    self._failed: Write | None = None
    self._failed_at: float | None = None
    if self._writes:
      files.patiently(lambda: self._folder.mkdir(parents=True, exist_ok=True))
      files.patiently(lambda: listing.remove_unfinished(self._folder))

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *exc_info: object) -> None:
    self._settle()

  @property
  def latest(self) -> int | None:
    """Step of the newest complete checkpoint; waits for one that is being written."""
    self._settle()
    return max(listing.steps_in(self._folder), default=None)

  @property
  def retry_is_due(self) -> bool:
    """Whether the last save failed some time ago; only process 0 knows."""
    if self._write is not None and self._write.is_over():
      self._settle()
    failed = self._failed_at
    return failed is not None and time.monotonic() - failed > self._retry_seconds

  def path(self, step: int) -> pathlib.Path:
    """Folder of a checkpoint."""
    return self._folder / str(step)

  def save(self, state: TrainState, loader: dict[str, int], *, score: float | None = None) -> None:
    """Starts writing; returns when the arrays have been copied off the devices.

    Waits for the save before it. Failures, of this one or of that, are said and not raised.

    Args:
      state: to save; may be donated afterwards.
      loader: position in the data, `Loader.state()`.
      score: of the validation at this step; larger is better.
    """
    if not self._writes or not self._settle():
      return
    step = int(state.step)
    arrays = handlers.on_host({"variables": state.variables, "training": _training(state)})
    num_bytes = sum(x.nbytes for x in jax.tree.leaves(arrays))
    plain = {"loader": loader, "facts": self._facts}

    def write(folder: pathlib.Path) -> None:
      handlers.write(folder, step, arrays, plain, score)

    def publish() -> None:
      publish_folder(self.path(step), num_bytes, write)
      self._remove_old()

    self._write = Write(step, num_bytes, publish)

  def add_score(self, step: int, score: float) -> None:
    """Gives a checkpoint that is there the score of a validation that was made up for.

    A failure is said and not raised; the validation is then made up for at the next start.
    """
    if not self._writes or not self._settle():
      return
    num_bytes = len(scores.content(step, score))

    def write() -> None:
      scores.write(self.path(step), score)
      self._remove_old()

    self._write = Write(step, num_bytes, write)

  def finish(self) -> None:
    """Waits for the last save, and tries it some more times where it has failed.

    Raises:
      OSError: it has failed.
    """
    if not self._writes:
      return
    end = time.monotonic() + files.PATIENCE
    while not self._settle() or self._failed is not None:
      failed = self._failed
      if failed is None or not _may_pass(failed) or time.monotonic() > end:
        raise OSError(
          f"the last checkpoint could not be written to {self._folder} (see above); put that right "
          f"and start the same command again, which goes on from step {self._newest() or 0}"
        )
      time.sleep(min(_PAUSE, files.PATIENCE))
      self._write = Write(failed.step, failed.num_bytes, failed.work)

  def restore(self, state: TrainState, mesh: Mesh) -> tuple[TrainState, dict[str, int]] | None:
    """The newest state that is whole, and the position in the data; None if there is none.

    Newer ones that are damaged are named and moved to the folder `damaged`. A validation that was
    broken off and has been made up for since is no longer due in the position.

    Args:
      state: of the shapes and dtypes to expect.
      mesh: on all of whose devices the state is put.

    Raises:
      ValueError: checkpoints are there, and none can be used: all are damaged, or the newest is
        another network's, of a later version, or a network without a run, as `export` writes it.
      OSError: one cannot be read at present.
    """
    expected = {"variables": state.variables, "training": _training(state)}
    damaged: dict[int, str] = {}
    steps = listing.steps_in(self._folder) if self._writes else []
    for step in collectives.of_first_process(sorted(steps, reverse=True)):
      found, error = self._read(step, expected)
      verdicts = collectives.exchange(np.int32(_verdict(error)))
      if verdicts.max() == _Found.WHOLE:
        self._put_aside(damaged)
        arrays = {x: found[x] for x in expected}
        whole = sharding.device_put_global(arrays, sharding.replicated(mesh))
        state = TrainState(**{"batch_stats": {}} | whole["variables"], **whole["training"])
        return state, self._without_score_that_is_there(step, found["loader"])
      if verdicts.min() == _Found.GONE:
        continue
      if verdicts.max() > _Found.DAMAGED:
        raise self._refusal(step, error, damaged)
      damaged[step] = error.reason if isinstance(error, Damaged) else "as another process reads it"
    if not damaged:
      return None
    raise UserError(self._none_can_be_used(damaged))

  def _read(
    self, step: int, expected: Mapping[str, Any]
  ) -> tuple[dict[str, Any], Exception | None]:
    def read() -> dict[str, Any]:
      return handlers.read(self.path(step), expected, ("loader",))

    # Process 0 has seen it; on shared storage the others may have to wait until they do.
    also = frozenset({errno.ENOENT}) if jax.process_index() else frozenset()
    try:
      return files.patiently(read, also=also), None
    except Exception as error:
      return {}, error

  def _without_score_that_is_there(self, step: int, loader: dict[str, int]) -> dict[str, int]:
    if EVALUATION_DUE not in loader:
      return loader
    scored = scores.read_or_say(self.path(step)) is not None
    if not collectives.all_processes(scored):
      return loader
    return {key: x for key, x in loader.items() if key != EVALUATION_DUE}

  def _refusal(self, step: int, error: Exception | None, damaged: Mapping[int, str]) -> Exception:
    """Why the run cannot go on from a checkpoint that is not damaged."""
    if error is None or isinstance(error, Damaged):
      return UserError(f"{self.path(step)}: another process cannot use it, and says why")
    if isinstance(error, Gone):
      return UserError(f"{self.path(step)} is not seen by every process; use a shared --workdir")
    if isinstance(error, UserError):
      return UserError(self._none_can_be_used({**damaged, step: first_line(error)}))
    return error

  def _none_can_be_used(self, reasons: Mapping[int, str]) -> str:
    lines = "\n".join(f"  {self.path(step)}: {reason}" for step, reason in reasons.items())
    return (
      f"no checkpoint of {self._workdir} can be used:\n{lines}\n"
      "nothing was changed; choose another --workdir, or remove these checkpoints to start anew"
    )

  def _settle(self) -> bool:
    """Notes how the write under way went, once it is over; whether there is none any more."""
    write = self._write
    if write is None:
      return True
    began = time.monotonic()
    if not write.is_over(min(_SLOW_SECONDS, write.seconds_left)):
      log.info(f"waiting until the checkpoint of step {write.step} is written to {self._folder}")
      if not write.is_over(write.seconds_left):
        log.info(
          f"{self._folder}: storage hangs; the checkpoint of step {write.step} is not written "
          f"after {time.monotonic() - write.began:.0f} s, and nobody waits any longer"
        )
        return False
    self._write = None
    if write.error is not None:
      self._report(write)
      return True
    self._failed = self._failed_at = None
    waited = time.monotonic() - began
    if waited > _SLOW_SECONDS:
      log.info(
        f"waited {waited:.0f} s for the checkpoint of step {write.step}: storage is slow; a "
        "larger checkpoint.every_steps would wait less"
      )
    return True

  def _report(self, write: Write) -> None:
    """Says what went wrong, unless that is another try."""
    again = self._failed is not None and self._failed.step == write.step
    self._failed, self._failed_at = write, time.monotonic()
    if again:
      return
    log.info(
      f"the checkpoint of step {write.step} could not be written: {first_line(write.error)}\n"
      f"  training goes on; the last one is {self._newest()}, and the next try comes in "
      f"{self._retry_seconds:g} s or with the next checkpoint that is due"
    )

  def _newest(self) -> int | None:
    try:
      return max(listing.steps_in(self._folder), default=None)
    except OSError:
      return None

  def _remove_old(self) -> None:
    """Leaves the newest checkpoints and the best one; what cannot be removed is said."""
    try:
      steps = set(listing.steps_in(self._folder))
      for step in steps - listing.to_keep(self._folder, steps, self._keep_last):
        listing.remove(self.path(step))
    except OSError as error:
      log.info(f"old checkpoints of {self._folder} cannot be removed: {first_line(error)}")

  def _put_aside(self, damaged: Mapping[int, str]) -> None:
    """Moves damaged checkpoints out of the way of those to come."""
    if not self._writes:
      return
    for step, reason in damaged.items():
      place = self._workdir / DAMAGED / f"{step}_{time.strftime('%Y%m%d_%H%M%S')}"
      place.parent.mkdir(exist_ok=True)
      files.patiently(functools.partial(self.path(step).rename, place))
      log.info(f"{self.path(step)} is damaged: {reason}\n  moved to {place}")


def _training(state: TrainState) -> dict[str, Any]:
  return {"step": state.step, "opt_state": state.opt_state}


def _verdict(error: Exception | None) -> _Found:
  if error is None:
    return _Found.WHOLE
  if isinstance(error, Damaged):
    return _Found.DAMAGED
  return _Found.GONE if isinstance(error, Gone) else _Found.NOT_USABLE


def _may_pass(write: Write) -> bool:
  return isinstance(write.error, OSError) and write.error.errno in _MAY_PASS
