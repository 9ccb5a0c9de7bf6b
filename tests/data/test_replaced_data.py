"""Data sets that are prepared anew, damaged or removed while somebody reads them."""

import json
import pathlib
import pickle
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from hrnet_jax.cli.main import main
from hrnet_jax.data import contents, images, prepared
from hrnet_jax.data.dataset import changed_fact
from hrnet_jax.data.datasets import base
from hrnet_jax.errors import UserError

ROUNDS = 20


@pytest.fixture
def folder(tmp_path):
  """Photos of one grey; `paint` changes it."""
  folder = tmp_path / "source"
  paint(folder, 0)
  return folder


def paint(folder, grey):
  for split, names in (("train", "abcdef"), ("val", "g")):
    for name in names:
      for kind, value in (("", grey), ("annot", 0)):
        path = folder / f"{split}{kind}" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (8, 8) if kind else (8, 8, 3)
        path.write_bytes(images.encode_png(np.full(shape, value, np.uint8)))


def grey_of(record):
  return int(images.decode_image(record["image"], "")[0, 0, 0])


def prepare(folder, tmp_path, **options):
  return prepared.prepare("camvid", tmp_path / "out", source=folder, workers=2, **options)[0]


@pytest.fixture
def many_shards(monkeypatch):
  monkeypatch.setattr(base, "_SHARD_BYTES", 1)


@pytest.mark.usefixtures("many_shards")
def test_readers_see_one_content_whatever_is_prepared_meanwhile(folder, tmp_path):
  assert len(list(prepare(folder, tmp_path).directory.glob("*train*"))) == 6
  failed = []

  def replace():
    try:
      for grey in range(1, ROUNDS + 1):
        paint(folder, grey)
        prepare(folder, tmp_path)
    except Exception as error:
      failed.append(error)

  thread = threading.Thread(target=replace)
  thread.start()
  seen, across = [], 0
  while thread.is_alive():
    dataset = prepared.open_dataset("camvid", tmp_path / "out")
    source = dataset.source("train")
    greys = {grey_of(source[0])}
    for index in range(1, 6):
      time.sleep(0.02)
      source = pickle.loads(pickle.dumps(source))  # as a worker process gets it
      greys.add(grey_of(source[index]))
    seen.append(greys)
    across += prepared.open_dataset("camvid", tmp_path / "out").directory != dataset.directory
  thread.join()
  assert not failed
  assert all(len(greys) == 1 for greys in seen), seen
  assert across > 0
  assert len(prepared.older("camvid", tmp_path / "out")) == ROUNDS


def test_tfds_reads_the_folder_of_a_data_set(folder, tmp_path):
  dataset = prepare(folder, tmp_path)
  source = tfds.builder_from_directory(dataset.directory).as_data_source("train")
  assert [record["name"] for record in source] == [x.encode() for x in "abcdef"]


def test_what_is_kept_is_said_and_removed(folder, tmp_path, capsys):
  command = ["prepare", "--dataset=camvid", f"--data_dir={tmp_path / 'out'}"]
  assert main([*command, f"--source={folder}"]) == 0
  assert "kept for those" not in capsys.readouterr().out
  first = prepared.open_dataset("camvid", tmp_path / "out")
  paint(folder, 1)
  assert main([*command, f"--source={folder}"]) == 0
  out = capsys.readouterr().out
  size = sum(path.stat().st_size for path in first.directory.iterdir())
  kept = f"{first.directory} ({size / 1e6:.1f} MB)"
  assert f"kept for those who read it: {kept}; to remove it:\n" in out
  assert f"  hrnet prepare --dataset=camvid --data_dir={tmp_path / 'out'} --remove_old\n" in out
  assert main([*command, "--remove_old"]) == 0
  assert f"removed: {kept}\n" in capsys.readouterr().out
  assert not first.directory.exists()
  assert main([*command, "--remove_old"]) == 0
  assert "nothing older is kept" in capsys.readouterr().out
  with pytest.raises(UserError, match="has been removed since the data set was opened"):
    first.source("train")[0]


def damage(path: pathlib.Path) -> None:
  """Flips a bit amid the records, in the compressed bytes of the last one."""
  content = bytearray(path.read_bytes())
  at = content.rindex(b"IEND") - 20 if b"IEND" in content else 200
  content[at] ^= 1
  path.write_bytes(content)


@pytest.mark.usefixtures("many_shards")
def test_verify_names_every_damaged_file(folder, tmp_path, capsys):
  dataset = prepare(folder, tmp_path)
  command = ["prepare", "--dataset=camvid", f"--data_dir={tmp_path / 'out'}", "--verify"]
  assert main(command) == 0
  assert f"all of it is what was written: {dataset.directory}\n" in capsys.readouterr().out
  shards = sorted(dataset.directory.glob("*train*"))
  damage(shards[1])
  shards[4].unlink()
  assert main(command) == 1
  lines = capsys.readouterr().err.splitlines()
  assert lines[-2:] == [
    f"hrnet prepare: {shards[1]}: is not what was written",
    f"hrnet prepare: {shards[4]}: is missing",
  ]
  assert prepare(folder, tmp_path, overwrite=True) == dataset
  assert main(command) == 0


def test_verify_reads_the_records_of_earlier_versions(folder, tmp_path, capsys):
  content = prepare(folder, tmp_path).directory
  (content / contents.NAME).unlink()
  (content.parent / "current.json").unlink()
  for path in content.iterdir():
    path.rename(content.parent / path.name)
  command = ["prepare", "--dataset=camvid", f"--data_dir={tmp_path / 'out'}", "--verify"]
  assert main(command) == 0
  damage(shard := next(content.parent.glob("*val*")))
  assert main(command) == 1
  assert f"hrnet prepare: {shard}: record 0 of val is damaged; " in capsys.readouterr().err


@pytest.mark.usefixtures("many_shards")
def test_damaged_record_is_named(folder, tmp_path):
  dataset = prepare(folder, tmp_path)
  source = dataset.source("train")
  shard = sorted(dataset.directory.glob("*train*"))[3]
  damage(shard)
  assert grey_of(source[2]) == 0
  with pytest.raises(UserError, match=rf"{shard.name}: record 3 of train is damaged; prepare the"):
    source[3]
  assert grey_of(source[4]) == 0


def test_record_that_cannot_be_read_once_is_not_damaged(folder, tmp_path):
  source = prepare(folder, tmp_path).source("train")
  expected = source[1]

  class Hiccup:
    def __getitem__(self, index):
      raise RuntimeError("pread() failed: Input/output error [5]")

    def __len__(self):
      return 6

  source.__dict__["_records"] = Hiccup()
  assert source[1] == expected


@pytest.mark.usefixtures("many_shards")
def test_shards_or_facts_of_another_data_set_are_noticed(folder, tmp_path):
  first = prepare(folder, tmp_path)
  paint(folder, 1)
  second = prepare(folder, tmp_path)
  shards = [sorted(x.directory.glob("*train*"))[2] for x in (first, second)]
  kept = shards[1].read_bytes()
  shards[1].write_bytes(shards[0].read_bytes())
  with pytest.raises(
    UserError, match=f"{shards[1].name}: is not what was written; prepare the data"
  ):
    prepared.open_dataset("camvid", tmp_path / "out")
  shards[1].write_bytes(kept)
  metadata = json.loads((second.directory / "metadata.json").read_text())
  names = metadata["class_names"]
  metadata["class_names"] = [names[1], names[0], *names[2:]]
  (second.directory / "metadata.json").write_text(json.dumps(metadata))
  with pytest.raises(UserError, match=r"metadata\.json: is not what was written; prepare the data"):
    prepared.open_dataset("camvid", tmp_path / "out")


def test_a_fact_that_steers_a_run_and_changed_is_named(folder, tmp_path):
  facts = json.loads(json.dumps(prepare(folder, tmp_path).facts()))
  assert changed_fact(facts, facts | {"content": "x", "palette": []}) == ""
  assert changed_fact({"fingerprint": facts["fingerprint"]}, facts) == ""
  assert changed_fact(facts, facts | {"class_names": facts["class_names"][::-1]}) == "class_names"
  assert changed_fact(facts, facts | {"splits": {"train": 1}}) == "splits"


def test_content_is_among_the_facts_of_a_run(folder, tmp_path):
  dataset = prepare(folder, tmp_path)
  facts = dataset.facts()
  assert facts["content"] == dataset.content
  assert dataset.directory.name == dataset.content[:16]
  paint(folder, 1)
  other = prepare(folder, tmp_path).facts()
  assert other["content"] != facts["content"]
  assert "content" not in json.loads((dataset.directory / "metadata.json").read_text())
