"""Saves and restores runs: state <-> `WORKDIR/checkpoints`.

A checkpoint is a folder `checkpoints/<step>` with the items of `handlers`, among them the config
and facts about the data, so that it can be used without the folder around it. Process 0 writes,
every process reads; the folder has to be one that all of them see.
"""

from collections.abc import Mapping
import logging
import math
import pathlib
import shutil
import time
from typing import Any

import jax
from jax.sharding import Mesh
import orbax.checkpoint as ocp

from hrnet_jax.checkpoint import handlers
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import collectives, sharding
from hrnet_jax.errors import UserError
from hrnet_jax.run_log import log

FOLDER, DAMAGED = "checkpoints", "damaged"
_SCORE = "score"
_SLOW_SECONDS = 10.0  # of waiting for storage that is worth a word


class Checkpoints:
  """The checkpoints of one workdir, written asynchronously; a context manager.

  Leaving it waits for writes that are under way. A folder appears under its final name only when
  it is complete, so a run that is killed leaves no checkpoint half written. What cannot be written
  is said, and tried again with a later step; the run goes on.
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
    self._manager = self._open() if jax.process_index() == 0 else None
    # The step that was started last, until it is known to be there.
    self._writing: int | None = None
    self._failed_at: float | None = None

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *exc_info: object) -> None:
    if self._manager is not None:
      self._settle()
      self._manager.close()

  @property
  def latest(self) -> int | None:
    """Step of the newest complete checkpoint; waits for one that is being written."""
    if self._manager is not None:
      self._settle()
    return self._newest()

  @property
  def retry_is_due(self) -> bool:
    """Whether the last save failed some time ago; only process 0 knows."""
    failed = self._failed_at
    return failed is not None and time.monotonic() - failed > self._retry_seconds

  def path(self, step: int) -> pathlib.Path:
    """Folder of a checkpoint."""
    return self._folder / str(step)

  def save(
    self,
    state: TrainState,
    loader: dict[str, int],
    *,
    score: float | None = None,
    replace: bool = False,
  ) -> None:
    """Starts writing; returns when the arrays have been copied off the devices.

    Waits for the save before it. Failures, of this one or of that, are said and not raised.

    Args:
      state: to save; may be donated afterwards.
      loader: position in the data, `Loader.state()`.
      score: of the validation at this step; larger is better.
      replace: writes a step that is there already.
    """
    if self._manager is None:
      return
    self._settle()
    step = int(state.step)
    arrays = {"variables": state.variables, "training": _training(state)}
    metrics = {} if score is None else {_SCORE: score}
    if error := _no_room(self._folder, arrays):
      self._report(step, error)
      return
    args = handlers.to_save(arrays, {"loader": loader, "facts": self._facts})
    try:
      if replace and step in steps_in(self._folder):
        self._manager.delete(step)
      self._manager.save(step, args=args, metrics=metrics)
      self._writing = step
    except Exception as error:
      self._report(step, error)

  def finish(self) -> None:
    """Waits for the last save.

    Raises:
      OSError: it has failed.
    """
    if self._manager is not None:
      self._settle()
      if self._failed_at is not None:
        raise OSError(
          f"the last checkpoint could not be written to {self._folder} (see above); put that right "
          f"and start the same command again, which goes on from step {self.latest or 0}"
        )

  def restore(self, state: TrainState, mesh: Mesh) -> tuple[TrainState, dict[str, int]] | None:
    """The newest state that is whole, and the position in the data; None if there is none.

    Newer ones that are damaged are named and moved to the folder `damaged`.

    Args:
      state: of the shapes and dtypes to expect.
      mesh: on all of whose devices the state is put.

    Raises:
      ValueError: checkpoints are there, and none can be used: all are damaged, are another
        network's, or hold a network without a run, as `export` writes it.
    """
    expected = {"variables": state.variables, "training": _training(state)}
    unreadable: dict[int, Exception] = {}
    for step in collectives.of_first_process(sorted(steps_in(self._folder), reverse=True)):
      try:
        found = handlers.read(self.path(step), expected, ("loader",))
      except Exception as error:
        found, unreadable[step] = None, error
      if collectives.all_processes(found is not None):
        self._put_aside(unreadable)
        arrays = {x: found[x] for x in expected}
        whole = sharding.device_put_global(arrays, sharding.replicated(mesh))
        return TrainState(**{"batch_stats": {}} | whole["variables"], **whole["training"]), found[
          "loader"
        ]
      unreadable.setdefault(step, OSError("another process cannot read it"))
    if not unreadable:
      return None
    reasons = "\n".join(f"  {self.path(x)}: {_line(error)}" for x, error in unreadable.items())
    raise UserError(
      f"no checkpoint of {self._workdir} can be used:\n{reasons}\n"
      "nothing was changed; choose another --workdir, or remove these checkpoints to start anew"
    )

  def _open(self) -> ocp.CheckpointManager:
    self._folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(self._folder)
    policies = ocp.checkpoint_managers
    best = policies.BestN(get_metric_fn=best_score, n=1, keep_checkpoints_without_metrics=False)
    return ocp.CheckpointManager(
      self._folder,
      item_names=handlers.NAMES,
      options=ocp.CheckpointManagerOptions(
        create=False,
        best_fn=best_score,  # without it the score is not written
        preservation_policy=policies.AnyPreservationPolicy(
          [policies.LatestN(self._keep_last), best]
        ),
        multiprocessing_options=handlers.alone("write"),
      ),
    )

  def _settle(self) -> None:
    """Waits for the save under way and notes how it went."""
    began = time.monotonic()
    try:
      self._manager.wait_until_finished()
    except Exception as error:
      self._report(self._writing, error)
      return
    if self._writing is not None:
      self._failed_at = None
      waited = time.monotonic() - began
      if waited > _SLOW_SECONDS:
        log.info(
          f"waited {waited:.0f} s for the checkpoint of step {self._writing}: storage is slow; a "
          "larger checkpoint.every_steps would wait less"
        )
    self._writing = None

  def _report(self, step: int | None, error: Exception) -> None:
    """Says what went wrong, and begins anew with the folder as it is."""
    self._failed_at, self._writing = time.monotonic(), None
    log.info(
      f"the checkpoint of step {step} could not be written: {_line(error)}\n"
      f"  training goes on; the last one is {self._newest()}, and the next try comes in "
      f"{self._retry_seconds:g} s or with the next checkpoint that is due"
    )
    try:
      self._manager.close()
    except Exception as later:  # what it still had to say about the same failure
      logging.debug("closing after a failure: %s", later)
    self._manager = self._open()

  def _newest(self) -> int | None:
    return max(steps_in(self._folder), default=None)

  def _put_aside(self, unreadable: Mapping[int, Exception]) -> None:
    """Moves damaged checkpoints out of the way of those to come."""
    if self._manager is None:
      return
    for step, error in unreadable.items():
      place = self._workdir / DAMAGED / f"{step}_{time.strftime('%Y%m%d_%H%M%S')}"
      place.parent.mkdir(exist_ok=True)
      self.path(step).rename(place)
      log.info(f"{self.path(step)} is damaged: {_line(error)}\n  moved to {place}")
    if unreadable:
      self._manager.reload()


def steps_in(folder: pathlib.Path) -> list[int]:
  """Steps of the complete checkpoints in a folder, in no order."""
  if not folder.is_dir():
    return []
  return [int(path.name) for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]


def _remove_unfinished(folder: pathlib.Path) -> None:
  """Removes what a run that was killed had begun to write.

  Orbax would do it in a thread, which prints a traceback if the program ends first.
  """
  for path in folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"):
    shutil.rmtree(path, ignore_errors=True)


def best_score(metrics: dict[str, float]) -> float:
  """The number by which the best checkpoint is chosen, from what is stored beside each."""
  return metrics.get(_SCORE, -math.inf)


def _training(state: TrainState) -> dict[str, Any]:
  return {"step": state.step, "opt_state": state.opt_state}


def _no_room(folder: pathlib.Path, arrays: Any) -> OSError | None:
  """An error if the disk has no room, said shorter than the storage library would."""
  needed = 1.05 * sum(x.nbytes for x in jax.tree.leaves(arrays)) + 2**20
  free = shutil.disk_usage(folder).free
  if free >= needed:
    return None
  return OSError(f"{folder} has room for {free / 2**20:.0f} MiB, expected {needed / 2**20:.0f}")


def _line(error: Exception) -> str:
  """The first line of what an error says, which for those of storage libraries is long."""
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0][:300]
