"""The folder of a run's checkpoints: which there are, what else is in it, how one is removed."""

from collections.abc import Iterable
import math
import os
import pathlib
import re
import shutil

from hrnet_jax import files
from hrnet_jax.checkpoint import scores
from hrnet_jax.checkpoint.reading import say_once
from hrnet_jax.errors import some_of

_STEP = re.compile(r"0|[1-9][0-9]{0,9}")
_LARGEST = 2**31 - 1  # steps are int32
_UNFINISHED = ".orbax-checkpoint-tmp"  # in names of what earlier versions began to write
_MOST = 5  # names in a message


def steps_in(folder: pathlib.Path) -> list[int]:
  """Steps of the complete checkpoints in a folder, in no order; says what else is in it, once.

  Raises:
    OSError: the folder is there and cannot be read.
  """
  try:
    entries = files.patiently(lambda: [(x.name, x.is_dir()) for x in os.scandir(folder)])
  except (FileNotFoundError, NotADirectoryError):
    return []
  steps = [int(name) for name, is_dir in entries if is_dir and _is_step(name)]
  others = sorted(x for x, is_dir in entries if not (is_dir and _is_step(x)) and not _is_ours(x))
  if others:
    say_once(
      f"{folder}: {some_of(others, _MOST)} passed over: checkpoints are folders that are "
      "called by their step"
    )
  return steps


def best(folder: pathlib.Path, steps: Iterable[int]) -> int | None:
  """The step with the best score, of equal ones the last; None if none has a score."""
  found = {step: scores.read_or_say(folder / str(step)) for step in steps}
  return max(((x, step) for step, x in found.items() if x is not None), default=(0, None))[1]


def to_keep(folder: pathlib.Path, steps: Iterable[int], last: int) -> set[int]:
  """The `last` newest steps, the best one, and those whose score cannot be read now."""
  steps = sorted(steps)
  found = {step: scores.read_or_say(folder / str(step), math.inf) for step in steps}
  known = [(x, step) for step, x in found.items() if x not in (None, math.inf)]
  unknown = {step for step, x in found.items() if x == math.inf}
  return {*steps[-last:], *unknown, *([max(known)[1]] if known else [])}


def remove(folder: pathlib.Path) -> None:
  """Removes a checkpoint in one step, so that nobody sees half of it under its name.

  Raises:
    OSError: it is there as it was.
  """
  if folder.is_symlink():
    folder.unlink()
    return
  temporary = files.temporary_name(folder)
  folder.rename(temporary)
  shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: pathlib.Path) -> None:
  """Removes what processes that were killed had begun to write; for the owner of the folder."""
  for path in [*folder.iterdir(), *folder.glob(f"*/{scores.ITEM}/.*")]:
    if files.is_temporary(path) or _UNFINISHED in path.name:
      if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
      else:
        path.unlink(missing_ok=True)


def _is_step(name: str) -> bool:
  return _STEP.fullmatch(name) is not None and int(name) <= _LARGEST


def _is_ours(name: str) -> bool:
  """Whether a name is hidden, which our temporary ones are, or that of an unfinished checkpoint."""
  return name.startswith(".") or _UNFINISHED in name
