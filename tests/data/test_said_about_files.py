"""What people have to know about their files although all of them can be read."""

import io
import json
import shutil
import types
import unicodedata

import numpy as np
from PIL import Image
import pytest

from hrnet_jax import errors
from hrnet_jax.data import images, prepared
from hrnet_jax.data import prepare as command
from hrnet_jax.data.regular_files import find_named
from hrnet_jax.errors import OptionError, UserError
from hrnet_jax.evaluation import score
from tests.helpers import coco_miniature as mini

CLASSIFICATION, COCO = "image_folder_classification/x", "coco/x"
LANDMARKS, SEGMENTATION = "landmarks_csv/x", "image_folder_segmentation/x"
ORIENTATION = 0x112  # EXIF


def photo(path, seed, size=(6, 8)):
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
  path.write_bytes(images.encode_png(pixels))


def prepare(name, tmp_path):
  """The data set, and what was said."""
  said = []
  found = prepared.prepare(name, tmp_path / "out", source=tmp_path / "source", say=said.append)
  return found[0], said


def classes(tmp_path, *names, folders=("",)):
  """Three photos of each class, all different."""
  for seed, name in enumerate(f"{x}/{name}/{i}" for x in folders for name in names for i in "abc"):
    photo(tmp_path / f"source/{name}.png", seed)


def test_photos_of_two_splits_are_counted(tmp_path):
  classes(tmp_path, "cat", "dog", folders=("train", "val"))
  assert prepare(CLASSIFICATION, tmp_path)[1] == []
  source = tmp_path / "source"
  shutil.copy(source / "train/cat/a.png", source / "val/cat/other.png")
  (said,) = prepare(CLASSIFICATION, tmp_path)[1]
  assert said.startswith("1 of 7 photos of val are in train, too")


def test_classes_of_one_name_in_two_forms_of_unicode(tmp_path):
  composed, decomposed = (unicodedata.normalize(form, "k\u00e4fer") for form in ("NFC", "NFD"))
  classes(tmp_path, composed, "dog", folders=("train",))
  classes(tmp_path, decomposed, "dog", folders=("val",))
  dataset, _ = prepare(CLASSIFICATION, tmp_path)
  assert dataset.class_names == ("dog", composed)
  assert dataset.splits() == {"train": 6, "val": 6}
  classes(tmp_path, decomposed, folders=("train",))
  with pytest.raises(UserError, match="two folders of the class"):
    prepare(CLASSIFICATION, tmp_path)


def test_classes_that_differ_in_capitals_alone(tmp_path):
  classes(tmp_path, "cat", "Cat", "dog")
  found = command.warnings(prepare(CLASSIFICATION, tmp_path)[0])
  assert found == ["classes 'Cat' and 'cat' differ in capitals or blanks alone"]


def test_folders_inside_of_classes_are_said(tmp_path):
  classes(tmp_path, "cat", "dog", folders=("train", "val"))
  photo(tmp_path / "source/train/dog/wild/a.png", 99)
  dataset, said = prepare(CLASSIFICATION, tmp_path)
  (text,) = said
  assert "train: 1 of 7 photos lie in folders inside of the classes' folders" in text
  assert "such as dog/wild/a.png; they count as of the outer one's class" in text
  labels = {x["name"]: int(x["label"]) for x in dataset.source("train")}
  assert labels["dog/wild/a"] == labels["dog/a"] == dataset.class_names.index("dog")


def test_classes_that_val_alone_lacks(tmp_path):
  classes(tmp_path, "cat", "cow", "dog", folders=("train", "val"))
  for name in ("cow", "dog"):
    shutil.rmtree(tmp_path / f"source/val/{name}")
  (said,) = command.warnings(prepare(CLASSIFICATION, tmp_path)[0])
  assert said == "val: no images of 'cow', 'dog', so scores do not tell how well they are learnt"


def test_classes_that_no_pixel_of_val_has(tmp_path):
  labelled(tmp_path, "train", "train")
  source = labelled(tmp_path, "val", "val")
  (source / "labels/val/0.png").write_bytes(images.encode_png(np.zeros((6, 8), np.uint8)))
  (said,) = command.warnings(prepare(SEGMENTATION, tmp_path)[0])
  assert said == "val: no pixels of 'b', so scores do not tell how well they are learnt"
  (source / "labels/train/0.png").write_bytes(images.encode_png(np.zeros((6, 8), np.uint8)))
  (said,) = command.warnings(prepare(SEGMENTATION, tmp_path)[0])  # not twice
  assert said == "train: no pixels of 'b', so they cannot be learnt"


def test_suffixes_of_names_may_be_in_another_case(tmp_path):
  photo(tmp_path / "a.b/x.png", 0)
  photo(tmp_path / "a.b/y.PNG", 0)
  for name, want in (("a.b/x.PNG", "x.png"), ("a.b/y.png", "y.PNG"), ("a.b\\x.Png", "x.png")):
    assert find_named([tmp_path], name, "row 1", tmp_path).name == want
  assert find_named([tmp_path], "A.b/x", "row 1", tmp_path) is None


def test_tables_that_are_not_read_are_named(tmp_path):
  rows = [f"{index}.png,1,2,5,{index}\n" for index in range(3)]
  for index in range(3):
    photo(tmp_path / f"source/images/{index}.png", index)
  for name in ("landmarks.csv", "valid.csv", ".landmarks.csv"):
    (tmp_path / "source" / name).write_text("image_name,x0,y0,x1,y1\n" + "".join(rows))
  (said,) = prepare(LANDMARKS, tmp_path)[1]
  assert "source/valid.csv: left out" in said


def test_landmarks_far_outside_of_their_photos_are_counted(tmp_path):
  places = ["1,2,5,4", "-9,2,5,4", "1,2,5,9", "-0.5,2,8.5,4"]  # in photos of 8x6 pixels
  rows = [f"{index}.png,{place}\n" for index, place in enumerate(places)]
  for index in range(len(rows)):
    photo(tmp_path / f"source/images/{index}.png", index)
  for split, own in (("train", rows), ("val", rows[:1])):
    table = tmp_path / f"source/{split}.csv"
    table.write_text("image_name,x0,y0,x1,y1\n" + "".join(own))
  (said,) = [x for x in prepare(LANDMARKS, tmp_path)[1] if "outside" in x]
  assert said.startswith("2 landmarks of 2 faces lie more than a tenth of a side outside of their")
  assert said.endswith(f"train.csv, row 3: {tmp_path / 'source/images/1.png'}")


def test_boxes_that_are_none_are_counted(tmp_path):
  content = mini.content()
  for row, bbox in zip(content["annotations"], ([5, 5, -9, 3], [9, 9, 99, 99]), strict=False):
    row["bbox"] = bbox
  mini.write(tmp_path / "source", {"train": content, "val": mini.content()})
  said = "\n".join(prepare(COCO, tmp_path)[1])
  ids = [row["id"] for row in content["annotations"]]
  assert f"are narrower or lower than a pixel and are not learnt from: {ids[0]}" in said
  assert "as if x, y, width and height were corners" in said


def test_polygons_beside_the_image_are_counted(tmp_path):
  content = mini.content()
  with_polygons = [x for x in content["annotations"] if isinstance(x["segmentation"], list)]
  beside, partly = [x for x in with_polygons if not x.get("iscrowd")][:2]
  beside["segmentation"] = [[-20, 1, -10, 1, -10, 9], [1, -9, 9, -9, 9, -2]]
  partly["segmentation"] = [*partly["segmentation"], [-20, 1, -10, 1, -10, 9]]
  mini.write(tmp_path / "source", {"train": content, "val": mini.content()})
  dataset, said = prepare(COCO, tmp_path)
  (told,) = [text for text in said if "polygons outside of their images" in text]
  assert told.endswith(f"not learnt from: {beside['id']}")
  train, val = (
    {i for x in dataset.source(split) for i in x["ids"][x["ignored"]].tolist()}
    for split in ("train", "val")
  )
  assert train - val == {beside["id"]}


def test_annotations_of_other_names_are_named(tmp_path):
  (tmp_path / "source/annotations").mkdir(parents=True)
  for split in ("train", "val"):
    path = tmp_path / f"source/annotations/{split}.json"
    path.write_text(json.dumps(mini.content()))
  with pytest.raises(FileNotFoundError, match=r"but 2 other JSON files, such as train\.json"):
    prepare(COCO, tmp_path)


def labelled(tmp_path, image_folder, label_folder):
  source = tmp_path / "source"
  photo(source / f"images/{image_folder}/0.png", len(image_folder))
  (source / f"labels/{label_folder}").mkdir(parents=True)
  (source / f"labels/{label_folder}/0.png").write_bytes(images.encode_png(np.eye(6, 8, dtype="u1")))
  (source / "classes.txt").write_text("a\nb\n")
  return source


def test_folders_of_labels_may_be_called_otherwise(tmp_path):
  labelled(tmp_path, "train", "Training")
  labelled(tmp_path, "val", "validation")
  dataset, said = prepare(SEGMENTATION, tmp_path)
  assert (dataset.splits(), said) == ({"train": 1, "val": 1}, [])


def test_a_label_for_a_photo_before_it_is_turned(tmp_path):
  labelled(tmp_path, "train", "train")
  source = labelled(tmp_path, "val", "val")
  turned, data = Image.Exif(), io.BytesIO()
  turned[ORIENTATION] = 6
  Image.open(source / "images/val/0.png").save(data, "jpeg", exif=turned)
  (source / "images/val/0.png").unlink()
  (source / "images/val/0.jpg").write_bytes(data.getvalue())
  with pytest.raises(UserError, match=r"as is .*0\.jpg before it is turned .*\(EXIF\)"):
    prepare(SEGMENTATION, tmp_path)


def mark(path, orientation):
  """Makes a photo a JPEG that is marked to be turned."""
  exif, data = Image.Exif(), io.BytesIO()
  exif[ORIENTATION] = orientation
  Image.open(path).save(data, "jpeg", exif=exif)
  path.unlink()
  path.with_suffix(".jpg").write_bytes(data.getvalue())


@pytest.mark.parametrize(("orientation", "told"), [(1, 0), (2, 1), (3, 1), (4, 1)])
def test_photos_that_are_turned_while_their_size_stays(tmp_path, orientation, told):
  labelled(tmp_path, "train", "train")
  source = labelled(tmp_path, "val", "val")
  mark(source / "images/val/0.png", orientation)
  said = prepare(SEGMENTATION, tmp_path)[1]
  assert len(said) == told
  for text in said:
    assert text.startswith("1 photo is turned or mirrored as marked by the camera (EXIF)")
    assert f"such as {source / 'images/val/0.jpg'}; what is annotated counts as drawn on" in text


def test_square_photos_that_are_turned(tmp_path):
  photo(tmp_path / "a.png", 0, (6, 6))
  photo(tmp_path / "b.png", 0, (6, 8))
  for name in "ab":
    mark(tmp_path / f"{name}.png", 6)
  a, b = ((tmp_path / f"{name}.jpg").read_bytes() for name in "ab")
  assert images.is_turned_in_place(a)
  assert not images.is_turned_in_place(b)
  assert not images.is_turned_in_place(b"none")
  exif, png = Image.Exif(), io.BytesIO()
  exif[ORIENTATION] = 3
  Image.open(io.BytesIO(b)).save(png, "png", exif=exif)
  assert images.is_turned_in_place(png.getvalue())


def test_photos_that_are_turned_have_a_class_all_the_same(tmp_path):
  classes(tmp_path, "cat", "dog", folders=("train", "val"))
  mark(tmp_path / "source/val/cat/a.png", 3)
  assert prepare(CLASSIFICATION, tmp_path)[1] == []


def test_a_network_of_fewer_classes_is_said_so(capsys):
  loaded = types.SimpleNamespace(path="run/4", dataset={"class_names": ["a", "b"]})
  here = types.SimpleNamespace(name="x", class_names=("a", "b", "c"), landmark_names=())
  score._check_names(loaded, here)
  printed = capsys.readouterr()
  assert "run/4 was trained with 2 class_names, but x has 3" in printed.out + printed.err


def test_a_checkpoint_is_not_to_blame_for_an_option():
  with (
    pytest.raises(UserError, match=r"^--boxes means nothing"),
    errors.about_input("run/4: damaged", values=True),
  ):
    raise OptionError("--boxes means nothing")
