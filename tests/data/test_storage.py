"""Places of data sets: complete or absent, whatever happened before; readers see one alone."""

import json
import pathlib

import pytest

from hrnet_jax import files
from hrnet_jax.data import contents, storage
from hrnet_jax.errors import UserError

FILES = ("dataset_info.json", "features.json", "metadata.json")
RECORDS = "mine-train.array_record-00000-of-00001"


@pytest.fixture
def place(tmp_path):
  return storage.Place(tmp_path, "builder/mine", "1.0.0")


def write(folder, text, number=storage.FORMAT):
  folder.mkdir(parents=True, exist_ok=True)
  for name in FILES:
    (folder / name).write_text(json.dumps({"text": text, "format": number}))
  (folder / RECORDS).write_text(text * 100_000)


def build(place, text, signature="s"):
  with place.lock():
    write(place.building / "builder/mine/1.0.0", text)
    place.publish(signature)
  return place.current


def read(place):
  return json.loads((place.current.folder / "metadata.json").read_text())["text"]


def test_complete_needs_all_files(place):
  assert place.current is None
  folder = build(place, "new").folder
  assert folder.parent == place.target
  (folder / "features.json").unlink()
  assert place.current is None


def test_facts_of_another_format_are_as_good_as_none(place):
  write(place.target, "old", number=storage.FORMAT - 1)
  assert place.current is None


def test_publish_replaces_keeps_the_older_and_leaves_nothing_else(place, tmp_path):
  first = build(place, "first")
  before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
  second = build(place, "second", "t")
  assert read(place) == "second"
  assert second.signature == "t"
  assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
  names = sorted(path.name for path in place.target.iterdir())
  assert names == sorted([first.folder.name, second.folder.name, "current.json"])
  assert [path.name for path in (tmp_path / ".staging").iterdir()] == ["builder+mine.lock"]


def test_same_content_is_stored_once_and_damage_is_put_right(place):
  first = build(place, "a")
  inode = (first.folder / RECORDS).stat().st_ino
  other = build(place, "b")
  assert build(place, "a", "t").folder == first.folder
  assert (first.folder / RECORDS).stat().st_ino == inode
  (first.folder / RECORDS).write_text("damaged")
  (first.folder / contents.NAME).write_text("{}")
  again = build(place, "a", "t")
  assert again.damaged() == {}
  assert sorted(place.target.glob("*/")) == sorted([first.folder, other.folder])


def test_older_ones_are_removed_by_command_alone(place):
  first, second = build(place, "first"), build(place, "second")
  assert place.older() == {first.folder: contents.size(first.folder)}
  with place.lock():
    assert list(place.remove_older()) == [first.folder]
    assert place.remove_older() == {}
  assert not first.folder.exists()
  assert place.current == second
  assert not place.building.parent.exists()


def test_what_earlier_versions_wrote_is_read_until_another_is_prepared(place):
  write(place.target, "old")
  (place.target / "notes.txt").write_text("a user's")
  assert place.current == storage.Stored(place.target)
  assert len(place.current.check()) == 64
  assert place.older() == {}
  build(place, "new")
  assert read(place) == "new"
  assert {path.name for path in place.older()} == {*FILES, RECORDS}
  assert (place.target / RECORDS).read_text() == "old" * 100_000
  with place.lock():
    place.remove_older()
  assert sorted(path.name for path in place.target.iterdir() if path.is_file()) == [
    "current.json",
    "notes.txt",
  ]
  assert read(place) == "new"


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_where_storage_fails_the_older_one_is_still_opened(place, call, monkeypatch):
  """At every rename, and at every wait for the disk, of a replacement."""
  first = build(place, "first")
  owner = pathlib.Path if call == "replace" else files.os
  real, number = getattr(owner, call), 0
  while True:
    calls = iter(range(10_000))

    def fail(*args, calls=calls, number=number):
      if next(calls) == number:
        raise OSError(28, "No space left on device")
      return real(*args)

    monkeypatch.setattr(owner, call, fail)
    try:
      build(place, "second")
    except OSError:
      monkeypatch.setattr(owner, call, real)
      current = place.current
      assert read(place) in ("first", "second")
      assert current.damaged() == {}
      assert not place.building.exists()
      number += 1
      build(place, "first")
      with place.lock():
        place.remove_older()
    else:
      break
  assert number >= 3
  monkeypatch.setattr(owner, call, real)
  assert read(place) == "second"
  assert build(place, "first") == first


def test_failure_inside_the_lock_clears_the_build(place):
  def stop():
    with place.lock():
      write(place.building / "builder/mine/1.0.0", "half")
      raise RuntimeError("stop")

  with pytest.raises(RuntimeError, match="stop"):
    stop()
  assert not place.building.exists()
  assert place.current is None


def test_left_overs_are_gone_before_the_next_build(place):
  folder = build(place, "old").folder
  write(place.building / "builder/mine/1.0.0", "half")
  files.temporary_name(place.target / "current.json").write_text("half")
  with place.lock():
    assert not place.building.exists()
  assert {x.name for x in place.target.iterdir()} == {folder.name, "current.json"}


def test_replacement_that_an_earlier_version_was_cut_in_is_undone(place):
  write(place.target, "old")
  staging = place.building.parent
  staging.mkdir(parents=True)
  place.target.rename(staging / "previous")
  assert place.interrupted
  with place.lock():
    assert read(place) == "old"
  assert not place.interrupted
  assert not staging.exists()


def test_finished_replacement_is_kept(place):
  write(place.target, "new")
  write(place.building.parent / "previous", "old")
  assert not place.interrupted
  with place.lock():
    assert read(place) == "new"
  assert not place.building.parent.exists()


@pytest.mark.parametrize(
  ("name", "change", "message"),
  [
    ("metadata.json", lambda old: old.replace(b"new", b"NEW"), "is not what was written"),
    ("features.json", lambda old: old[:-1], "is not what was written"),
    ("checksums.json", lambda old: old.replace(b'"bytes": 3', b'"bytes": 4'), "is not what was"),
    (RECORDS, lambda old: old[:-1] + b"W", "is not what was written"),
    (RECORDS, lambda old: b"N" + old[1:], "is not what was written"),
    (RECORDS, lambda old: old + b"n", "is not what was written"),
    (RECORDS, lambda old: None, "is missing"),
    ("checksums.json", lambda old: None, "is missing"),
  ],
)
def test_every_file_is_under_the_name_of_the_folder(place, name, change, message):
  stored = build(place, "new")
  assert stored.check() == stored.digest
  path = stored.folder / name
  changed = change(path.read_bytes())
  if changed is None:
    path.unlink()
  else:
    path.write_bytes(changed)
  with pytest.raises(UserError, match=f"{name}: {message}.*; prepare the data set again, with"):
    place.current.check()


def test_a_change_amid_the_records_is_found_by_reading_all(place):
  stored = build(place, "new")
  assert stored.damaged() == {}
  path = stored.folder / RECORDS
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  stored.check()
  assert contents.is_intact(path) is False
  assert contents.is_intact(stored.folder / "metadata.json") is True
  seen = []
  assert stored.damaged(lambda *numbers: seen.append(numbers)) == {
    RECORDS: "is not what was written"
  }
  assert seen[-1] == (4, 4)


def test_facts_of_an_earlier_version_that_changed_are_noticed(place):
  write(place.target, "old")
  written = {name: contents.digest(place.target / name) for name in FILES}
  (place.target / contents.NAME).write_text(json.dumps(written))
  place.current.check()
  before = place.current.check()
  (place.target / "metadata.json").write_text(json.dumps({"text": "x", "format": storage.FORMAT}))
  with pytest.raises(UserError, match=r"metadata\.json: is not what was written; prepare the data"):
    place.current.check()
  (place.target / contents.NAME).unlink()  # as still earlier versions wrote them
  assert place.current.check() != before
  assert place.current.damaged() is None


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, "\xff"])
def test_facts_that_are_none_are_prepared_anew(place, content):
  write(place.target, "old")
  (place.target / "metadata.json").write_bytes(content.encode("latin-1"))
  assert place.current is None
  build(place, "new")
  (place.target / "current.json").write_bytes(content.encode("latin-1"))
  assert place.current is None
  assert build(place, "new").check()


@pytest.mark.parametrize("name", ["../other.json", "/etc/passwd", "a/b"])
def test_a_list_that_leads_elsewhere_is_refused(place, name):
  folder = build(place, "new").folder
  listed = json.loads((folder / contents.NAME).read_text())
  (folder / contents.NAME).write_text(json.dumps({name: listed["metadata.json"]}))
  with pytest.raises(UserError, match=r"checksums\.json: damaged"):
    contents.read(folder)
