"""Draws small data sets in the layouts of the tutorials, so that every command can be tried.

  python docs/tutorials/make_example_data.py segmentation --output=my_fields

Needs NumPy and Pillow alone. The same command always draws the same files.
"""

import argparse
import csv
import json
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 160, 128
Point = tuple[float, float]


# --8<-- [start:segmentation]
def segmentation(folder: pathlib.Path, rng: np.random.Generator, count: int) -> None:
  """Fields from above with ponds and roofs: photos, label maps and the names of the classes."""
  (folder / "images").mkdir(parents=True)
  (folder / "labels").mkdir()
  (folder / "classes.txt").write_text("field #6b8e23\npond #4682b4\nroof #b22222\n")
  for index in range(count):
    photo, label = ground(rng, (105, 135, 70)), Image.new("L", (WIDTH, HEIGHT), 0)
    for class_id, colour in ((1, (70, 115, 165)), (2, (165, 70, 60)), (2, (150, 85, 70))):
      shape = ellipse if class_id == 1 else rectangle
      outline = shape(rng, size=rng.uniform(20, 36))
      ImageDraw.Draw(photo).polygon(outline, fill=shade(rng, colour))
      ImageDraw.Draw(label).polygon(outline, fill=class_id)
    photograph(rng, photo).save(folder / "images" / f"{index:03}.jpg", quality=92)
    label.save(folder / "labels" / f"{index:03}.png")


# --8<-- [end:segmentation]


# --8<-- [start:landmarks]
def landmarks(folder: pathlib.Path, rng: np.random.Generator, count: int) -> None:
  """Houses with four marked points: photos, and one table with a row for each house."""
  (folder / "images").mkdir(parents=True)
  (folder / "names.txt").write_text("top of the roof\nleft eave\nright eave\ndoor\n")
  (folder / "flip_pairs.txt").write_text("1 2\n")  # these two change places in a mirror
  rows = []
  for index in range(count):
    photo, name = ground(rng, (125, 150, 175)), f"{index:03}.jpg"
    draw, turn = ImageDraw.Draw(photo), rng.uniform(-0.4, 0.4)
    centre, size = rng.uniform((55, 50), (105, 78)), rng.uniform(26, 40)
    wall = [(-0.8, -0.1), (0.8, -0.1), (0.8, 1), (-0.8, 1)]
    roof, door = [(0, -1), (-1, -0.1), (1, -0.1)], [(-0.2, 0.4), (0.2, 0.4), (0.2, 1), (-0.2, 1)]
    for outline, colour in ((wall, (225, 205, 170)), (roof, (170, 70, 55)), (door, (85, 55, 40))):
      draw.polygon(place(outline, centre, size, turn), fill=shade(rng, colour))
    points = place([*roof, (0, 0.7)], centre, size, turn)
    photograph(rng, photo).save(folder / "images" / name, quality=92)
    rows.append([name, *(f"{value:.1f}" for point in points for value in point)])
  with (folder / "landmarks.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["image_name", *(f"{axis}{k}" for k in range(4) for axis in "xy")])
    table.writerows(rows)


# --8<-- [end:landmarks]


# --8<-- [start:detection]
def detection(folder: pathlib.Path, rng: np.random.Generator, count: int) -> None:
  """Balls and crates: photos, and COCO's JSON with a box and a polygon for each object."""
  (folder / "annotations").mkdir(parents=True)
  for split, number in (("train", count), ("val", max(count // 4, 2))):
    (folder / split).mkdir()
    images, annotations = [], []
    for index in range(number):
      photo, name = ground(rng, (150, 140, 125)), f"{index:03}.jpg"
      images.append({"id": index + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
      for slot in range(3):  # side by side, so that none hides another
        category = int(rng.integers(1, 3))
        middle = (27 + 53 * slot, rng.uniform(35, 93))
        shape, colour = ((ellipse, (225, 120, 40)), (rectangle, (60, 100, 150)))[category - 1]
        outline = shape(rng, size=rng.uniform(14, 24), centre=middle)
        ImageDraw.Draw(photo).polygon(outline, fill=shade(rng, colour))
        annotations.append(annotation(len(annotations) + 1, index + 1, category, outline))
      photograph(rng, photo).save(folder / split / name, quality=92)
    categories = [{"id": 1, "name": "ball"}, {"id": 2, "name": "crate"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(coco))


def annotation(number: int, image: int, category: int, outline: list[Point]) -> dict:
  """One object of COCO's JSON; `bbox` is x, y, width and height."""
  (x0, y0), (x1, y1) = np.min(outline, 0).tolist(), np.max(outline, 0).tolist()
  polygon = [round(value, 2) for point in outline for value in point]
  box = [x0, y0, x1 - x0, y1 - y0]
  return {
    "id": number,
    "image_id": image,
    "category_id": category,
    "bbox": box,
    "area": box[2] * box[3],
    "iscrowd": 0,
    "segmentation": [polygon],
  }


# --8<-- [end:detection]


# --8<-- [start:classification]
def classification(folder: pathlib.Path, rng: np.random.Generator, count: int) -> None:
  """Single balls, crates and tents: a folder of photos for each class."""
  shapes = {"ball": (ellipse, (225, 120, 40)), "crate": (rectangle, (60, 100, 150))}
  shapes["tent"] = (triangle, (80, 140, 80))
  for name, (shape, colour) in shapes.items():
    (folder / name).mkdir(parents=True)
    for index in range(count):
      photo = ground(rng, (150, 140, 125))
      outline = shape(rng, size=rng.uniform(30, 45), centre=rng.uniform((65, 50), (95, 78)))
      ImageDraw.Draw(photo).polygon(outline, fill=shade(rng, colour))
      photograph(rng, photo).save(folder / name / f"{index:03}.jpg", quality=92)


# --8<-- [end:classification]


def ground(rng: np.random.Generator, colour: tuple[int, int, int]) -> Image.Image:
  """A soft pattern around a colour."""
  coarse = rng.normal(0, 18, (HEIGHT // 16, WIDTH // 16, 3)) + shade(rng, colour)
  small = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
  return small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def photograph(rng: np.random.Generator, photo: Image.Image) -> Image.Image:
  """Blur and noise, as a camera adds them."""
  pixels = np.asarray(photo.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
  noisy = pixels + rng.normal(0, 6, pixels.shape)
  return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def shade(rng: np.random.Generator, colour: tuple[int, int, int]) -> tuple[int, int, int]:
  """The colour, a little lighter or darker."""
  r, g, b = np.clip(np.array(colour) + rng.normal(0, 12), 0, 255).astype(int).tolist()
  return r, g, b


def place(outline: list[Point], centre: Point, size: float, turn: float) -> list[Point]:
  """An outline around zero, turned, enlarged and moved: x and y in pixels."""
  sine, cosine = np.sin(turn), np.cos(turn)
  turned = np.array(outline) @ np.array([[cosine, sine], [-sine, cosine]])
  return [(float(x), float(y)) for x, y in turned * size + np.array(centre)]


def polygon(
  rng: np.random.Generator, corners: list[Point], size: float, centre: Point | None
) -> list[Point]:
  """The corners around `centre`, anywhere by default, turned at random and flattened a little."""
  if centre is None:
    centre = (rng.uniform(20, WIDTH - 20), rng.uniform(20, HEIGHT - 20))
  flat = [(x, y * rng.uniform(0.7, 1)) for x, y in corners] if len(corners) < 5 else corners
  return place(flat, centre, size, rng.uniform(-0.5, 0.5))


def rectangle(rng: np.random.Generator, size: float, centre: Point | None = None) -> list[Point]:
  """Four corners."""
  return polygon(rng, [(-1, -0.8), (1, -0.8), (1, 0.8), (-1, 0.8)], size, centre)


def triangle(rng: np.random.Generator, size: float, centre: Point | None = None) -> list[Point]:
  """Three corners."""
  return polygon(rng, [(0, -1), (0.95, 0.7), (-0.95, 0.7)], size, centre)


def ellipse(rng: np.random.Generator, size: float, centre: Point | None = None) -> list[Point]:
  """Twenty-four corners on a circle."""
  angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
  return polygon(rng, [(float(np.cos(a)), float(np.sin(a))) for a in angles], size, centre)


MAKERS = {f.__name__: f for f in (segmentation, landmarks, detection, classification)}


def main() -> None:
  """The command."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("kind", choices=MAKERS)
  parser.add_argument("--output", required=True, help="folder to make; must not exist")
  parser.add_argument("--count", type=int, default=60, help="photos to draw, or photos of a class")
  arguments = parser.parse_args()
  folder = pathlib.Path(arguments.output)
  if folder.exists():
    parser.error(f"{folder} exists; name a new folder, or remove this one")
  MAKERS[arguments.kind](folder, np.random.default_rng(0), arguments.count)
  print(f"made {folder}: {sum(path.is_file() for path in folder.rglob('*'))} files")


if __name__ == "__main__":
  main()
