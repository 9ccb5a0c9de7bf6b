"""`prepare` tells all that is bad at once; with `--skip_bad` it is left out and listed."""

import json
import shutil

import pytest

from hrnet_jax.cli.main import main
from hrnet_jax.data import prepared
from hrnet_jax.data.dataset import read_metadata
from hrnet_jax.errors import UserError
from tests.helpers import coco_miniature as mini
from tests.helpers import face_miniatures, miniatures


def prepare(name, source, tmp_path, **options):
  return prepared.prepare(name, tmp_path / "out", source=source, **options)[0]


def refused(name, source, tmp_path):
  """The lines of the refusal."""
  with pytest.raises((UserError, FileNotFoundError)) as raised:
    prepare(name, source, tmp_path)
  return str(raised.value).split("\n")


def test_all_that_is_bad_is_told_and_left_out(camvid_folder, tmp_path):
  clean = shutil.copytree(camvid_folder, tmp_path / "clean")
  for path in ("train/b.jpg", "trainannot/b.png", "trainannot/d.png", "val/f.jpg"):
    (clean / path).unlink()
  (clean / "valannot/f.png").unlink()
  (clean / "train/d.jpg").unlink()
  (camvid_folder / "train/b.jpg").write_bytes(b"")
  (camvid_folder / "trainannot/d.png").write_bytes(b"x")
  (camvid_folder / "val/f.jpg").unlink()
  first, *rest = refused("camvid", camvid_folder, tmp_path)
  assert first == "3 photos or annotations are bad; --skip_bad leaves them out:"
  assert [line.split(": ")[0].rpartition("/")[2] for line in rest] == ["f.png", "b.jpg", "d.png"]
  assert not (tmp_path / "out/camvid").exists()

  said = []
  dataset = prepare("camvid", camvid_folder, tmp_path, skip_bad=True, say=said.append)
  assert said[-1].split("\n") == ["3 photos or annotations are left out:", *rest]
  assert dataset.left_out == tuple(line.strip() for line in rest)
  assert prepared.open_dataset("camvid", tmp_path / "out").left_out == dataset.left_out
  alike, _ = prepared.prepare("camvid", tmp_path / "other", source=clean)
  assert dataset.fingerprint == alike.fingerprint
  assert alike.left_out == ()
  assert "left_out" not in read_metadata(alike.directory)


def test_what_was_left_out_is_asked_about_again(camvid_folder, tmp_path):
  good = (camvid_folder / "train/b.jpg").read_bytes()
  (camvid_folder / "train/b.jpg").write_bytes(b"")
  place = tmp_path / "out"
  _, built = prepared.prepare("camvid", place, source=camvid_folder, skip_bad=True)
  _, again = prepared.prepare("camvid", place, source=camvid_folder, skip_bad=True)
  assert (built, again) == (True, False)
  assert "b.jpg" in refused("camvid", camvid_folder, tmp_path)[0]
  (camvid_folder / "train/b.jpg").write_bytes(good)
  dataset, built = prepared.prepare("camvid", place, source=camvid_folder)
  assert (built, dataset.left_out, dataset.splits()["train"]) == (True, (), 4)
  # A label without a photo is in no pair, and still noticed.
  shutil.copy(camvid_folder / "valannot/e.png", camvid_folder / "valannot/z.png")
  assert "z.png: this label has no image" in refused("camvid", camvid_folder, tmp_path)[0]


def test_a_split_of_which_nothing_is_left(camvid_folder, tmp_path):
  for path in (camvid_folder / "val").iterdir():
    path.write_bytes(b"")
  with pytest.raises(
    UserError, match=r"split 'val': nothing is left, because all is bad:\n .*e\.j"
  ):
    prepare("camvid", camvid_folder, tmp_path, skip_bad=True)


def test_what_contradicts_the_whole_cannot_be_skipped(tmp_path):
  source = mini.write(tmp_path / "source", {"train": mini.content(), "val": mini.content()})
  other = mini.content()
  other["categories"][0]["name"] = "cow"
  other["annotations"][0]["bbox"] = None
  (source / "annotations/instances_val.json").write_text(json.dumps(other))
  with pytest.raises(UserError, match="other categories than in"):
    prepare("coco/x", source, tmp_path, skip_bad=True)


def test_an_annotation_goes_alone_and_a_photo_with_its_annotations(tmp_path):
  bad = mini.content()
  bad["annotations"][0]["bbox"] = [1, 2, 3]  # one of several in c.jpg
  bad["annotations"][1]["segmentation"] = {"size": [1, 1], "counts": [1]}  # another
  bad["annotations"][4]["segmentation"] = [[1, 1, 2, 2, 3]]  # the only one in b.png
  bad["images"].append({"id": 50, "file_name": "gone.jpg", "height": 40, "width": 40})
  bad["annotations"].append(mini.row(50, 50, 7, [1, 1, 10, 10], area=90))
  good = mini.content()
  good["annotations"] = [good["annotations"][i] for i in (2, 3, 5)]
  source = mini.write(tmp_path / "source", {"train": good, "val": mini.content()})
  clean = prepare("coco/x", source, tmp_path)
  (source / "annotations/instances_train.json").write_text(json.dumps(bad))
  first, *rest = refused("coco/x", source, tmp_path)
  assert first.startswith("4 photos or annotations are bad")
  for line, part in zip(rest, ("gone.jpg", "annotation 5: b", "annotation 2: b", "annotation 6: b"),
                        strict=True):  # fmt: skip
    assert part in line
  dataset = prepare("coco/x", source, tmp_path, skip_bad=True)
  assert len(dataset.left_out) == 4
  assert dataset.fingerprint == clean.fingerprint
  assert dataset.subsets == clean.subsets  # b.png has nothing to learn from any more


def test_bad_polygons_do_not_matter_for_boxes(tmp_path):
  content = mini.content()
  content["annotations"][0]["segmentation"] = [[1, 1, 2, 2, 3]]
  content["annotations"][4]["segmentation"] = [[1, 1, 2, 2]]  # a line
  source = mini.write(tmp_path / "source", {"train": content, "val": mini.content()})
  assert "bad segmentation: " in refused("coco/x", source, tmp_path)[0]
  assert "for boxes alone give --no_masks" in refused("coco/x", source, tmp_path)[0]
  dataset = prepare("coco/x", source, tmp_path, no_masks=True)
  records = list(dataset.source("train"))
  assert [r["ignored"].tolist() for r in records] == [[], [False], [False, False, True, True],
                                                      [True]]  # fmt: skip
  assert {text for r in records for text in json.loads(r["masks"])} == {None}
  assert dataset.left_out == ()


def test_faces_of_a_part_go_with_their_rows(tmp_path):
  source = face_miniatures.wflw(tmp_path / "source")
  whole = prepare("wflw", source, tmp_path)
  table = source / "face_landmarks_wflw_test.csv"
  lines = table.read_text().splitlines()
  pose = whole.subsets["pose"][1]
  photo = source / "images" / lines[1 + pose[0]].split(",")[0]
  faces = [i for i, line in enumerate(lines[1:]) if line.split(",")[0] in str(photo)]
  photo.write_bytes(b"")
  assert all("Riot" in line for line in refused("wflw", source, tmp_path)[1:])
  dataset = prepare("wflw", source, tmp_path, skip_bad=True)
  assert len(dataset.left_out) == len(faces)
  assert dataset.splits()["test"] == 7 - len(faces)
  names = [whole.source("test")[i]["name"] for i in pose if i not in faces]
  assert [r["name"] for r in dataset.source("pose")] == names


def test_rows_of_a_table_and_two_faces_that_are_the_same(tmp_path):
  source = face_miniatures.landmarks_csv(tmp_path / "source")
  table = source / "train.csv"
  lines = table.read_text().splitlines()
  cells = lines[1].split(",")
  table.write_text("\n".join([
    *lines, ",".join([cells[0], "nan", *cells[2:]]), ",".join(["gone.jpg", *cells[1:]]),
    ",".join(cells[:-1]), lines[1],
  ]))  # fmt: skip
  first, *rest = refused("landmarks_csv/x", source, tmp_path)
  assert first.startswith("4 photos")
  assert [line.split("train.csv, row ")[1].split(":")[0] for line in rest] == ["11", "13", "12",
                                                                               "14"]  # fmt: skip
  dataset = prepare("landmarks_csv/x", source, tmp_path, skip_bad=True)
  assert dataset.splits()["train"] == 9
  assert len(dataset.left_out) == 4


def test_lists_of_published_data_sets(tmp_path):
  source = miniatures.lip(tmp_path / "source")
  root = source / "lip"
  photos = sorted((root / "TrainVal_images/train_images").iterdir())
  entries = [f"train_images/{x.name} train_segmentations/{x.stem}.png" for x in photos]
  (root / "trainList.txt").write_text(
    "\n".join([entries[0], "train_images/gone.jpg a.png", "alone"])
  )
  first, *rest = refused("lip", source, tmp_path)
  assert first.startswith("2 photos")
  assert ["line 2" in rest[0], "line 3" in rest[1]] == [True, True]
  said = []
  dataset = prepare("lip", source, tmp_path, skip_bad=True, say=said.append)
  assert dataset.splits()["train"] == 1
  left = len(photos) - 1
  assert any(f"{left} of {len(photos)} images are left out, such as" in x for x in said)


def test_the_command_lists_and_counts(camvid_folder, tmp_path, capsys):
  (camvid_folder / "train/b.jpg").write_bytes(b"")
  command = ["prepare", "--dataset=camvid", f"--source={camvid_folder}",
             f"--data_dir={tmp_path / 'out'}"]  # fmt: skip
  assert main(command) == 1
  assert capsys.readouterr().err.endswith("; --skip_bad leaves it out\n")
  assert main([*command, "--skip_bad"]) == 0
  out, err = capsys.readouterr()
  assert f"note: 1 photos or annotations are left out:\n  {camvid_folder}/train/b.jpg: " in err
  assert "  1 photos or annotations were bad and left out; " in out
  assert main([*command, "--no_masks"]) == 1
  assert "--no_masks means nothing to data set 'camvid'" in capsys.readouterr().err
