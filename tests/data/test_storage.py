"""Places of data sets: complete or absent, whatever happened before."""

import json

import pytest

from hrnet_jax.data import storage
from hrnet_jax.errors import UserError

FILES = ("dataset_info.json", "features.json", "metadata.json")


@pytest.fixture
def place(tmp_path):
  return storage.Place(tmp_path, "builder/mine", "1.0.0")


def write(folder, text, number=storage.FORMAT):
  folder.mkdir(parents=True)
  for name in FILES:
    (folder / name).write_text(json.dumps({"text": text, "format": number}))


def read(place):
  return json.loads((place.target / "metadata.json").read_text())["text"]


def test_complete_needs_all_files(place):
  assert not place.complete
  write(place.target, "new")
  assert place.complete
  (place.target / "features.json").unlink()
  assert not place.complete


def test_facts_of_another_format_are_as_good_as_none(place):
  write(place.target, "old", number=storage.FORMAT - 1)
  assert not place.complete


def test_publish_replaces_and_leaves_nothing_behind(place, tmp_path):
  for text in ("first", "second"):
    with place.lock():
      write(place.building / "builder/mine/1.0.0", text)
      place.publish()
    assert read(place) == text
  assert [path.name for path in (tmp_path / ".staging").iterdir()] == ["builder+mine.lock"]


def test_failure_inside_the_lock_clears_the_build(place):
  def build():
    with place.lock():
      write(place.building / "builder/mine/1.0.0", "half")
      raise RuntimeError("stop")

  with pytest.raises(RuntimeError, match="stop"):
    build()
  assert not place.building.exists()
  assert not place.complete


def test_left_overs_are_gone_before_the_next_build(place):
  write(place.building / "builder/mine/1.0.0", "half")
  with place.lock():
    assert not place.building.exists()


def test_interrupted_replacement_is_undone(place):
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


def test_facts_that_changed_are_noticed(place):
  with place.lock():
    write(place.building / "builder/mine/1.0.0", "new")
    place.publish()
  place.check()
  (place.target / "metadata.json").write_text(json.dumps({"text": "NEW", "format": storage.FORMAT}))
  with pytest.raises(UserError, match=r"metadata\.json: is not what was written; prepare the data"):
    place.check()
  (place.target / "checksums.json").unlink()  # as earlier versions wrote them
  place.check()


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, "\xff"])
def test_facts_that_are_none_are_prepared_anew(place, content):
  write(place.target, "old")
  (place.target / "metadata.json").write_bytes(content.encode("latin-1"))
  assert not place.complete
