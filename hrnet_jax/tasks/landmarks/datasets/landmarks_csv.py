"""A user's own photos with any number of landmarks, in tables.

    train.csv, val.csv   perhaps test.csv; or landmarks.csv alone: of its photos about a tenth
                         become `val`, chosen by name
    images/              or the photos beside the tables
    flip_pairs.txt       perhaps: two landmarks a line that change places in a mirror, from 0
    names.txt            perhaps: a name a line

Columns: `image_name` first, then in any order x and y of the landmarks (`x0, y0, x1, y1, ...`, or
`original_0_x, original_0_y, ...` as in the reference's tables), perhaps `box_size`, by which errors
are divided, and perhaps a box: `scale, center_w, center_h` as in the reference's tables, or `x_min,
y_min, x_max, y_max` in pixels. Without a box it is that of the landmarks, widened to whole pixels.
A landmark that was not annotated is marked as `--missing` says, perhaps in columns `v0, v1, ...`:
see `missing.py`.
"""

import collections
import functools
import pathlib
import re
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import folders
from hrnet_jax.data.regular_files import is_of_system
from hrnet_jax.data.text import read_lines
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.landmarks.datasets import faces, missing, tables
from hrnet_jax.tasks.landmarks.datasets.tables import AnnotatedFace

_ALONE = "landmarks.csv"
_CENTER = ("scale", "center_w", "center_h")
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_BOX_SIZE = "box_size"
_IMAGE_NAME = "image_name"
_MOST_LANDMARKS = 5000
_LANDMARK = re.compile(
  r"(?P<axis>[xyv])(?P<index>\d{1,20})|original_(?P<index2>\d{1,20})_(?P<axis2>[xyv])"
  r"|visible_(?P<index3>\d{1,20})"
)
_PLACE = re.compile(r"[xy]\d+|original_\d+_[xy]")
_ANNOTATED = "annotated"


class LandmarksCsv(faces.FacesBuilder):
  """Photos with landmarks in a table."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched."}
  SOURCE_LAYOUT = (
    "train.csv and val.csv (and perhaps test.csv), or landmarks.csv alone, with columns "
    "image_name,x0,y0,x1,y1,...; the photos in images/ or beside the tables; perhaps "
    "flip_pairs.txt and names.txt"
  )
  HAS_VARIANTS = True
  OPTIONS = (*faces.FacesBuilder.OPTIONS, missing.OPTION)
  IMAGES = ("images", "")
  AS_STORED = False  # tools that place landmarks show photos upright

  def plan(self, source: pathlib.Path | None) -> dict[str, list[AnnotatedFace]]:
    """A split for each table, or two made of a single one."""
    files = _tables(source)
    read = {split: self._read(source, path) for split, path in files.items()}
    for path in sorted(source.glob("*.[cC][sS][vV]")):
      if path not in files.values() and not is_of_system(path.name):
        self.say(f"{path}: left out; train.csv, val.csv and test.csv, or {_ALONE} alone, are read")
    self.say_unnamed([source], read)
    if _ALONE in read:
      read = _split_by_image(read[_ALONE])
    if self._marks:
      for text in missing.describe(read, self.facts(source).landmark_names):
        self.say(text)
    return read

  def measured(self, entry: AnnotatedFace) -> tuple[dict, tuple[int, int], np.ndarray]:
    """Refuses a box that the image does not reach into, as of other units or another image."""
    record, (height, width), counts = super().measured(entry)
    if self._lacks_some:
      record[_ANNOTATED] = missing.annotated(entry.points)
    reach = 100 * entry.scale
    if (entry.center + reach < 0).any() or (entry.center - reach > [width, height]).any():
      raise UserError(
        f"{entry.where}: the box, center {entry.center.tolist()} and scale {entry.scale:g}, lies "
        f"outside of the image of {width}x{height} pixels"
      )
    return record, (height, width), counts

  def features(self) -> dict[str, Any]:
    """Adds which landmarks are annotated, where that is not all of them in every face."""
    found = super().features()
    if self._lacks_some:
      found[_ANNOTATED] = tfds.features.Tensor(shape=found["points"].shape[:1], dtype=np.bool_)
    return found

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Names and pairs from the files beside the tables."""
    if not hasattr(self, "_facts"):
      first = next(iter(_tables(source).values()))
      columns = tables.read_header(first, self.SOURCE_LAYOUT)
      count = len(_find_columns(columns, first)[0])
      self._facts = DatasetInfo(
        landmark_names=_read_names(source / "names.txt", count),
        flip_pairs=_read_pairs(source / "flip_pairs.txt", count),
      )
    return self._facts

  def _read(self, root, table):
    marks = self._marks
    columns, rows = tables.read_table(
      table, self.SOURCE_LAYOUT, self.problems, gaps=_PLACE, advice=missing.advise(marks)
    )
    landmarks, box = _find_columns(columns, table)
    _require_visibility(landmarks, marks, table)
    expected = len(self.facts(self._source).landmark_names)
    if len(landmarks) != expected:
      raise UserError(f"{table}: {len(landmarks)} landmarks, but the first table has {expected}")
    places = [root / folder for folder in self.IMAGES]
    within, found = self.reading(self._source).within, []
    for row in rows:
      with self.problems.noted():
        found.append(_face(row, landmarks, box, places, within, marks))
    return tables.name_faces(_different(found, self.problems))

  @functools.cached_property
  def _marks(self) -> tuple[str, ...]:
    """The marks that stand for a missing landmark."""
    return missing.read_option(self.options.get(missing.OPTION, ""))

  @functools.cached_property
  def _lacks_some(self) -> bool:
    """Whether a landmark is missing anywhere; only then do records say so."""
    return bool(self._marks) and any(
      not missing.annotated(face.points).all()
      for found in self._planned().values()
      for face in found
    )


def _tables(source):
  """Files by split; one that has to be split by `landmarks.csv`."""
  found = {s: source / f"{s}.csv" for s in folders.SPLITS if (source / f"{s}.csv").is_file()}
  alone = source / _ALONE
  if not found:
    return {_ALONE: alone}
  if alone.is_file():
    raise UserError(f"{alone}: lies beside {next(iter(found))}.csv; keep one or the other")
  for split in ("train", "val"):
    if split not in found:
      raise FileNotFoundError(
        f"{source / split}.csv: no such file, although there is {next(iter(found))}.csv; make both "
        f"train.csv and val.csv, or {_ALONE} to have the photos split by name"
      )
  return found


def _find_columns(columns, table):
  """Positions of the landmarks' x and y, and perhaps visibility, (L, 2 or 3), and of the others.

  The others are `{name: position}`.
  """
  if columns[0] != _IMAGE_NAME:
    raise UserError(f"{table}: the first column is {columns[0]!r}, expected {_IMAGE_NAME!r}")
  landmarks, others = {}, {}
  for position, column in enumerate(columns[1:]):
    match = _LANDMARK.fullmatch(column)
    key = column
    if match:
      index = int(match["index"] or match["index2"] or match["index3"])
      key = (index, match["axis"] or match["axis2"] or "v")
    elif column not in (*_CENTER, *_CORNERS, _BOX_SIZE):
      known = ", ".join((*_CENTER, *_CORNERS, _BOX_SIZE))
      raise UserError(f"{table}: unknown column {column!r}; known: {known}, and x0, y0, x1, ...")
    if key in landmarks or key in others:
      raise UserError(f"{table}: two columns {column!r}")
    (landmarks if match else others)[key] = position
  count = max((index for index, _ in landmarks), default=-1) + 1
  if count > _MOST_LANDMARKS:
    raise UserError(f"{table}: landmark {count - 1}; there can be {_MOST_LANDMARKS}, from 0")
  axes = "xyv" if any(axis == "v" for _, axis in landmarks) else "xy"
  for key in [(index, axis) for index in range(max(count, 1)) for axis in axes]:
    if key not in landmarks:
      raise UserError(f"{table}: no column {key[1]}{key[0]} (nor original_{key[0]}_{key[1]})")
  _require_one_box(others, table)
  return np.array([[landmarks[i, axis] for axis in axes] for i in range(count)]), others


def _require_visibility(landmarks, marks, table):
  """Refuses columns of visibility that nobody asked for, and their lack where somebody did."""
  there, asked = landmarks.shape[1] == 3, missing.VISIBILITY in marks
  option = f"--{missing.OPTION}={missing.VISIBILITY}"
  if there and not asked:
    raise UserError(
      f"{table}: has columns of visibility, such as v0; give {option} to take landmarks of "
      "visibility 0 for missing, or remove the columns"
    )
  if asked and not there:
    raise UserError(f"{table}: no columns of visibility, v0, v1, ..., although there is {option}")


def _require_one_box(others, table):
  for group, other in ((_CENTER, _CORNERS), (_CORNERS, _CENTER)):
    lacking = [name for name in group if name not in others]
    if not lacking and other[0] in others:
      raise UserError(f"{table}: has both {', '.join(group)} and {', '.join(other)}; keep one")
    if lacking and len(lacking) < len(group):
      raise UserError(f"{table}: no column {lacking[0]!r}, although there are others of the box")


def _face(row, landmarks, box, places, within, marks):
  x, y, *visibility = row.numbers[landmarks].T
  points = missing.mark(np.stack([x, y], 1), *(visibility or [None]), marks, row.where)
  missing.require_places(points, row.where, marks)
  center, scale = _box(row, box, points)
  return AnnotatedFace(
    where=row.where,
    image_name=row.image_name,
    image=tables.find_image(places, row.image_name, row.where, within),
    points=points,
    center=center,
    scale=scale,
    box_size=float(row.numbers[box[_BOX_SIZE]]) if _BOX_SIZE in box else 200 * scale,
  )


def _box(row, box, points):
  if _CENTER[0] in box:
    scale, *center = row.numbers[[box[name] for name in _CENTER]]
    return np.array(center), float(scale)
  if _CORNERS[0] in box:
    low, high = row.numbers[[box[name] for name in _CORNERS]].reshape(2, 2)
    if (high <= low).any():
      raise UserError(
        f"{row.where}: the box from {low.tolist()} to {high.tolist()} is empty; x_max and y_max "
        "have to be larger than x_min and y_min"
      )
    return (low + high) / 2, float((high - low).max() / 200)
  center, scale = tables.box_of_points(points)
  if scale == 0:
    raise UserError(
      f"{row.where}: all landmarks lie in one place, which makes no box; add columns of a box"
    )
  return center, scale


def _different(found, problems):
  """Those that are not listed before, which would count twice."""
  seen: dict[tuple[str, bytes], AnnotatedFace] = {}
  for face in found:
    first = seen.setdefault((face.image_name, face.points.tobytes()), face)
    if first is not face:
      problems.note(
        UserError(
          f"{face.where}: {face.image_name} with the same landmarks stands in {first.where} already"
        )
      )
  return list(seen.values())


def _split_by_image(found):
  """All faces of a photo come into the same split."""
  of_image: dict[str, list[AnnotatedFace]] = collections.defaultdict(list)
  for face in found:
    of_image[face.image_name].append(face)
  photos = [_Photo(name, own[0].image) for name, own in of_image.items()]
  splits = folders.split_by_name(photos)
  return {split: [f for p in own for f in of_image[p.name]] for split, own in splits.items()}


_Photo = collections.namedtuple("_Photo", ["name", "image"])


def _read_names(path, count):
  if not path.is_file():
    return tuple(str(index) for index in range(count))
  names = tuple(line for _, line in read_lines(path, most=_MOST_LANDMARKS) if line)
  if len(names) != count:
    raise UserError(f"{path}: {len(names)} names, but the tables have {count} landmarks")
  if twice := [name for name, count in collections.Counter(names).items() if count > 1]:
    raise UserError(f"{path}: the name {twice[0]!r} stands there twice")
  return names


def _read_pairs(path, count):
  if not path.is_file():
    return ()
  pairs: list[tuple[int, int]] = []
  for number, line in read_lines(path, most=_MOST_LANDMARKS):
    words = line.replace(",", " ").split()
    if not words:
      continue
    where = f"{path}, line {number}"
    if len(words) != 2 or not all(word.isdecimal() for word in words):
      raise UserError(f"{where}: {line!r}, expected the numbers of two landmarks")
    pair = int(words[0]), int(words[1])
    if max(pair) >= count or pair[0] == pair[1]:
      raise UserError(f"{where}: {line!r}, expected two of the landmarks 0 to {count - 1}")
    for index in pair:
      if any(index in other for other in pairs):
        raise UserError(f"{where}: landmark {index} has a partner already")
    pairs.append(pair)
  return tuple(pairs)
