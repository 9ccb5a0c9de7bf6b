"""COFW: faces partly covered, with 29 landmarks, from MATLAB files that hold images and points.

    IsTr, IsT         N images, uint8 (H, W) or (H, W, 3)
    phisTr, phisT     (N, 87): 29 x, 29 y, and 29 times whether the landmark is covered

HDF5 has the axes of both in reverse. Coordinates count from 1, as MATLAB does, and stay so: the
reference (HRNet/HRNet-Facial-Landmark-Detection, `lib/datasets/cofw.py`) subtracts nothing either.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.regular_files import read_regular
from hrnet_jax.errors import UserError, about_input
from hrnet_jax.tasks.landmarks.datasets import faces, tables

NAMES = (
  "left brow outer", "right brow outer", "left brow inner", "right brow inner",
  "left brow top", "left brow bottom", "right brow top", "right brow bottom",
  "left eye outer corner", "right eye outer corner",
  "left eye inner corner", "right eye inner corner",
  "left upper lid", "left lower lid", "right upper lid", "right lower lid",
  "left pupil", "right pupil", "left nose side", "right nose side", "nose tip", "nose bottom",
  "left mouth corner", "right mouth corner", "lip 1", "lip 2", "lip 3", "lip 4", "chin",
)  # fmt: skip
FLIP_PAIRS = (
  (0, 1), (2, 3), (4, 6), (5, 7), (8, 9), (10, 11), (12, 14), (13, 15), (16, 17), (18, 19), (22, 23)
)  # fmt: skip
FACTS = DatasetInfo(
  landmark_names=NAMES,
  flip_pairs=FLIP_PAIRS,
  normalizers={"inter_ocular": ((8,), (9,)), "inter_pupil": ((16,), (17,))},
)
_MOST_NUMBERS = 100_000_000  # of one variable or image; the largest of the real files has 400,000
# For each split the file, of which the grey version has another name, and its two variables.
_FILES = {
  "train": (("COFW_train_color.mat", "COFW_train.mat"), "IsTr", "phisTr"),
  "test": (("COFW_test_color.mat", "COFW_test.mat"), "IsT", "phisT"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class CofwFace(tables.AnnotatedFace):
  """A face of which the image is a part of a file.

  Attributes:
    variable: the list of images in the file.
    index: position in it.
    image_bytes: of the pixels.
    visible: bool (L,), whether nothing covers the landmark.
  """

  variable: str = ""
  index: int = 0
  image_bytes: int = 0
  visible: np.ndarray | None = None

  @property
  def size(self) -> int:
    """Bytes of the pixels; a PNG has fewer."""
    return self.image_bytes + self.points.nbytes


class Cofw(faces.FacesBuilder):
  """Faces partly covered with 29 landmarks, some of them out of sight."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Images stored as PNG, grey ones as such."}
  SOURCE_LAYOUT = (
    "COFW_train_color.mat and COFW_test_color.mat (or COFW_train.mat and COFW_test.mat), or cofw/ "
    "with these"
  )
  FOLDER = "cofw"
  AS_STORED = False
  OPTIONS = ()  # the images lie in the files of the points

  def plan(self, source: pathlib.Path | None) -> dict[str, list[CofwFace]]:
    """Both files in their order."""
    root = source / self.FOLDER if (source / self.FOLDER).is_dir() else source
    found = {}
    for split, (names, pixels, points) in _FILES.items():
      path = next((root / name for name in names if (root / name).is_file()), None)
      if path is None:
        raise FileNotFoundError(
          f"{root / names[0]}: no such file; the source folder has to hold {self.SOURCE_LAYOUT}"
        )
      found[split] = own = []
      for face in _list_faces(path, pixels, points, self.problems):
        with self.problems.noted():
          own.append(self.check(face))
    return found

  def subsets(self, source: pathlib.Path | None) -> dict[str, tuple[str, list[int]]]:
    """None."""
    del source
    return {}

  def encoded(self, entry: CofwFace) -> bytes:
    """The pixels as PNG."""
    with _opened(entry.image) as file:
      cells = _own(file[entry.variable], entry.where, references=True)[()]
      pixels = _own(file[cells.flat[entry.index]], entry.where)[()].T
    if not _is_image(pixels):
      raise UserError(
        f"{entry.where}: the image is {pixels.dtype} {pixels.shape}, expected uint8 (H, W) or "
        "(H, W, 3)"
      )
    return images.encode_png(np.ascontiguousarray(pixels))

  def measured(self, entry: CofwFace) -> tuple[dict[str, Any], tuple[int, int], np.ndarray]:
    """Adds which landmarks are seen."""
    record, size, counts = super().measured(entry)
    return record | {"visible": entry.visible}, size, counts

  def features(self) -> dict[str, Any]:
    """Adds which landmarks are seen."""
    visible = tfds.features.Tensor(shape=(len(NAMES),), dtype=np.bool_)
    return super().features() | {"visible": visible}

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Landmarks of the COFW scheme."""
    del source
    return FACTS


def _is_image(pixels):
  of_image = pixels.ndim in (2, 3) and pixels.shape[2:] in ((), (3,))
  return of_image and pixels.dtype == np.uint8 and pixels.size > 0


@contextlib.contextmanager
def _opened(path) -> Iterator[Any]:
  import h5py  # here, because nothing else needs it and importing it takes a while

  try:
    file = h5py.File(path, "r")
  except OSError as error:
    read_regular(path)  # a file that cannot be read has an error of its own
    raise UserError(
      f"{path}: not a MATLAB file of version 7.3 (HDF5), or not all of it; save it with "
      "'-v7.3' or download it again"
    ) from error
  with file, about_input(f"{path}: damaged, or not as MATLAB writes it; download it again"):
    yield file


def _own(dataset, where, *, references=False):
  """A part of a file, once it is clear that its numbers lie in this file and are not too many.

  Args:
    dataset: the part.
    where: it is, for messages.
    references: whether it is a list of other parts.

  HDF5 can read them from any other file of the computer.
  """
  properties = dataset.id.get_create_plist()
  if dataset.is_virtual or properties.get_external_count():
    raise UserError(f"{where}: its numbers lie in another file, which is not read")
  if dataset.size > _MOST_NUMBERS:
    raise UserError(f"{where}: {dataset.size} numbers; there can be {_MOST_NUMBERS}")
  # Texts and records can be of any size, and many of varying size can be one and the same.
  if not references and dataset.dtype.kind not in "iuf":
    raise UserError(f"{where} holds {str(dataset.dtype)[:40]}, expected numbers")
  if references and "ref" not in (dataset.dtype.metadata or {}):
    raise UserError(f"{where} holds {dataset.dtype}, expected a list of images")
  return dataset


def _list_faces(path, pixels, points, problems):
  import h5py

  with _opened(path) as file:
    for name in (pixels, points):
      if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise UserError(f"{path}: no variable {name!r}; it has {', '.join(sorted(file))}")
    rows = _own(file[points], f"{path}, {points}")[()].T
    cells = _own(file[pixels], f"{path}, {pixels}", references=True)[()].ravel()
    if rows.shape != (len(cells), 3 * len(NAMES)):
      raise UserError(
        f"{path}: {points} is {rows.shape}, expected {(len(cells), 3 * len(NAMES))}: a row for "
        f"each of the {len(cells)} images of {pixels}"
      )
    sizes = [file[cell].size for cell in cells]
  found = []
  for index, row in enumerate(rows):
    with problems.noted():
      found.append(_face(path, pixels, index, row, sizes[index]))
  return found


def _face(path, variable, index, row, size):
  where = f"{path}, face {index + 1} of {variable}"
  if not np.isfinite(row).all():
    raise UserError(f"{where}: a landmark is {row[~np.isfinite(row)][0]}, expected finite numbers")
  x, y, covered = np.asarray(row, np.float64).reshape(3, len(NAMES))
  points = np.stack([x, y], 1)
  center, scale = tables.box_of_points(points)
  return CofwFace(
    where=where,
    image_name=f"{path.stem}_{index + 1:04}",
    image=path,
    points=points,
    center=center,
    scale=scale,
    box_size=200 * scale,
    name=f"{path.stem}_{index + 1:04}",
    variable=variable,
    index=index,
    image_bytes=size,
    visible=covered == 0,
  )
