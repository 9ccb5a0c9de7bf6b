"""COCO's objects with boxes and masks, and a user's own photos annotated in COCO's format.

    annotations/instances_SPLIT.json   one for each split, such as train2017 and val2017
    SPLIT/ or images/SPLIT/            its photos

and further layouts, see `coco_layout`.

A record has `boxes (N, 4), classes (N,), masks`, and what scores need; see `Coco.features`.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.reading import Problems
from hrnet_jax.data.regular_files import read_regular
from hrnet_jax.errors import UserError
from hrnet_jax.ops import rle
from hrnet_jax.tasks.detection.datasets import coco_json, coco_layout
from hrnet_jax.tasks.detection.datasets.coco_json import AnnotatedImage

NO_MASKS = "no_masks"
MIN_SIDE = 32  # pixels; smaller images are not trained on


class Coco(base.Builder):
  """Photos with the boxes and masks of objects."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; masks as compressed run lengths."}
  SOURCE_LAYOUT = (
    "annotations/instances_SPLIT.json in COCO's format and the photos in SPLIT/ (or images/SPLIT/) "
    "for each split, such as train2017 and val2017; or the folders of Roboflow; or one file alone"
  )
  HAS_VARIANTS = True
  COUNTED = "objects"
  LISTS_SIZES = True
  OPTIONS = (base.FOLLOW_OUTSIDE, NO_MASKS)

  def plan(self, source: pathlib.Path | None) -> dict[str, list[AnnotatedImage]]:
    """A split for each file of annotations, its images by ascending id."""
    found = {}
    reading, with_masks = self.reading(source), not self.options.get(NO_MASKS)
    for split, (file, content) in self._files.items():
      read = coco_json.read_photos(
        content, file.path, file.places, self._categories, reading, with_masks=with_masks
      )
      found |= _split(read, file.path) if file.alone else {split: read}
    photos = [photo.image for own in found.values() for photo in own]
    reading.say_unnamed([source], photos, "no file of annotations", deep=True)
    if other := coco_layout.other_files({split: file for split, (file, _) in self._files.items()}):
      self.say(
        f"{source}: {len(other)} JSON files are left out, such as {other[0]}; "
        "instances_SPLIT.json are read"
      )
    return found

  def subsets(self, source: pathlib.Path | None) -> dict[str, tuple[str, list[int]]]:
    """`SPLIT_objects` for training: images of 32 pixels and more with an object to learn from."""
    return {
      f"{split}_objects": (split, [i for i, photo in enumerate(photos) if _teaches(photo)])
      for split, photos in self._planned().items()
    }

  def record(self, entry: AnnotatedImage) -> dict[str, Any]:
    """Checks one photo and its objects."""
    return self.measured(entry)[0]

  def measured(self, entry: AnnotatedImage) -> tuple[dict[str, Any], tuple[int, int], np.ndarray]:
    """The record, the image's size, and how many objects of each class it has to learn from."""
    classes = np.array([x.class_index for x in entry.objects], np.int32)
    ignored = np.array([x.ignored for x in entry.objects], np.bool_)
    masks = [x.mask(entry.shape) for x in entry.objects]
    bboxes = np.array([x.bbox for x in entry.objects], np.float64).reshape(-1, 4)
    record = {
      "image": _encoded(entry),
      "name": entry.name,
      "image_id": np.int64(entry.image_id),
      "size": np.array(entry.shape, np.int32),
      "boxes": corners(bboxes),
      "bboxes": bboxes,
      "classes": classes,
      "areas": np.array([_area(*x, entry.shape) for x in zip(entry.objects, masks, strict=True)]),
      "crowd": np.array([x.crowd for x in entry.objects], np.bool_),
      "ignored": ignored,
      "ids": np.array([x.id for x in entry.objects], np.int64),
      "masks": json.dumps(masks),
    }
    counts = np.bincount(classes[~ignored], minlength=len(self._categories))
    return record, entry.shape, np.append(counts, ignored.sum())

  def without_bad(self, entry: AnnotatedImage, problems: Problems) -> AnnotatedImage | None:
    """Without the objects whose masks are bad; nothing where the photo is bad."""
    good = []
    for found in entry.objects:
      with problems.noted():
        found.mask(entry.shape)
        good.append(found)
    return super().without_bad(dataclasses.replace(entry, objects=good), problems)

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Names and ids of the categories; the colours are made up."""
    names = tuple(self._categories.values())
    colours = tuple(folders.make_colour(index) for index in range(len(names)))
    return DatasetInfo(class_names=names, palette=colours, class_ids=tuple(self._categories))

  def cache_key(self) -> str:
    """Changes when the source does, the annotations included."""
    stats = [folders.stat(file.path) for file, _ in self._files.values()]
    whole = f"{super().cache_key()} {[(stat.st_size, stat.st_mtime_ns) for stat in stats]}"
    return hashlib.sha256(whole.encode()).hexdigest()

  def features(self) -> dict[str, Any]:
    """Features of an image with N objects.

    `size` is height and width; `boxes` are x0 y0 x1 y1 in pixels from the image's left and upper
    edge, `bboxes` the same as annotated, x y width height; `areas` are in pixels; `ignored` are all
    that no network learns from (see `coco_json.Object`), crowds among them; `ids` are those of the
    annotations; `masks` is JSON text, a list of run lengths (`ops/rle.py`) and, for objects without
    a mask, null.
    """
    return {
      "image": tfds.features.Image(shape=(None, None, 3)),
      "name": tfds.features.Text(),
      "image_id": tfds.features.Tensor(shape=(), dtype=np.int64),
      "size": tfds.features.Tensor(shape=(2,), dtype=np.int32),
      "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
      "bboxes": base.exact_numbers(None, 4),
      "classes": tfds.features.Tensor(shape=(None,), dtype=np.int32),
      "areas": base.exact_numbers(None),
      "crowd": tfds.features.Tensor(shape=(None,), dtype=np.bool_),
      "ignored": tfds.features.Tensor(shape=(None,), dtype=np.bool_),
      "ids": tfds.features.Tensor(shape=(None,), dtype=np.int64),
      "masks": tfds.features.Text(),
    }

  @functools.cached_property
  def _files(self):
    """For each split the file of its annotations, and its content."""
    found = coco_layout.find_annotations(self._source, self.SOURCE_LAYOUT)
    return {split: (file, coco_json.read_lists(file.path)) for split, file in found.items()}

  @functools.cached_property
  def _categories(self):
    """Names by id, the same in all files."""
    read = {f.path: coco_json.read_categories(x, f.path) for f, x in self._files.values()}
    first = next(iter(read))
    for path, categories in read.items():
      if categories != read[first]:
        differing = sorted(set(categories.items()) ^ set(read[first].items()))
        raise UserError(
          f"{path}: other categories than in {first}: {differing[0][1]!r} with id "
          f"{differing[0][0]} is in one of them only; all splits need the same"
        )
    return read[first]


def corners(bboxes: np.ndarray) -> np.ndarray:
  """x y width height to x0 y0 x1 y1: `(N, 4) -> (N, 4)` float32."""
  return np.concatenate([bboxes[:, :2], bboxes[:, :2] + bboxes[:, 2:]], 1).astype(np.float32)


def _split(photos, path):
  """Photos of a single file by split, each split by ascending id."""
  if len(photos) < 2:
    raise UserError(f"{path}: one image; at least 2 are needed, for train and val")
  return {
    split: sorted(own, key=lambda photo: photo.image_id)
    for split, own in folders.split_by_name(photos).items()
  }


def _teaches(photo):
  return min(photo.shape) >= MIN_SIDE and not all(x.ignored for x in photo.objects)


def _area(found, mask, shape):
  """The area as annotated; where it is missing, that of the mask or else of the box."""
  if found.area is not None:
    return found.area
  return float(rle.area(mask, shape) if mask else found.bbox[2] * found.bbox[3])


def _encoded(entry):
  """The file's bytes, so that they decode to the size that the annotations are for."""
  data = read_regular(entry.image)
  size = images.decode_image(data, str(entry.image)).shape[:2]
  if size == entry.shape:
    return data
  stored = images.forget_orientation(data)  # annotated before viewers turned photos upright
  if images.decode_image(stored, str(entry.image)).shape[:2] == entry.shape:
    return stored
  height, width = entry.shape
  raise UserError(
    f"{entry.image}: {size[1]}x{size[0]} pixels, but {entry.where} says {width}x{height}; "
    "image and annotations have to be of the same version"
  )
