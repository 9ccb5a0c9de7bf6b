"""COCO's files of annotations: `instances_SPLIT.json` -> categories, and images with their objects.

The format is that of https://cocodataset.org/#format-data. What a network does not learn from is
marked by the rules of mmdetection's `mmdet/datasets/coco.py` and stays: scores need it.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import pathlib
from typing import Any, NamedTuple

from hrnet_jax.data import text
from hrnet_jax.data.datasets import folders
from hrnet_jax.data.reading import Reading
from hrnet_jax.data.regular_files import find_named, name_inside, with_slashes
from hrnet_jax.errors import UserError, some_of
from hrnet_jax.ops import rle

_LARGEST_NUMBER = 2**63 - 1
_LARGEST_LENGTH = 1e9  # pixels, also of an area
_SHOWN = 5  # ids in a message
_BEYOND = 1.1  # of a side, as far as boxes may reach without a word
_LARGEST_ID = 2**31 - 1  # of images; networks and JAX count in 32 bits


class Object(NamedTuple):
  """An annotation, checked but for its segmentation.

  Attributes:
    where: the file and the id, for errors.
    id: of the annotation.
    class_index: rank of the category among the sorted ids.
    bbox: x, y, width, height as annotated.
    area: as annotated; None if it is not.
    crowd: whether this is a group of objects that were not told apart.
    ignored: whether no network learns from this: a crowd, flagged `ignore`, without area, narrower
      or lower than a pixel, or outside of the image, or all its polygons are outside.
    segmentation: polygons, run lengths, or None.
  """

  where: str
  id: int
  class_index: int
  bbox: tuple[float, float, float, float]
  area: float | None
  crowd: bool
  ignored: bool
  segmentation: Any

  def mask(self, shape: tuple[int, int]) -> str | None:
    """Run lengths of the mask in an image of `shape` (height, width), None if there is none.

    Raises:
      ValueError: the segmentation is not as it has to be; names the annotation.
    """
    try:
      return _mask(self.segmentation, shape)
    except ValueError as error:
      raise UserError(
        f"{self.where}: bad segmentation: {error}; for boxes alone give --no_masks"
      ) from error


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
  """An image and its objects.

  Attributes:
    name: the file's name without suffix.
    image: the file.
    where: the file of annotations and the id, for errors.
    image_id: in the file of annotations.
    shape: height and width as the file of annotations has them.
    objects: in its order.
  """

  name: str
  image: pathlib.Path
  where: str
  image_id: int
  shape: tuple[int, int]
  objects: list[Object] = dataclasses.field(default_factory=list)

  @property
  def size(self) -> int:
    """Bytes of the record, roughly."""
    return folders.stat(self.image).st_size + 200 * len(self.objects)

  def cache_key(self) -> str:
    """Changes when the image does; the builder adds the file of annotations."""
    stat = folders.stat(self.image)
    return f"{self.name} {stat.st_size} {stat.st_mtime_ns}"


def read_lists(path: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
  """The lists `images`, `annotations` and `categories` of a file.

  Raises:
    ValueError: not JSON, or without one of these lists; names the file.
  """
  content = text.read_json(path)
  for key in ("images", "annotations", "categories"):
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
      raise UserError(
        f'{path}: no list "{key}"; expected COCO\'s format for objects, with the lists of '
        '"images", "annotations" and "categories"'
      )
  return content


def read_categories(content: dict[str, Any], path: pathlib.Path) -> dict[int, str]:
  """Names of the categories by their ids, ascending.

  Raises:
    ValueError: there is none, one without id or name, or an id that is there twice.
  """
  found: dict[int, str] = {}
  for row in content["categories"]:
    where = f"{path}, category {row.get('name')!r}"
    number = _whole(row, "id", where)
    if not isinstance(row.get("name"), str):
      raise UserError(f"{path}, category {number}: has no name")
    if number in found:
      raise UserError(f"{where}: id {number} is that of {found[number]!r}, too")
    if row["name"] in found.values():
      raise UserError(f"{where}: two categories have this name; give them different ones")
    found[number] = row["name"]
  if not found:
    raise UserError(f"{path}: no categories")
  return dict(sorted(found.items()))


def read_photos(
  content: dict[str, Any],
  path: pathlib.Path,
  places: Sequence[pathlib.Path],
  categories: dict[int, str],
  reading: Reading,
  *,
  with_masks: bool = True,
) -> list[AnnotatedImage]:
  """All images by ascending id, also those without objects.

  Rows that are not as they have to be, and images that are missing, are bad; with an image its
  annotations go, with an annotation nothing else.

  Args:
    content: of the file, from `read_lists`.
    path: of the file.
    places: folders where the images may lie.
    categories: from `read_categories`.
    reading: takes what is bad, and is told what networks will not learn from.
    with_masks: whether the segmentations are looked at.

  Raises:
    ValueError: there are no images.
  """
  if not content["images"]:
    raise UserError(f"{path}: no images")
  photos: dict[int, AnnotatedImage] = {}
  files: dict[pathlib.Path, str] = {}
  bad_photos = set()
  for row in content["images"]:
    with reading.problems.noted():
      where = f"{path}, image {row.get('id')}"
      number = _whole(row, "id", where)
      bad_photos.add(number)
      photo = _photo(row, where, number, places, reading.within)
      if number in photos:
        raise UserError(f"{where}: this id is there twice")
      if photo.image in files:
        raise UserError(f"{where}: {photo.image.name} is that of {files[photo.image]}, too")
      photos[number], files[photo.image] = photo, where
  bad_photos -= photos.keys()
  ranks = {category: rank for rank, category in enumerate(categories)}
  seen, without_corners, polygons_outside = set(), [], []
  for row in content["annotations"]:
    with reading.problems.noted():
      where = f"{path}, annotation {row.get('id')}"
      number, image_id = _whole(row, "id", where), _whole(row, "image_id", where)
      if image_id in bad_photos:
        continue
      if image_id not in photos:
        raise UserError(f'{where}: image_id is {image_id}, which is not among the "images"')
      if number in seen:
        raise UserError(f"{where}: this id is there twice")
      seen.add(number)
      if not with_masks:
        row = row | {"segmentation": None}
      elif _encloses_nothing(row.get("segmentation")):
        without_corners.append(number)
        row = row | {"segmentation": None, "ignore": 1}
      shape = photos[image_id].shape
      found = _object(row, where, shape, ranks)
      if _polygons_lie_outside(found.segmentation, shape) and not _lies_outside(found.bbox, shape):
        polygons_outside.append(number)
        found = found._replace(ignored=True)
      photos[image_id].objects.append(found)
  if polygons_outside:
    reading.say(
      f"{path}: {len(polygons_outside)} annotations have polygons outside of their images, unlike "
      f"their boxes, and are not learnt from: {some_of(polygons_outside, _SHOWN)}"
    )
  if without_corners:
    reading.say(
      f"{path}: {len(without_corners)} annotations have polygons of fewer than three corners and "
      f"are not learnt from: {some_of(without_corners, _SHOWN)}"
    )
  for told in _describe_boxes(photos.values(), path):
    reading.say(told)
  return [photos[image_id] for image_id in sorted(photos)]


def _describe_boxes(photos: Iterable[AnnotatedImage], path: pathlib.Path) -> list[str]:
  """Counts boxes that nothing is learnt from, and those that look like corners."""
  narrow, outside, beyond = [], [], []
  for photo in photos:
    height, width = photo.shape
    for found in photo.objects:
      x, y, w, h = found.bbox
      if _is_narrow(found.bbox):
        narrow.append(found.id)
      elif _lies_outside(found.bbox, photo.shape):
        outside.append(found.id)
      elif x + w > width * _BEYOND or y + h > height * _BEYOND:
        beyond.append(found.id)
  told = {
    "are narrower or lower than a pixel and are not learnt from": narrow,
    "lie outside of their images and are not learnt from": outside,
    "reach far out of their images, as if x, y, width and height were corners": beyond,
  }
  return [
    f"{path}: {len(ids)} boxes {text}: {some_of(ids, _SHOWN)}" for text, ids in told.items() if ids
  ]


def _is_narrow(bbox: Sequence[float]) -> bool:
  return min(bbox[2:]) < 1


def _lies_outside(bbox: Sequence[float], shape: tuple[int, int]) -> bool:
  x, y, w, h = bbox
  return min(x + w, shape[1]) <= max(x, 0) or min(y + h, shape[0]) <= max(y, 0)


def _encloses_nothing(segmentation: Any) -> bool:
  """Whether there are polygons, and all are points or lines."""
  if not isinstance(segmentation, list) or not segmentation:
    return False
  return all(isinstance(x, list) and len(x) % 2 == 0 and len(x) < 6 for x in segmentation)


def _polygons_lie_outside(segmentation: Any, shape: tuple[int, int]) -> bool:
  """Whether there are polygons, and each lies beside, above or below the image."""
  if not isinstance(segmentation, list) or not segmentation:
    return False
  for polygon in segmentation:
    if not isinstance(polygon, list) or len(polygon) % 2 or not all(map(_is_number, polygon)):
      return False  # what is wrong with it is said where it is drawn
    x, y = polygon[::2], polygon[1::2]
    if not x or not _lies_outside((min(x), min(y), max(x) - min(x), max(y) - min(y)), shape):
      return False
  return True


def _photo(
  row: dict[str, Any],
  where: str,
  number: int,
  places: Sequence[pathlib.Path],
  within: pathlib.Path | None,
) -> AnnotatedImage:
  height, width = (_whole(row, key, where) for key in ("height", "width"))
  if not 0 <= number <= _LARGEST_ID:
    raise UserError(f"{where}: expected an id between 0 and {_LARGEST_ID}")
  if height <= 0 or width <= 0:
    raise UserError(f"{where}: width and height are {width} and {height}")
  name = row.get("file_name")
  if not isinstance(name, str) or not name:
    raise UserError(f"{where}: file_name is {name!r}, expected the name of a file")
  image = find_named(places, name, where, within)
  if image is None:
    raise FileNotFoundError(f"{places[0] / name}: no such file, but {where} has this name")
  stem = pathlib.PurePosixPath(name_inside(with_slashes(name))).with_suffix("").as_posix()
  return AnnotatedImage(stem, image, where, number, (height, width))


def _object(row, where, shape, ranks) -> Object:
  category = _whole(row, "category_id", where)
  if category not in ranks:
    raise UserError(f'{where}: category_id is {category}, which is not among the "categories"')
  bbox = row.get("bbox")
  if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
    raise UserError(f"{where}: bbox is {bbox!r}, expected x, y, width and height in pixels")
  area = row.get("area")
  if area is not None and not _is_number(area):
    raise UserError(f"{where}: area is {area!r}, expected a number of pixels")
  crowd, flagged = (_flag(row, key, where) for key in ("iscrowd", "ignore"))
  x, y, w, h = map(float, bbox)
  empty = _is_narrow((x, y, w, h)) or (area is not None and area <= 0)
  ignored = crowd or flagged or empty or _lies_outside((x, y, w, h), shape)
  area = None if area is None else float(area)
  segmentation = row.get("segmentation")
  return Object(
    where,
    _whole(row, "id", where),
    ranks[category],
    (x, y, w, h),
    area,
    crowd,
    ignored,
    segmentation,
  )


def _mask(segmentation: Any, shape: tuple[int, int]) -> str | None:
  if segmentation is None or segmentation == []:
    return None
  if isinstance(segmentation, list):
    return rle.from_polygons(segmentation, shape)
  if not isinstance(segmentation, dict) or "counts" not in segmentation:
    raise UserError('expected a list of polygons, or run lengths as {"size": ..., "counts": ...}')
  size, counts = segmentation.get("size"), segmentation["counts"]
  if size != list(shape):
    raise UserError(f"size is {size}, but the image's height and width are {list(shape)}")
  if not isinstance(counts, str):
    return rle.from_runs(counts, shape)
  rle.checked_runs(counts, shape)
  return counts


def _whole(row: dict[str, Any], key: str, where: str) -> int:
  value = row.get(key)
  if isinstance(value, str) and value.isdecimal() and len(value) < 20:  # some write ids as text
    value = int(value)
  if not isinstance(value, int) or isinstance(value, bool):
    raise UserError(f"{where}: {key} is {value!r}, expected a whole number")
  if abs(value) > _LARGEST_NUMBER:
    raise UserError(f"{where}: {key} is a number of more than 63 bits")
  return value


def _flag(row: dict[str, Any], key: str, where: str) -> bool:
  value = row.get(key) or 0  # some write null
  if isinstance(value, str) and value in ("0", "1"):
    value = int(value)
  if value not in (0, 1):
    raise UserError(f"{where}: {key} is {value!r}, expected 0 or 1")
  return bool(value)


def _is_number(value: Any) -> bool:
  if not isinstance(value, int | float) or isinstance(value, bool):
    return False
  return abs(value) <= _LARGEST_LENGTH  # false for NaN
