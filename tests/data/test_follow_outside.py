"""Names in annotations that lead out of the source folder: refused, or followed if asked for."""

import json
import pathlib

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.data.regular_files import name_inside
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.segmentation.results import LabelMaps
from tests.helpers import coco_miniature as mini
from tests.helpers import miniatures


def write_photo(path, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  photo = np.random.default_rng(seed).integers(0, 256, (40, 49, 3)).astype(np.uint8)
  path.write_bytes(images.encode_png(photo))


@pytest.mark.parametrize(
  ("name", "stored"),
  [
    ("../../c.png", "_up/_up/c.png"),
    ("/data/c.png", "_root/data/c.png"),
    ("..\\c.png", "_up/c.png"),
    ("a/../../c.png", "a/_up/_up/c.png"),
    ("sub/c.png", "sub/c.png"),
    ("sub\\c..png", "sub\\c..png"),
  ],
)
def test_stored_names_stay_in_a_folder(name, stored, tmp_path):
  assert name_inside(name) == stored
  assert name_inside(stored) == stored
  assert (tmp_path / stored).resolve().is_relative_to(tmp_path)


@pytest.mark.parametrize("way", ["up", "absolute", "link", "linked folder"])
@pytest.mark.parametrize("dataset", ["coco/x", "landmarks_csv/x", "lip"])
def test_files_elsewhere(dataset, way, tmp_path):
  outside = tmp_path / "elsewhere/c.png"
  write_photo(outside)
  name = {"up": "../../elsewhere/c.png", "absolute": str(outside), "link": "link.png",
          "linked folder": "linked/c.png"}[way]  # fmt: skip
  source, photos = {"coco/x": coco, "landmarks_csv/x": table, "lip": lip}[dataset](tmp_path, name)
  (photos / "link.png").symlink_to(outside)
  (photos / "linked").symlink_to(outside.parent, target_is_directory=True)
  with pytest.raises(UserError, match=r"leads out of the source folder.*--follow_outside"):
    prepared.prepare(dataset, tmp_path / "out", source=source)
  opened, _ = prepared.prepare(dataset, tmp_path / "out", source=source, follow_outside=True)
  (record,) = (r for r in opened.source("train") if r["image"] == outside.read_bytes())
  assert (tmp_path / "x" / record["name"]).resolve().is_relative_to(tmp_path / "x")


def test_a_folder_of_photos_elsewhere_is_one_problem(tmp_path):
  source = mini.write(tmp_path / "source")
  (source / "train").rename(tmp_path / "elsewhere")
  (source / "train").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
  message = f"^{source}/train is behind a link that leads out of the source folder, to {tmp_path}/e"
  with pytest.raises(UserError, match=message):
    prepared.prepare("coco/x", tmp_path / "out", source=source)
  opened, _ = prepared.prepare("coco/x", tmp_path / "out", source=source, follow_outside=True)
  assert opened.splits() == {"train": 4, "val": 4}
  # The source itself may be behind a link.
  (source / "train").unlink()
  (tmp_path / "elsewhere").rename(source / "train")
  (tmp_path / "link").symlink_to(source, target_is_directory=True)
  assert prepared.prepare("coco/y", tmp_path / "out", source=tmp_path / "link")[1]


def coco(tmp_path, name):
  content = mini.content()
  source = mini.write(tmp_path / "source", {"train": mini.content(), "val": mini.content()})
  content["images"][0]["file_name"] = name
  (source / "annotations/instances_train.json").write_text(json.dumps(content))
  return source, source / "train"


def table(tmp_path, name):
  source = tmp_path / "source"
  write_photo(source / "images/a.png", seed=1)
  for split in ("train", "val"):
    (source / f"{split}.csv").write_text("image_name,x0,y0,x1,y1\na.png,2,3,20,22\n")
  with (source / "train.csv").open("a") as file:
    file.write(f"{name},2,3,20,22\n")
  return source, source / "images"


def lip(tmp_path, name):
  source = miniatures.lip(tmp_path / "source")
  root = source / "lip"
  label = np.zeros((40, 49), np.uint8)
  (root / "label.png").write_bytes(images.encode_png(label))
  photos = root / "TrainVal_images/train_images"
  if name.startswith("../.."):
    name = f"../{name}"  # of the folders in which names of a list are looked for, none fits
  elif not name.startswith("/"):
    name = f"train_images/{name}"
  (root / "trainList.txt").write_text(f"{name} label.png\n")
  return source, photos


def test_maps_of_older_data_sets_are_written_in_their_folder(tmp_path):
  """Before names were refused, they were stored as they stood in lists."""

  class Opened:
    class_ids = ()
    class_names = ("a", "b")
    palette = ((0, 0, 0), (255, 255, 255))

  writer = LabelMaps(tmp_path / "maps", Opened, None)
  writer.add(0, np.zeros((2, 2), np.int32), {"name": "../../outside"})
  assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")] == [
    pathlib.Path("maps/_up/_up/outside.png")
  ]
