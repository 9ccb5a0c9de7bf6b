"""Landmarks that nobody annotated: what tables write for one -> NaN; and places that none has.

A face is `points (L, 2)`, of which both numbers are NaN where the landmark is missing.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from hrnet_jax.errors import UserError, check_known
from hrnet_jax.tasks.landmarks.datasets.tables import AnnotatedFace

OPTION = "missing"
NAN, MINUS_ONE, ZERO, VISIBILITY = "nan", "minus_one", "zero", "visibility"
MARKS = (NAN, MINUS_ONE, ZERO, VISIBILITY)
_STAND_INS = {MINUS_ONE: -1, ZERO: 0}
_SEEN = (0, 1, 2)  # as COCO counts: not annotated, annotated but covered, in sight


def read_option(value: str) -> tuple[str, ...]:
  """The marks that a user names with commas between them, each one of `MARKS`.

  Raises:
    ValueError: there is no such mark; lists those there are.
  """
  marks = tuple(mark.strip() for mark in value.split(",")) if value else ()
  for mark in marks:
    check_known(mark, MARKS, f"--{OPTION}")
  return marks


def mark(
  points: np.ndarray, visibility: np.ndarray | None, marks: Collection[str], where: str
) -> np.ndarray:
  """Puts NaN for both coordinates of the landmarks that the marks say are missing.

  Args:
    points: float64 (L, 2), NaN where the cell is empty.
    visibility: (L,), 0 for missing, 1 or 2; None without such columns.
    marks: see `MARKS`.
    where: file and row, for error messages.

  Raises:
    ValueError: no landmark is left, one has no place but is not missing or has a single number,
      or a visibility is none.
  """
  half = np.isnan(points).sum(1) == 1
  for index in np.flatnonzero(half if visibility is None else half & (visibility != 0)):
    lacking, given = "xy" if np.isnan(points[index, 0]) else "yx"
    raise UserError(
      f"{where}: landmark {index} has {given} alone, and no {lacking}; fill in {lacking}, or leave "
      "both cells empty"
    )
  missing = np.isnan(points).any(1) & (NAN in marks)
  for name, value in _STAND_INS.items():
    missing |= (points == value).all(1) & (name in marks)
  if visibility is not None:
    for index in np.flatnonzero(~np.isin(visibility, _SEEN)):
      raise UserError(
        f"{where}: the visibility of landmark {index} is {visibility[index]:g}, expected 0 (not "
        "annotated), 1 or 2"
      )
    missing |= visibility == 0
  for index in np.flatnonzero(np.isnan(points).any(1) & ~missing):
    raise UserError(
      f"{where}: landmark {index} has no place, but its visibility is not 0; if it was not "
      f"annotated, give {_flag(marks, NAN)}"
    )
  if missing.all():
    raise UserError(f"{where}: all landmarks are missing; leave the row out")
  return np.where(missing[:, None], np.nan, points)


def require_places(points: np.ndarray, where: str, marks: Collection[str] | None = None) -> None:
  """Refuses numbers that stand for a landmark that is not there, or for a share of the image.

  Args:
    points: (L, 2), NaN where the landmark is known to be missing.
    where: file and row, for error messages.
    marks: see `MARKS`; None where the user cannot say what stands for a missing landmark.
  """
  for name, value in _STAND_INS.items():
    for index in np.flatnonzero((points == value).all(1)):
      advice = "" if marks is None else f"give {_flag(marks, name)}, "
      raise UserError(
        f"{where}: landmark {index} is at {value}, {value}, which tools write for one that is not "
        f"there; {advice}leave the row out, or place the landmark"
      )
  known = points[annotated(points)]
  if len(known) > 1 and ((known >= 0) & (known <= 1)).all():
    raise UserError(
      f"{where}: all landmarks lie between 0 and 1, which are shares of the image; multiply "
      "them with its width and height"
    )


def advise(marks: Collection[str]) -> str:
  """Says what to do about an empty cell, if these marks do not allow it; else nothing."""
  if NAN in marks or VISIBILITY in marks:
    return ""
  return f"if the landmark was not annotated, give {_flag(marks, NAN)}"


def annotated(points: np.ndarray) -> np.ndarray:
  """Which landmarks are there: `(L, 2) -> (L,)` bool."""
  return np.isfinite(points).all(1)


def describe(
  splits: Mapping[str, Sequence[AnnotatedFace]], names: Sequence[str]
) -> tuple[str, ...]:
  """Counts the missing landmarks of all faces, and names those that `train` never shows."""
  counts = [int((~annotated(face.points)).sum()) for faces in splits.values() for face in faces]
  if not any(counts):
    return ("no landmark is missing",)
  told = [
    f"{sum(counts)} of {len(names) * len(counts)} landmarks are missing, in "
    f"{sum(map(bool, counts))} of {len(counts)} faces; they are neither learnt nor scored"
  ]
  lacking = [~annotated(face.points) for face in splits["train"]]
  for index in np.flatnonzero(np.all(lacking, axis=0)) if lacking else ():
    told.append(f"landmark {names[index]!r} is missing in all faces of train: it cannot be learnt")
  return tuple(told)


def _flag(marks, another):
  return f"--{OPTION}={','.join([*marks, another])}"
