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


def test_boxes_that_are_none_are_counted(tmp_path):
  content = mini.content()
  for row, bbox in zip(content["annotations"], ([5, 5, -9, 3], [9, 9, 99, 99]), strict=False):
    row["bbox"] = bbox
  mini.write(tmp_path / "source", {"train": content, "val": mini.content()})
  said = "\n".join(prepare(COCO, tmp_path)[1])
  ids = [row["id"] for row in content["annotations"]]
  assert f"are narrower or lower than a pixel and are not learnt from: {ids[0]}" in said
  assert "as if x, y, width and height were corners" in said


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
