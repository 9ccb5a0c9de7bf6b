"""Data sets by name: order, fingerprints, rebuilding, interruption, races and plain errors."""

import hashlib
import json
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from hrnet_jax.data import prepared, storage
from hrnet_jax.data.datasets import base, shapes

ROOT = pathlib.Path(__file__).parents[2]
SLOW_BUILD = """
import sys, time
from hrnet_jax.data import prepared
from hrnet_jax.data.datasets import shapes
shapes.SPLIT_SIZES = {"train": 6, "val": 2}
data_dir, seconds = sys.argv[1], float(sys.argv[2])

def progress(split, done, total):
  print(split, done, flush=True)
  time.sleep(seconds)

dataset, built = prepared.prepare("shapes", data_dir, progress=progress)
print("built" if built else "found", dataset.fingerprint)
"""


@pytest.fixture
def few_shapes(monkeypatch):
  monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 6, "val": 2})


def start(tmp_path, seconds, script=SLOW_BUILD):
  return subprocess.Popen(
    [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(seconds)],
    stdout=subprocess.PIPE,
    cwd=ROOT,
    stderr=subprocess.PIPE,
    text=True,
  )


def test_unknown_names_list_the_known_ones(tmp_path):
  known = "known: ade20k, .*camvid, cityscapes, .*imagenet2012, .*shapes"
  with pytest.raises(ValueError, match=f"unknown data set 'camvit'; {known}"):
    prepared.open_dataset("camvit", tmp_path)
  with pytest.raises(ValueError, match="'camvid' has no variants, got 'camvid/x'"):
    prepared.open_dataset("camvid/x", tmp_path)
  with pytest.raises(ValueError, match="letters, digits"):
    prepared.open_dataset("image_folder_segmentation/../x", tmp_path)


def test_not_prepared_gives_the_command(tmp_path):
  command = f"hrnet prepare --dataset=camvid --source=FOLDER --data_dir={tmp_path}"
  with pytest.raises(FileNotFoundError, match=re.escape(command)):
    prepared.open_dataset("camvid", tmp_path)
  assert not list(tmp_path.iterdir())  # asking leaves no trace


def test_unknown_split_lists_the_known_ones(camvid_folder, tmp_path):
  dataset, _ = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  for ask in (dataset.source, dataset.max_size, dataset.uniform_size):
    with pytest.raises(ValueError, match="has no split 'tset'; known: train, val"):
      ask("tset")


def test_source_is_needed_or_refused(tmp_path):
  with pytest.raises(ValueError, match=r"'camvid' needs --source=FOLDER, .*trainannot/"):
    prepared.prepare("camvid", tmp_path)
  with pytest.raises(FileNotFoundError, match="gone: no such folder"):
    prepared.prepare("camvid", tmp_path, source=tmp_path / "gone")
  with pytest.raises(ValueError, match="built in and takes no source"):
    prepared.prepare("shapes", tmp_path, source=tmp_path)


def test_folder_from_the_environment(camvid_folder, tmp_path, monkeypatch):
  monkeypatch.setenv("HRNET_JAX_DATA", str(tmp_path / "env"))
  prepared.prepare("camvid", source=camvid_folder)
  assert prepared.open_dataset("camvid").directory.parent == tmp_path / "env/camvid/1.0.0"
  monkeypatch.delenv("HRNET_JAX_DATA")
  monkeypatch.setenv("HOME", str(tmp_path))
  want = tmp_path / ".cache/hrnet_jax/datasets"
  assert storage.resolve_data_dir(None) == want


def test_sources_can_be_pickled_before_and_after_reading(camvid_folder, tmp_path):
  dataset, _ = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  source = dataset.source("train")
  copies = [pickle.loads(pickle.dumps(source))]
  first = source[np.int64(0)]
  copies.append(pickle.loads(pickle.dumps(source)))
  for copy in copies:
    assert len(copy) == 4
    assert copy[0] == first
    assert repr(copy) == repr(source)
  with pytest.raises(IndexError, match="record 4 of 4"):
    source[4]
  with pytest.raises(IndexError):
    source[-1]


def test_order_and_fingerprint_do_not_depend_on_threads(camvid_folder, tmp_path, add_pair):
  for index in range(40):
    name = f"{index:03}"
    add_pair(camvid_folder / f"val/{name}.png", camvid_folder / f"valannot/{name}.png", index)
  prints = set()
  for workers in (1, 7):
    dataset, _ = prepared.prepare(
      "camvid", tmp_path / str(workers), source=camvid_folder, workers=workers
    )
    names = [record["name"] for record in dataset.source("val")]
    assert names == [*(f"{index:03}" for index in range(40)), "e", "f"]
    prints.add(dataset.fingerprint)
  assert len(prints) == 1


def test_order_over_several_shards(camvid_folder, tmp_path, monkeypatch):
  one, _ = prepared.prepare("camvid", tmp_path / "one", source=camvid_folder)
  pair = (camvid_folder / "train/a.jpg", camvid_folder / "trainannot/a.png")
  monkeypatch.setattr(base, "_SHARD_BYTES", 2.5 * sum(path.stat().st_size for path in pair))
  many, _ = prepared.prepare("camvid", tmp_path / "many", source=camvid_folder)
  assert len(list(one.directory.glob("*train*"))) == 1
  assert len(list(many.directory.glob("*train*"))) == 2
  assert [record["name"] for record in many.source("train")] == ["a", "b", "c", "d"]
  assert many.fingerprint == one.fingerprint
  assert many.statistics == one.statistics


def test_prepared_again_only_when_something_changed(camvid_folder, tmp_path):
  out = tmp_path / "out"
  first, built = prepared.prepare("camvid", out, source=camvid_folder)
  assert built
  again, built = prepared.prepare("camvid", out, source=camvid_folder)
  assert (again, built) == (first, False)
  assert prepared.prepare("camvid", out) == (first, False)  # nothing to compare with
  forced, built = prepared.prepare("camvid", out, source=camvid_folder, overwrite=True)
  assert (forced.fingerprint, built) == (first.fingerprint, True)
  (camvid_folder / "train/a.jpg").unlink()
  (camvid_folder / "trainannot/a.png").unlink()
  changed, built = prepared.prepare("camvid", out, source=camvid_folder)
  assert built
  assert changed.splits() == {"train": 3, "val": 2}
  assert [record["name"] for record in changed.source("train")] == ["b", "c", "d"]


def test_source_opened_before_a_rebuild_is_read_to_its_end(camvid_folder, tmp_path):
  before = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)[0]
  photos = [path.read_bytes() for path in sorted((camvid_folder / "train").iterdir())]
  (camvid_folder / "train/a.jpg").write_bytes(photos[1])
  after, built = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert built
  assert after.content != before.content
  assert [record["image"] for record in before.source("train")] == photos
  assert [record["image"] for record in after.source("train")] == [photos[1], *photos[1:]]


def test_touched_source_is_read_again_but_stored_once(camvid_folder, tmp_path):
  before = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)[0]
  os.utime(camvid_folder / "train/a.jpg", (0, 0))
  after, built = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert built
  assert after == before
  assert prepared.older("camvid", tmp_path / "out") == {}
  assert prepared.prepare("camvid", tmp_path / "out", source=camvid_folder) == (before, False)
  elsewhere = prepared.prepare("camvid", tmp_path / "elsewhere", source=camvid_folder)[0]
  assert elsewhere.content == before.content


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.usefixtures("interruptible")
def test_interrupted_build_leaves_nothing_and_can_be_repeated(number, tmp_path, few_shapes):
  process = start(tmp_path, 0.2)
  assert process.stdout.readline() == "train 1\n"
  process.send_signal(number)
  process.communicate(timeout=60)
  assert process.returncode != 0
  assert not (tmp_path / "shapes/1.0.0").exists()
  dataset = prepared.open_dataset("shapes", tmp_path)
  assert dataset.splits() == {"train": 6, "val": 2}
  assert not (tmp_path / ".staging/shapes").exists()


def test_interrupted_overwrite_keeps_the_older_data_set(tmp_path, few_shapes):
  before = prepared.open_dataset("shapes", tmp_path)
  script = SLOW_BUILD.replace('"shapes", data_dir', '"shapes", data_dir, overwrite=True')
  process = start(tmp_path, 0.2, script)
  process.stdout.readline()
  process.kill()
  process.communicate(timeout=60)
  assert prepared.open_dataset("shapes", tmp_path) == before
  assert len(list(before.source("train"))) == 6


def as_earlier_versions(directory):
  """Moves a data set to where earlier versions had it, with their checksums."""
  (directory.parent / "current.json").unlink()
  facts = ("dataset_info.json", "features.json", "metadata.json")
  sums = {x: hashlib.sha256((directory / x).read_bytes()).hexdigest() for x in facts}
  (directory / "checksums.json").write_text(json.dumps(sums))
  for path in directory.iterdir():
    path.rename(directory.parent / path.name)
  directory.rmdir()
  return directory.parent


def test_data_set_of_an_earlier_version_is_read_and_kept(camvid_folder, tmp_path):
  options = {"data_dir": tmp_path / "out", "source": camvid_folder}
  new = prepared.prepare("camvid", **options)[0]
  records = list(new.source("train"))
  folder = as_earlier_versions(new.directory)
  signature = json.loads((folder / "metadata.json").read_text())
  assert "signature" not in signature
  old = prepared.open_dataset("camvid", tmp_path / "out")
  assert (old.directory, old.fingerprint) == (folder, new.fingerprint)
  assert len(old.content) == 64
  assert list(old.source("train")) == records
  opened = pickle.loads(pickle.dumps(old.source("train")))
  again, built = prepared.prepare("camvid", **options, overwrite=True)
  assert (again, built) == (new, True)
  assert list(opened) == records
  assert len(prepared.remove_older("camvid", tmp_path / "out")) == 6
  assert list(again.source("train")) == records


def test_earlier_versions_kept_the_signature_with_the_facts(camvid_folder, tmp_path):
  options = {"data_dir": tmp_path / "out", "source": camvid_folder}
  folder = prepared.prepare("camvid", **options)[0].directory
  pointer = json.loads((folder.parent / "current.json").read_text())
  folder = as_earlier_versions(folder)
  metadata = json.loads((folder / "metadata.json").read_text())
  (folder / "metadata.json").write_text(json.dumps(metadata | {"signature": pointer["signature"]}))
  (folder / "checksums.json").unlink()
  dataset, built = prepared.prepare("camvid", **options)
  assert (dataset.directory, built) == (folder, False)


def test_cut_between_the_two_renames_of_an_earlier_version(tmp_path, few_shapes):
  folder = as_earlier_versions(prepared.open_dataset("shapes", tmp_path).directory)
  before = prepared.open_dataset("shapes", tmp_path)
  previous = tmp_path / ".staging/shapes/previous"
  previous.parent.mkdir()
  os.rename(folder, previous)
  assert prepared.open_dataset("shapes", tmp_path) == before
  assert not previous.exists()


def test_racing_processes_build_once(tmp_path):
  racers = [start(tmp_path, 0.05) for _ in range(2)]
  outputs = [racer.communicate(timeout=120) for racer in racers]
  assert [racer.returncode for racer in racers] == [0, 0], outputs
  last = [output.splitlines()[-1].split() for output, _ in outputs]
  assert sorted(word for word, _ in last) == ["built", "found"]
  assert last[0][1] == last[1][1]


def test_waiting_is_announced(tmp_path):
  with storage.Place(tmp_path, "shapes", "1.0.0").lock():
    process = start(tmp_path, 0)
    assert "another process is preparing it" in process.stderr.readline()
    assert process.poll() is None
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 0, errors


def test_no_tensorflow_and_nothing_in_the_home(tmp_path, few_shapes):
  script = """
  import sys
  from hrnet_jax.data import prepared
  from hrnet_jax.data.datasets import shapes
  shapes.SPLIT_SIZES = {"train": 6, "val": 2}
  prepared.open_dataset("shapes", sys.argv[1]).source("val")[0]
  assert not {"tensorflow", "torch"} & set(sys.modules)
  """
  command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), str(tmp_path / "out")]
  (tmp_path / "home").mkdir()
  environment = os.environ | {"HOME": str(tmp_path / "home")}
  done = subprocess.run(
    command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert (done.returncode, done.stdout) == (0, "")
  assert done.stderr == "preparing the built-in data set shapes (once)\n"
  assert not list((tmp_path / "home").iterdir())
  # Every process has another order of hashes, and stores the same bytes.
  found = prepared.open_dataset("shapes", tmp_path / "out")
  assert prepared.open_dataset("shapes", tmp_path / "here").content == found.content
