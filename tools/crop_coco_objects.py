"""Cuts objects out of COCO photos: `(H, W, 3)` photos and boxes -> one folder of crops per class.

  python tools/crop_coco_objects.py --source=coco --output=crops --min_count=15

The source has COCO's layout, `train2017/`, `val2017/` and `annotations/instances_*.json`. A crop is
the square around a box, with a margin, cut at the border of the photo. The result is a source for
`hrnet prepare --dataset=image_folder_classification/NAME`.
"""

import argparse
import collections
from collections.abc import Sequence
import json
import math
import pathlib
import sys
from typing import Any

from PIL import Image

YEAR = "2017"
SPLITS = ("train", "val")
_JPEG_QUALITY = 95
Box = tuple[float, float, float, float]  # x, y, width, height


def main(argv: Sequence[str] | None = None) -> int:
  """The command; returns its exit status."""
  args = _parse(argv)
  source, output = pathlib.Path(args.source), pathlib.Path(args.output)
  try:
    if output.exists() and any(output.iterdir()):
      raise ValueError(f"--output: {output} is not empty; name another folder")
    objects = {split: find_objects(source, split, args.min_size) for split in SPLITS}
    classes = frequent(objects["train"], args.min_count)
    for split, found in objects.items():
      kept = limit([item for item in found if item["class"] in classes], args.max_count)
      write_crops(kept, source / f"{split}{YEAR}", output / split, args.margin)
      print(f"{split}: {len(kept)} crops of {len(found)} objects")
  except (OSError, ValueError) as error:
    print(f"crop_coco_objects: {error}", file=sys.stderr)
    return 1
  print(f"{len(classes)} classes: {', '.join(classes)}")
  return 0


def find_objects(source: pathlib.Path, split: str, min_size: float) -> list[dict[str, Any]]:
  """Lists single objects that are large enough: `class`, `file_name`, `id` and `box`.

  Args:
    source: folder in COCO's layout.
    split: `train` or `val`.
    min_size: pixels that the longer side of a box has at least.

  Raises:
    FileNotFoundError: there are no annotations.
  """
  path = source / "annotations" / f"instances_{split}{YEAR}.json"
  annotations = json.loads(path.read_text())
  names = {category["id"]: category["name"] for category in annotations["categories"]}
  files = {image["id"]: image["file_name"] for image in annotations["images"]}
  return [
    {
      "class": names[item["category_id"]],
      "file_name": files[item["image_id"]],
      "id": item["id"],
      "box": tuple(item["bbox"]),
    }
    for item in annotations["annotations"]
    if not item.get("iscrowd") and max(item["bbox"][2:]) >= min_size
  ]


def frequent(objects: Sequence[dict[str, Any]], min_count: int) -> list[str]:
  """Names of the classes with at least `min_count` objects, sorted.

  Raises:
    ValueError: fewer than two.
  """
  counts = collections.Counter(item["class"] for item in objects)
  classes = sorted(name for name, count in counts.items() if count >= min_count)
  if len(classes) < 2:
    raise ValueError(
      f"{len(classes)} classes have {min_count} objects or more; lower --min_count or --min_size"
    )
  return classes


def limit(objects: Sequence[dict[str, Any]], max_count: int) -> list[dict[str, Any]]:
  """Keeps at most `max_count` objects of each class, evenly spread over the list."""
  by_class = collections.defaultdict(list)
  for item in objects:
    by_class[item["class"]].append(item)
  return [
    found[index * len(found) // count]
    for found in by_class.values()
    for count in [min(len(found), max_count)]
    for index in range(count)
  ]


def square(box: Box, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
  """The square around a box, cut at the border of a photo of `size` (height, width).

  Args:
    box: x, y, width, height.
    margin: share of the box's longer side that is added on every side.
    size: of the photo.

  Returns:
    x0, y0, x1, y1 in whole pixels.
  """
  x, y, width, height = box
  half = (0.5 + margin) * max(width, height)
  centre_x, centre_y = x + width / 2, y + height / 2
  return (
    max(0, math.floor(centre_x - half)),
    max(0, math.floor(centre_y - half)),
    min(size[1], math.ceil(centre_x + half)),
    min(size[0], math.ceil(centre_y + half)),
  )


def write_crops(
  objects: Sequence[dict[str, Any]], photos: pathlib.Path, output: pathlib.Path, margin: float
) -> None:
  """Writes `output/CLASS/PHOTO_ID.jpg`, reading every photo once."""
  by_photo = collections.defaultdict(list)
  for item in objects:
    by_photo[item["file_name"]].append(item)
  for name, items in by_photo.items():
    photo = Image.open(photos / name).convert("RGB")
    for item in items:
      x0, y0, x1, y1 = square(item["box"], margin, (photo.height, photo.width))
      path = output / item["class"] / f"{pathlib.Path(name).stem}_{item['id']}.jpg"
      path.parent.mkdir(parents=True, exist_ok=True)
      photo.crop((x0, y0, x1, y1)).save(path, quality=_JPEG_QUALITY)


def _parse(argv: Sequence[str] | None) -> Any:
  parser = argparse.ArgumentParser(description="Cuts objects out of COCO photos, by class.")
  add = parser.add_argument
  add("--source", required=True, help="folder with train2017/, val2017/ and annotations/")
  add("--output", required=True, help="folder for the crops; must be empty or not there")
  add("--min_size", type=float, default=32, help="pixels of the longer side (default %(default)s)")
  add("--margin", type=float, default=0.1, help="share of it around the box (default %(default)s)")
  add("--min_count", type=int, default=1, help="training objects of a class (default %(default)s)")
  add("--max_count", type=int, default=10**9, help="crops of a class in a split (default: all)")
  return parser.parse_args(argv)


if __name__ == "__main__":
  sys.exit(main())
