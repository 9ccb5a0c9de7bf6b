"""Common part of the builders of facial landmarks: tables of faces to records.

`face -> {"image": bytes, "name": str, "points": (L, 2), "center": (2,), "scale": (), "box_size":
()}`, numbers in float64 and exactly as annotated.
"""

import collections
import hashlib
import pathlib
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.datasets import base
from hrnet_jax.data.regular_files import read_regular
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.landmarks.datasets import missing, tables
from hrnet_jax.tasks.landmarks.datasets.tables import AnnotatedFace

_MOST_SIDES = 10  # of the image, as far as a landmark may lie
_BEYOND = 0.1  # of a side of the image, as far as landmarks may lie outside without a word


class FacesBuilder(base.Builder):
  """Base of the builders; a subclass names its files, or gives `plan` and `encoded`.

  Attributes:
    FOLDER: the data set's own folder, which may stand between the source folder and the files.
    TABLES: the file of each split.
    SUBSETS: for each named part of a split the split and the file that lists its faces.
    LEADING: the columns before the landmarks.
    IMAGES: folders in which images are looked for, in this order.
    RENAMED: names of images in the tables that are known to differ from the files'.
    AS_STORED: whether landmarks refer to the pixels as stored, in spite of the orientation that a
      camera noted beside them. The reference reads images so.
    CHECKS_PLACES: whether landmarks at places that stand for missing ones are refused.
  """

  FOLDER = ""
  TABLES: ClassVar[dict[str, str]] = {}
  SUBSETS: ClassVar[dict[str, tuple[str, str]]] = {}
  LEADING = ("scale", "center_w", "center_h")
  IMAGES = ("images",)
  RENAMED: ClassVar[dict[str, str]] = {}
  AS_STORED = True
  CHECKS_PLACES = True
  COUNTED = "images"
  OPTIONS: tuple[str, ...] = (base.FOLLOW_OUTSIDE,)

  def __init__(self, **kwargs: Any):
    self._listed: dict[pathlib.Path, collections.Counter[tuple[str, bytes]]] = {}  # by table
    self._far: dict[str, int] = {}  # number of landmarks far outside of their image, by row
    super().__init__(**kwargs)

  def plan(self, source: pathlib.Path | None) -> dict[str, list[AnnotatedFace]]:
    """A split for each table, in the order of the rows."""
    root = self.root(source)
    found = {split: self._read(root, root / table) for split, table in self.TABLES.items()}
    self.say_unnamed([root / self.IMAGES[0]], found)
    return found

  def say_unnamed(self, folders: list[pathlib.Path], found: dict[str, list[AnnotatedFace]]) -> None:
    """Says how many images of folders are in no table."""
    used = [face.image for own in found.values() for face in own]
    there = [folder for folder in folders if folder.is_dir()]
    self.reading(self._source).say_unnamed(there, used, "no table", deep=True)

  def subsets(self, source: pathlib.Path | None) -> dict[str, tuple[str, list[int]]]:
    """Finds the rows of the tables of subsets among those of their split."""
    root = self.root(source)
    found = {}
    for subset, (split, table) in self.SUBSETS.items():
      rows = self._rows(root / table)
      points = [row.numbers[len(self.LEADING) :] for row in rows]
      faces, whole = self._planned()[split], root / self.TABLES[split]
      listed = self._listed[whole].copy()
      found[subset] = (split, _positions(rows, points, faces, listed, whole, self.problems))
    return found

  def cache_key(self) -> str:
    """Changes when the source does, the tables of subsets included."""
    whole = f"{super().cache_key()} {self.subsets(self._source)}"
    return hashlib.sha256(whole.encode()).hexdigest()

  def build(self) -> None:
    """Also says how many landmarks lie far outside of their images."""
    super().build()
    faces = [x for own in self._planned().values() for x in own if self._far.get(x.where)]
    if faces:
      self.say(
        f"{sum(self._far[x.where] for x in faces)} landmarks of {len(faces)} faces lie more than a "
        f"tenth of a side outside of their images, the first in {faces[0].where}: {faces[0].image}"
      )

  def root(self, source: pathlib.Path) -> pathlib.Path:
    """The folder with the files: the source, or the data set's own folder in it."""
    inner = source / self.FOLDER
    first = next(iter(self.TABLES.values()), "")
    return inner if not (source / first).is_file() and inner.is_dir() else source

  def record(self, entry: AnnotatedFace) -> dict[str, Any]:
    """Checks one face and its image."""
    return self.measured(entry)[0]

  def measured(self, entry: AnnotatedFace) -> tuple[dict[str, Any], tuple[int, int], np.ndarray]:
    """The record, the image's size, and no counts: there are no classes."""
    data = self.encoded(entry)
    size = images.decode_image(data, f"{entry.where}: {entry.image}").shape[:2]
    _require_near(entry, max(size))
    self._far[entry.where] = _count_far(entry.points, size)
    record = {
      "image": data,
      "name": entry.name,
      "points": entry.points,
      "center": entry.center,
      "scale": np.float64(entry.scale),
      "box_size": np.float64(entry.box_size),
    }
    return record, size, np.zeros(1, np.int64)

  def encoded(self, entry: AnnotatedFace) -> bytes:
    """The file of the image."""
    data = read_regular(entry.image)
    return images.forget_orientation(data) if self.AS_STORED else data

  def features(self) -> dict[str, Any]:
    """Points, box and name of a face beside the image."""
    num_points = len(self.facts(self._source).landmark_names)
    return {
      "image": tfds.features.Image(shape=(None, None, 3)),
      "name": tfds.features.Text(),
      "points": base.exact_numbers(num_points, 2),
      "center": base.exact_numbers(2),
      "scale": base.exact_numbers(),
      "box_size": base.exact_numbers(),
    }

  def check(self, face: AnnotatedFace) -> AnnotatedFace:
    """Refuses places that no landmark has, and a face whose error could not be normalized."""
    if self.CHECKS_PLACES:
      missing.require_places(face.points, face.where)
    for name, groups in self.facts(self._source).normalizers.items():
      first, second = (face.points[list(group)].mean(0) for group in groups)
      if (first == second).all():
        raise UserError(
          f"{face.where}: landmarks {list(groups[0])} and {list(groups[1])} lie in one place, so "
          f"errors cannot be divided by the distance {name!r} between them"
        )
    return face

  def _rows(self, table):
    columns, rows = tables.read_table(table, self.SOURCE_LAYOUT, self.problems)
    num_points = len(self.facts(self._source).landmark_names)
    expected = 1 + len(self.LEADING) + 2 * num_points
    if len(columns) != expected:
      raise UserError(
        f"{table}: {len(columns)} columns, expected {expected}: image_name, "
        f"{', '.join(self.LEADING)}, and x and y of {num_points} landmarks"
      )
    return rows

  def _read(self, root, table):
    places = [root / folder for folder in self.IMAGES]
    faces, rows, within = [], self._rows(table), self.reading(self._source).within
    self._listed[table] = collections.Counter(
      _key(row.image_name, row.numbers[len(self.LEADING) :]) for row in rows
    )
    for row in rows:
      with self.problems.noted():
        faces.append(self.check(self._face(row, places, within)))
    return tables.name_faces(faces)

  def _face(self, row, places, within):
    box = dict(zip(self.LEADING, row.numbers, strict=False))
    name = row.image_name
    if name in self.RENAMED and not (places[0] / name).is_file():
      name = self.RENAMED[name]
    return AnnotatedFace(
      where=row.where,
      image_name=row.image_name,
      image=tables.find_image(places, name, row.where, within),
      points=row.numbers[len(self.LEADING) :].reshape(-1, 2),
      center=np.array([box["center_w"], box["center_h"]]),
      scale=float(box["scale"]),
      box_size=float(box.get("box_size", 200 * box["scale"])),
    )


def _require_near(face, side):
  """Landmarks may lie beside the image, but not so far that they are those of something else."""
  numbers = np.append(face.points, [*face.center, 200 * face.scale])
  if (far := np.abs(numbers) > _MOST_SIDES * side).any():
    raise UserError(
      f"{face.where}: a landmark or the box reaches to {numbers[far][0]:g}, but the image has a "
      f"side of {side} pixels"
    )


def _count_far(points: np.ndarray, size: tuple[int, int]) -> int:
  """How many of `(L, 2)` lie far outside of an image of this height and width; NaN lies nowhere."""
  sides = np.array(size[::-1])
  return int(((points < -_BEYOND * sides) | (points > (1 + _BEYOND) * sides)).any(1).sum())


def _key(image_name, points):
  """Tells faces apart."""
  return image_name, points.tobytes()


def _positions(rows, points, faces, listed, table, problems):
  """Positions of rows among the faces of a split: those of equal image and equal landmarks.

  Rows of faces that are bad, and so not among those of the split, are passed over.

  Args:
    rows: of a table of a subset; bad, if they are not in the split's.
    points: their landmarks.
    faces: of the split.
    listed: how often each face is in the split's table.
    table: its file, for errors.
    problems: takes what is bad.
  """
  known: dict[tuple[str, bytes], list[int]] = {}
  for position, face in enumerate(faces):
    known.setdefault(_key(face.image_name, face.points), []).append(position)
  found = []
  for row, own in zip(rows, points, strict=True):
    with problems.noted():
      key = _key(row.image_name, own)
      if not listed[key]:
        raise UserError(
          f"{row.where}: no face of {row.image_name} in {table} has these landmarks (or the row is "
          "here twice); the two files have to be of the same version"
        )
      listed[key] -= 1
      found += [known[key].pop(0)] if known.get(key) else []
  return sorted(found)
