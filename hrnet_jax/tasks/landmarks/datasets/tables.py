"""Tables of faces as users and authors have them: text with commas -> checked rows of numbers.

Rows are counted as a spreadsheet counts them: the header is row 1.
"""

import collections
from collections.abc import Sequence
import csv
import dataclasses
import io
import math
import pathlib
import re

import numpy as np

from hrnet_jax.data.datasets import folders
from hrnet_jax.data.reading import Problems
from hrnet_jax.data.regular_files import find_named, name_inside, with_slashes
from hrnet_jax.data.text import read_text
from hrnet_jax.errors import UserError

_FARTHEST = 1e6  # pixels; no image that can be read reaches so far
_EMPTY = ("", "nan", "na")  # cells without a number, as spreadsheets, NumPy and R write them


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedFace:
  """A face of an annotation.

  Attributes:
    where: file and row, for error messages.
    image_name: the image as the annotation calls it.
    image: the file that holds it.
    points: float64 (L, 2) x, y as annotated, in whatever base the annotation counts pixels; NaN
      for a landmark that is missing.
    center: float64 (2,) x, y of the box, likewise.
    scale: side of the box in pixels / 200, without a margin.
    box_size: pixels, what the authors divide errors by, or else the side of the box.
    name: unique in its split.
  """

  where: str
  image_name: str
  image: pathlib.Path
  points: np.ndarray
  center: np.ndarray
  scale: float
  box_size: float
  name: str = ""

  def __post_init__(self):
    for field in ("scale", "box_size"):
      if not getattr(self, field) > 0:
        raise UserError(
          f"{self.where}: {field} is {getattr(self, field):g}, expected a positive number"
        )
    numbers = np.array([*self.points.ravel(), *self.center, 200 * self.scale, self.box_size])
    if (beyond := numbers[abs(numbers) > _FARTHEST]).size:
      raise UserError(
        f"{self.where}: a landmark or the box is {beyond[0]:g} pixels away or wide, expected at "
        f"most {_FARTHEST:g}"
      )

  @property
  def size(self) -> int:
    """Bytes of the record, roughly."""
    return folders.stat(self.image).st_size + self.points.nbytes

  def cache_key(self) -> str:
    """Changes when the file or the row does."""
    stat = folders.stat(self.image)
    numbers = [*self.points.ravel(), *self.center, self.scale, self.box_size]
    return f"{self.name} {stat.st_size} {stat.st_mtime_ns} {np.array(numbers).tobytes().hex()}"


@dataclasses.dataclass(frozen=True)
class Row:
  """One row: file and row, the image, and the numbers in the order of the columns."""

  where: str
  image_name: str
  numbers: np.ndarray


def read_table(
  path: pathlib.Path,
  layout: str,
  problems: Problems,
  *,
  gaps: re.Pattern | None = None,
  advice: str = "",
) -> tuple[list[str], list[Row]]:
  """Reads a header and at least one row of an image's name and finite numbers.

  Args:
    path: a file of comma-separated text in UTF-8; empty lines are passed over.
    layout: what its folder has to hold, for the error message.
    problems: takes rows that are not as they have to be.
    gaps: names of columns in which a cell may be empty or NaN, which gives NaN.
    advice: what to do about such a cell, where it is refused nevertheless.

  Returns:
    The columns' names, and the rows.

  Raises:
    FileNotFoundError: no such file. ValueError: there is no header, or no row.
  """
  header, lines = _read_lines(path, layout)
  rows = []
  for number, cells in lines:
    with problems.noted():
      where = f"{path}, row {number}"
      if len(cells) != len(header):
        raise UserError(f"{where}: {len(cells)} columns, but the header has {len(header)}")
      if not cells[0].strip():
        raise UserError(f"{where}: no name of an image in the first column")
      numbers = _numbers(where, header[1:], cells[1:], gaps, advice)
      rows.append(Row(where, cells[0].strip(), numbers))
  if not lines:
    raise UserError(f"{path}: a header without rows")
  return header, rows


def read_header(path: pathlib.Path, layout: str) -> list[str]:
  """The columns' names; see `read_table`."""
  return _read_lines(path, layout)[0]


def box_of_points(points: np.ndarray) -> tuple[np.ndarray, float]:
  """Center and scale of the box around landmarks, widened to whole pixels.

  This is how the boxes of 300W and WFLW were made, and what the reference computes for COFW
  (HRNet/HRNet-Facial-Landmark-Detection, `lib/datasets/cofw.py`).

  Args:
    points: (L, 2) x, y; those that are NaN have no part in it, but one has to be there.

  Returns:
    float64 (2,) x, y, and the longer side / 200.
  """
  low, high = np.floor(np.nanmin(points, 0)), np.ceil(np.nanmax(points, 0))
  return (low + high) / 2, float((high - low).max() / 200)


def find_image(
  places: Sequence[pathlib.Path], name: str, where: str, within: pathlib.Path | None
) -> pathlib.Path:
  """The file of that name in the first folder that has it; see `find_named`.

  Raises:
    FileNotFoundError: none has; the message names the row.
  """
  if path := find_named(places, name, where, within):
    return path
  raise FileNotFoundError(f"{where}: no image {places[0] / with_slashes(name)}")


def name_faces(faces: Sequence[AnnotatedFace]) -> list[AnnotatedFace]:
  """Names each face after its image; several in one image are counted: `a.jpg#0`, `a.jpg#1`."""
  count = collections.Counter(face.image_name for face in faces)
  seen: collections.Counter[str] = collections.Counter()
  named = []
  for face in faces:
    key = face.image_name
    name, several = name_inside(key), count[key] > 1
    named.append(dataclasses.replace(face, name=f"{name}#{seen[key]}" if several else name))
    seen[key] += 1
  return named


def _read_lines(path, layout):
  if not path.is_file():
    raise FileNotFoundError(f"{path}: no such file; the source folder has to hold {layout}")
  try:
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    lines = [(reader.line_num, cells) for cells in reader if cells]
  except csv.Error as error:
    raise UserError(f"{path}: not comma-separated text ({error})") from error
  if not lines:
    raise UserError(f"{path}: empty file")
  header = [cell.strip() for cell in lines[0][1]]
  if len(header) < 3:
    raise UserError(f"{path}: the header has {len(header)} columns; they are separated by commas")
  if _is_number(header[1]):
    raise UserError(f"{path}: no header; row 1 has to name the columns")
  return header, lines[1:]


def _numbers(where, header, cells, gaps, advice):
  try:
    numbers = np.array([float(cell) for cell in cells])
  except ValueError:
    numbers = np.array([])
  if len(numbers) == len(cells) and np.isfinite(numbers).all():
    return numbers
  found = []
  for name, cell in zip(header, cells, strict=True):
    gap = gaps and gaps.fullmatch(name) and cell.strip().lower() in _EMPTY
    if not _is_number(cell) and (advice or not gap):
      more = f"; {advice}" if gap else ""
      raise UserError(f"{where}: {name} is {cell.strip()!r}, expected a finite number{more}")
    found.append(np.nan if gap else float(cell))
  return np.array(found)


def _is_number(cell):
  try:
    return math.isfinite(float(cell))
  except ValueError:
    return False
