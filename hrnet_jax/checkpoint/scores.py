"""The score of a checkpoint, in a file of its own beside what it belongs to: `metrics/metrics`.

It comes later than the rest where a validation was made up for, and is replaced in one step. Its
damage says nothing about the network: such a checkpoint counts as one without a score.
"""

import json
import math
import pathlib
from typing import Any

from hrnet_jax import files
from hrnet_jax.checkpoint import checksums
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.reading import Gone, say_once
from hrnet_jax.checkpoint.versions import format_of
from hrnet_jax.errors import first_line

ITEM = "metrics"
_SCORE, _STEP, _DIGEST = "score", "step", "digest"


def content(step: int, score: float | None) -> str:
  """The file's text; without a score it says that there is none."""
  values = {_STEP: step} | ({} if score is None else {_SCORE: float(score)})
  return json.dumps(values | {_DIGEST: checksums.digest(values)})


def write(folder: pathlib.Path, score: float) -> None:
  """Gives a checkpoint its score, in place of the one that it has.

  Raises:
    OSError: it could not be written; the old one is there as it was.
  """
  (folder / ITEM).mkdir(exist_ok=True)
  files.write_whole(folder / ITEM / ITEM, content(int(folder.name), score))


def read(folder: pathlib.Path) -> float | None:
  """The score of a checkpoint; None where it has none.

  Raises:
    Damaged: the file is not what was written.
    Gone: the checkpoint is not there.
    OSError: it cannot be read now.
  """
  path = folder / ITEM / ITEM
  try:
    data = files.patiently(path.read_bytes)
  except (FileNotFoundError, NotADirectoryError):
    if not folder.exists():
      raise Gone(folder) from None
    if _has_digest(folder):
      raise Damaged(f"{path} is missing") from None
    return None
  try:
    values = json.loads(data)
    digest = values.pop(_DIGEST, None)
    score = values.get(_SCORE)
    if digest is None and _has_digest(folder):
      raise ValueError("its digest is missing")
    if digest is not None and digest != checksums.digest(values):
      raise ValueError("the content is not what was written")
    if digest is not None and folder.name.isdecimal() and values.get(_STEP) != int(folder.name):
      raise ValueError(f"it is that of step {values.get(_STEP)}")
    if score is not None and not isinstance(score, int | float):
      raise ValueError("it is no number")
  except (ValueError, TypeError, AttributeError, RecursionError) as error:
    raise Damaged(f"{path}: {first_line(error)}") from None
  return None if score is None or math.isnan(score) else score


def read_or_say(folder: pathlib.Path, default: float | None = None) -> float | None:
  """The score; None where it is damaged, `default` where it cannot be read, which is said once."""
  try:
    return read(folder)
  except Gone:
    return None
  except (Damaged, OSError) as error:
    say_once(f"the score of {folder} does not count: {first_line(error)}")
    return None if isinstance(error, Damaged) else default


def _has_digest(folder: pathlib.Path) -> bool:
  """Whether the checkpoint is of a version that gives its score a digest."""
  try:
    facts: Any = json.loads((folder / "facts" / "metadata").read_bytes())
  except (OSError, ValueError, RecursionError):
    return False
  return format_of(facts) > 1
