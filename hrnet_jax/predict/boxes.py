"""Boxes of objects in photos, from a file of the user: `path -> {photo: [(x0, y0, x1, y1), ...]}`.

CSV with the columns `photo,x0,y0,x1,y1`, a row for each box; or JSON, a list of objects with these
keys. `photo` is the file's name without its folder; the numbers are left, top, right and bottom in
pixels of the upright photo. Further columns and keys are left alone.
"""

from collections.abc import Iterator, Mapping
import csv
import io
import math
import pathlib
from typing import Any

from hrnet_jax.data.text import read_json, read_text
from hrnet_jax.errors import UserError

Box = tuple[float, float, float, float]
CORNERS = ("x0", "y0", "x1", "y1")
COLUMNS = ("photo", *CORNERS)


def read_boxes(path: str | pathlib.Path) -> dict[str, list[Box]]:
  """Reads all boxes, those of a photo in the order of the file.

  Raises:
    FileNotFoundError: no such file.
    ValueError: a row or its number is wrong; names the file, the row and the column.
  """
  path = pathlib.Path(path)
  boxes: dict[str, list[Box]] = {}
  rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
  for where, row in rows:
    if missing := [key for key in COLUMNS if row.get(key) in (None, "")]:
      raise UserError(f"{where} has no {missing[0]!r}; expected {', '.join(COLUMNS)}")
    boxes.setdefault(str(row["photo"]), []).append(_box(row, where))
  if not boxes:
    raise UserError(f"{path}: no box in it")
  return boxes


def _csv_rows(path: pathlib.Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
  reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
  try:
    if missing := [key for key in COLUMNS if key not in (reader.fieldnames or ())]:
      raise UserError(
        f"{path}: no column {missing[0]!r} in the header; expected {','.join(COLUMNS)}"
      )
    for number, row in enumerate(reader, start=2):  # as a spreadsheet counts
      yield f"{path}, row {number}", row
  except csv.Error as error:
    raise UserError(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _json_rows(path: pathlib.Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
  rows = read_json(path)
  if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
    raise UserError(f"{path}: expected a list of objects with the keys {', '.join(COLUMNS)}")
  for number, row in enumerate(rows, start=1):
    yield f"{path}, entry {number}", row


def _box(row: Mapping[str, Any], where: str) -> Box:
  numbers = []
  for key in CORNERS:
    try:
      number = float(row[key])
    except (TypeError, ValueError, OverflowError):
      number = math.nan
    if not math.isfinite(number):
      raise UserError(f"{where}: {key} is {row[key]!r}, expected a finite number")
    numbers.append(number)
  x0, y0, x1, y1 = numbers
  if x1 <= x0 or y1 <= y0:
    raise UserError(f"{where}: the box {numbers} is empty; expected x0 < x1 and y0 < y1")
  return x0, y0, x1, y1
