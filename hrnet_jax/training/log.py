"""What a run says while it goes on: terminal, `metrics.jsonl` and TensorBoard."""

from collections.abc import Mapping
import datetime
import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm


class Log:
  """Writes on process 0 and is silent on the others; a context manager.

  A run that goes on from step n first drops the lines of later steps, which it will do again.
  """

  def __init__(self, workdir: pathlib.Path, *, first: int, last: int):
    """`first` is the step the run starts after, `last` the one it ends with."""
    self._active = jax.process_index() == 0
    self._bar = None
    self._last = last
    if not self._active:
      return
    path = workdir / "metrics.jsonl"
    _drop_after(path, first)
    self._file = path.open("a", buffering=1)
    self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=first + 1)
    if sys.stderr.isatty():
      self._bar = tqdm(total=last, initial=first, unit="step", dynamic_ncols=True)

  def __enter__(self) -> "Log":
    return self

  def __exit__(self, *exc_info: object) -> None:
    if self._bar is not None:
      self._bar.close()
    if self._active:
      self._file.close()
      self._board.close()

  def say(self, text: str) -> None:
    """Prints a message for people."""
    if self._active:
      tqdm.write(text, file=sys.stderr)
      sys.stderr.flush()

  def progress(self, step: int, values: Mapping[str, float], seconds_left: float) -> None:
    """Scalars of training, to all three places."""
    self.scalars(step, "train", values)
    if not self._active:
      return
    shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
    if self._bar is not None:
      self._bar.update(step - self._bar.n)
      self._bar.set_postfix_str(shown)
    else:
      left = datetime.timedelta(seconds=round(seconds_left))
      self.say(f"step {step}/{self._last}  {shown}  ETA {left}")

  def scalars(self, step: int, split: str, values: Mapping[str, Any]) -> None:
    """Numbers, and by-class mappings of numbers, to `metrics.jsonl` and TensorBoard; not lists."""
    if not self._active:
      return
    values = {name: value for name, value in values.items() if not isinstance(value, list)}
    entry = {"step": step, "split": split, "time": round(time.time(), 3), **values}
    self._file.write(json.dumps(entry) + "\n")
    for name, value in values.items():
      if isinstance(value, Mapping):
        for key, x in value.items():
          self._board.add_scalar(f"{split}/{name}/{key}", x, step)
      else:
        self._board.add_scalar(f"{split}/{name}", value, step)

  def pictures(self, step: int, group: str, pictures: Mapping[int | str, np.ndarray]) -> None:
    """Pictures `(h, w, 3)` uint8 by example or name, to TensorBoard."""
    if self._active:
      for name, picture in pictures.items():
        self._board.add_image(f"{group}/{name}", picture, step, dataformats="HWC")


def _drop_after(path: pathlib.Path, step: int) -> None:
  """Keeps the complete lines of steps up to `step`."""
  if not path.exists():
    return
  kept = []
  for line in path.read_text().splitlines():
    try:
      entry = json.loads(line)
    except json.JSONDecodeError:
      continue  # the run was killed in the middle of this line
    if entry["step"] <= step:
      kept.append(line + "\n")
  temporary = path.with_suffix(".tmp")
  temporary.write_text("".join(kept))
  temporary.replace(path)
