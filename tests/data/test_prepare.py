"""The command: status, messages, summary, and where it can be interrupted."""

import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

from absl import flags
import numpy as np
import pytest

from hrnet_jax.cli.main import main
from hrnet_jax.data import images, prepare, prepared
from tests.helpers import miniatures

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path):
  """Twelve random photos, of which a tenth becomes `val`."""
  folder = tmp_path / "source"
  rng = np.random.default_rng(0)
  for kind in ("images", "labels"):
    (folder / kind).mkdir(parents=True)
  for index in range(12):
    photo = rng.integers(0, 256, (10, 20, 3)).astype(np.uint8)
    label = np.zeros((10, 20), np.uint8)
    label[:5], label[:, :2] = 1, 255
    (folder / f"images/{index}.png").write_bytes(images.encode_png(photo))
    (folder / f"labels/{index}.png").write_bytes(images.encode_png(label))
  (folder / "classes.txt").write_text("road\nsky\n")
  return folder


def run(*arguments):
  return main(["prepare", *map(str, arguments)])


def own(source, tmp_path, *more):
  name = "image_folder_segmentation/mine"
  return run(f"--dataset={name}", f"--source={source}", f"--data_dir={tmp_path / 'out'}", *more)


def test_summary_and_what_comes_next(source, tmp_path, capsys):
  assert own(source, tmp_path) == 0
  out, err = capsys.readouterr()
  splits = prepared.open_dataset("image_folder_segmentation/mine", tmp_path / "out").splits()
  assert f"  train {splits['train']:>8} images, 20x10\n" in out
  assert re.search(r"fingerprint [0-9a-f]{64}\n", out)
  assert re.search(r"road +45\.00% +45\.00%\n +sky +45\.00% +45\.00%\n +\(ignored\) +10\.00%", out)
  folder = r"image_folder_segmentation/mine/1\.0\.0/[0-9a-f]{16}"
  assert re.search(rf"prepared in \d+\.\d s: .*/{folder}\n", out)
  assert "--config.data.name=image_folder_segmentation/mine --config.data.data_dir=" in out
  assert err == f"train {splits['train']}/{splits['train']}\nval {splits['val']}/{splits['val']}\n"


def test_summary_of_classes_of_images(source, tmp_path, capsys):
  folder = tmp_path / "classes"
  for index, path in enumerate(sorted((source / "images").iterdir())):
    target = folder / ("train" if index % 3 else "val") / ("ab"[index % 2]) / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
  name = "image_folder_classification/mine"
  arguments = [f"--dataset={name}", f"--source={folder}", f"--data_dir={tmp_path / 'out'}"]
  assert run(*arguments) == 0
  out = capsys.readouterr().out
  assert re.search(r"share of images +train +val\n +a +50\.00% +50\.00%\n +b +50\.00% ", out)
  assert "ignored" not in out


def test_second_run_says_that_it_is_there(source, tmp_path, capsys):
  own(source, tmp_path)
  capsys.readouterr()
  assert own(source, tmp_path) == 0
  out, err = capsys.readouterr()
  assert "already prepared: " in out
  assert err == ""
  assert own(source, tmp_path, "--overwrite") == 0
  assert "\nprepared in" in capsys.readouterr().out


def test_error_is_one_line_and_a_status(source, tmp_path, capsys):
  path = source / "images/3.png"
  path.write_bytes(path.read_bytes()[:50])
  assert own(source, tmp_path) == 1
  out, err = capsys.readouterr()
  assert out == ""
  assert re.fullmatch(rf"hrnet prepare: {re.escape(str(path))}: corrupt or truncated.*\n", err)
  assert not (tmp_path / "out/image_folder_segmentation").exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--dataset=camvit"], "unknown data set 'camvit'; known: ade20k, "),
    (["--dataset=camvid"], "'camvid' needs --source=FOLDER, where FOLDER holds train/"),
    (["--dataset=camvid", "--source=/gone"], "/gone: no such folder"),
  ],
)
def test_wrong_arguments(arguments, message, tmp_path, capsys):
  assert run(*arguments, f"--data_dir={tmp_path}") == 1
  assert message in capsys.readouterr().err


def test_left_over_arguments_are_refused(capsys):
  with pytest.raises(SystemExit, match="2"):
    run("--dataset=camvid", "camvid")
  assert "unrecognized argument: camvid" in capsys.readouterr().err


def test_importing_defines_no_flag():
  assert "overwrite" not in flags.FLAGS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interruptible")
def test_interrupted_command_cleans_up(number, tmp_path):
  command = [sys.executable, "-m", "hrnet_jax.prepare", "--dataset=shapes"]
  environment = os.environ | {"HRNET_JAX_DATA": str(tmp_path)}
  process = subprocess.Popen(
    [*command, "--workers=1"], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
  )
  building = tmp_path / ".staging/shapes/building"
  while not list(building.rglob("*array_record*")):
    assert process.poll() is None, process.stderr.read()
  process.send_signal(number)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 130
  assert "interrupted; nothing was changed, run it again" in errors
  assert "Traceback" not in errors
  assert [path.name for path in tmp_path.rglob("*")] == [".staging", "shapes.lock"]


def test_command_line_errors_have_no_traceback(source, tmp_path):
  (source / "labels/5.png").unlink()
  command = [sys.executable, "-m", "hrnet_jax.prepare", f"--source={source}"]
  done = subprocess.run(
    [*command, "--dataset=image_folder_segmentation", f"--data_dir={tmp_path / 'out'}"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert done.stderr.startswith(f"hrnet prepare: {source}/images/5.png: this image has no label")
  assert done.stderr.count("\n") == 1


def test_command_prepares_a_published_data_set(tmp_path):
  source = miniatures.cityscapes(tmp_path / "cityscapes")
  command = [sys.executable, "-m", "hrnet_jax.prepare", "--dataset=cityscapes"]
  command += [f"--source={source}", f"--data_dir={tmp_path / 'out'}"]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert "  train        4 images, 96x64\n" in done.stdout
  assert "  trainval is train and val\n" in done.stdout
  rows = re.findall(r"^  (\S.{21}) *([\d.]+)% +([\d.]+)% +([\d.]+)%$", done.stdout, re.MULTILINE)
  assert [row[0].strip() for row in rows][-2:] == ["bicycle", "(ignored)"]
  assert len(rows) == 20
  for column in (1, 2):
    assert sum(float(row[column]) for row in rows) == pytest.approx(100, abs=0.1)
  assert rows[-1][3] == "100.00"


def test_truncated_label_of_a_published_data_set(tmp_path, capsys):
  source = miniatures.cityscapes(tmp_path / "cityscapes")
  path = source / "gtFine/val/bochum/bochum_000001_000019_gtFine_labelIds.png"
  path.write_bytes(path.read_bytes()[:-60])
  assert run("--dataset=cityscapes", f"--source={source}", f"--data_dir={tmp_path / 'out'}") == 1
  assert re.match(rf"hrnet prepare: {re.escape(str(path))}: corrupt or trunc", _last(capsys))
  assert not (tmp_path / "out/cityscapes").exists()


def _last(capsys):
  return capsys.readouterr().err.splitlines()[-1]


class Terminal(io.StringIO):
  def isatty(self):
    return True


def test_bar_on_a_terminal(monkeypatch):
  monkeypatch.setattr(prepare, "_BAR_INTERVAL", 0.0)
  stream = Terminal()
  progress = prepare.ProgressLine(stream)
  for done in (1, 2):
    progress("val", done, 2)
  half = "=" * 15 + " " * 15
  assert stream.getvalue() == f"\rval   [{half}] 1/2\rval   [{'=' * 30}] 2/2\n"
  progress("val", 1, 2)
  progress.end()
  assert stream.getvalue().endswith("1/2\n")


def test_metadata_is_plain_json(source, tmp_path):
  own(source, tmp_path)
  folder = prepared.open_dataset("image_folder_segmentation/mine", tmp_path / "out").directory
  metadata = json.loads((folder / "metadata.json").read_text())
  assert metadata["class_names"] == ["road", "sky"]
  assert metadata["splits"]["train"]["max_size"] == [10, 20]


def test_what_is_left_out_and_cannot_be_learnt_is_said(source, tmp_path, capsys):
  (source / "images/notes.txt").write_text("of the camera")
  (source / "classes.txt").write_text("# names\nroad\nsky\nsea\n")
  assert own(source, tmp_path) == 0
  err = capsys.readouterr().err
  assert f"note: {source}/images: 1 file is left out (1 .txt); .jpg, .jpeg, .png, .bmp, .tif" in err
  assert f"note: {source}/classes.txt, line 1: begins with # and is passed over\n" in err
  assert "warning: train: no pixels of 'sea', so they cannot be learnt\n" in err
  for path in (source / "labels").iterdir():
    path.write_bytes(images.encode_png(np.tile(np.uint8([[0, 255]]), (10, 10))))
  assert own(source, tmp_path) == 0
  err = capsys.readouterr().err
  assert "hold 0 and 255 alone, and 255 is ignored; if it stands for 'sky', write 1 instead" in err
  for path in (source / "labels").iterdir():
    path.write_bytes(images.encode_png(np.full((10, 20), 255, np.uint8)))
  assert own(source, tmp_path) == 0
  assert re.search(r"train: nothing to learn from: all \d+ pixels are ign", capsys.readouterr().err)


def test_labels_with_an_ending(source, tmp_path, capsys):
  for path in list((source / "labels").iterdir()):
    path.rename(path.with_stem(f"{path.stem}_mask"))
  assert own(source, tmp_path) == 1
  assert "if labels are called NAME_mask, give --label_suffix=_mask\n" in capsys.readouterr().err
  assert own(source, tmp_path, "--label_suffix=_mask") == 0
  assert "sky" in capsys.readouterr().out
  assert run("--dataset=coco/x", f"--source={source}", "--label_suffix=_mask") == 1
  assert "--label_suffix means nothing to data set 'coco/x'" in capsys.readouterr().err


def test_remote_folders_are_refused(source, tmp_path, capsys):
  assert own("gs://bucket/photos", tmp_path) == 1
  assert "--source is gs://bucket/photos, but only files of this machine" in capsys.readouterr().err
