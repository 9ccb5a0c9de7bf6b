"""The log of a run while it goes on: terminal, `metrics.jsonl` and TensorBoard."""

from collections.abc import Mapping
import datetime
import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from hrnet_jax.data.text import read_json_lines
from hrnet_jax.files import write_whole
from hrnet_jax.run_log.writers import LineWriter, TensorBoardWriter

METRICS = "metrics.jsonl"
TRAINING = "train"  # the split of what the train step says
_MOST_STEPS = 2**53


class Log:
  """Writes on process 0 and is silent on the others; a context manager.

  A run that goes on from step n first drops the lines of later steps, which it will do again. A
  full disk is said once, and does not end the run.
  """

  def __init__(self, workdir: pathlib.Path, *, first: int, last: int, validation_due: bool = False):
    """Opens the files.

    Args:
      workdir: of the run.
      first: the step that the run starts after.
      last: the step that it ends with.
      validation_due: whether the validation of `first` comes again; its lines are dropped.
    """
    self._active = jax.process_index() == 0
    self._bar = None
    self._last = last
    if not self._active:
      return
    path = workdir / METRICS
    _drop_after(path, first, validation_due)
    self._told = False
    self._lines = LineWriter(path, self._failed)
    self._board = TensorBoardWriter(workdir / "tensorboard", first + 1, self._failed)
    if sys.stderr.isatty():
      self._bar = tqdm(total=last, initial=first, unit="step", dynamic_ncols=True)

  def __enter__(self) -> "Log":
    return self

  def __exit__(self, *exc_info: object) -> None:
    if self._bar is not None:
      self._bar.close()
    if self._active:
      self._lines.close()
      self._board.close()

  def progress(self, step: int, values: Mapping[str, float], seconds_left: float) -> None:
    """Scalars of training, to all three places."""
    self.scalars(step, TRAINING, values)
    if not self._active:
      return
    shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
    if self._bar is not None:
      self._bar.update(step - self._bar.n)
      self._bar.set_postfix_str(shown)
    else:
      left = datetime.timedelta(seconds=round(seconds_left))
      info(f"step {step}/{self._last}  {shown}  ETA {left}")

  def scalars(self, step: int, split: str, values: Mapping[str, Any]) -> None:
    """Numbers, and by-class mappings of numbers, to `metrics.jsonl` and TensorBoard; not lists."""
    if not self._active:
      return
    values = {name: value for name, value in values.items() if not isinstance(value, list)}
    now = time.time()
    self._lines.write(json.dumps({"step": step, "split": split, "time": round(now, 3), **values}))
    if split != TRAINING:
      self.sync()  # the checkpoint that follows outlives a power cut, too
    for name, value in values.items():
      if isinstance(value, Mapping):
        for key, x in value.items():
          self._board.scalar(f"{split}/{name}/{key}", x, step, now)
      else:
        self._board.scalar(f"{split}/{name}", value, step, now)
    self._board.flush()

  def sync(self) -> None:
    """Waits until all lines of `metrics.jsonl` have reached the disk."""
    if self._active:
      self._lines.sync()

  def pictures(self, step: int, group: str, pictures: Mapping[int | str, np.ndarray]) -> None:
    """Pictures `(h, w, 3)` uint8 by example or name, to TensorBoard."""
    if self._active:
      for name, picture in pictures.items():
        self._board.picture(f"{group}/{name}", picture, step, time.time())
      self._board.flush()

  def _failed(self, error: OSError) -> None:
    if not self._told:
      info(f"the log cannot be written: {error}; training goes on")
    self._told = True


def info(text: str) -> None:
  """Prints a message for people, on process 0; beside a progress bar if there is one."""
  if jax.process_index() == 0:
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def read_entries(path: pathlib.Path) -> list[dict[str, Any]]:
  """Entries of a log, line by line; lines that are none are left out, and counted if there are more
  than the one that a killed run may leave unfinished.

  Raises:
    OSError: it cannot be read.
  """
  entries, damaged = read_json_lines(path)
  kept = [x for x in entries if _is_step(x.get("step")) and isinstance(x.get("split"), str)]
  if (damaged := damaged + len(entries) - len(kept)) > 1:
    info(f"{path}: {damaged} damaged lines are left out")
  return kept


def _is_step(x: Any) -> bool:
  return type(x) is int and 0 <= x < _MOST_STEPS


def _drop_after(path: pathlib.Path, step: int, validation_due: bool) -> None:
  """Keeps the complete lines of steps up to `step`, and of it those of training if it is due."""
  if path.exists():
    kept = [
      x
      for x in read_entries(path)
      if x["step"] < step or (x["step"] == step and not (validation_due and x["split"] == "eval"))
    ]
    write_whole(path, "".join(json.dumps(entry) + "\n" for entry in kept))
