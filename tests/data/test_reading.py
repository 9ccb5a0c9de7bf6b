"""Problems are collected and told together; images that no annotation names are counted."""

import pytest

from hrnet_jax.data.reading import Problems, Reading
from hrnet_jax.errors import UserError


def note(problems, *errors):
  for error in errors:
    with problems.noted():
      raise error


def test_one_problem_keeps_its_own_words_and_kind():
  problems = Problems()
  problems.require_none()
  note(problems, FileNotFoundError("a.png: no label"))
  with pytest.raises(FileNotFoundError, match=r"^a\.png: no label; --skip_bad leaves it out$"):
    problems.require_none()


def test_twenty_are_shown_and_the_rest_is_counted():
  problems = Problems()
  note(problems, *(UserError(f"row {i}: bad") for i in (*range(51), 3)))
  assert len(problems) == 51  # the same row again is no other problem
  with pytest.raises(UserError) as raised:
    problems.require_none()
  lines = str(raised.value).split("\n")
  assert lines[0] == "51 photos or annotations are bad; --skip_bad leaves them out:"
  assert lines[1:] == [*(f"  row {i}: bad" for i in range(20)), "  ... and 31 more"]


def test_bugs_and_full_disks_are_not_noted():
  for error in (TypeError("x"), OSError(28, "No space left on device")):
    with pytest.raises(type(error)):
      note(Problems(), error)


def test_images_that_nothing_names(tmp_path):
  for name in ("a/0.jpg", "a/1.png", "a/deep/2.png", "a/notes.txt", "b/3.png"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"")
  said = []
  reading = Reading(tmp_path, said.append)
  folders, used = [tmp_path / "a", tmp_path / "b"], [tmp_path / "a/0.jpg", tmp_path / "b/3.png"]
  reading.say_unnamed(folders, used, "no table", deep=False)
  reading.say_unnamed(folders, used, "no table", deep=True)
  assert said == [
    f"{tmp_path}/a: 1 of 2 images are left out, such as 1.png; no table names them",
    f"{tmp_path}/a: 2 of 3 images are left out, such as 1.png; no table names them",
  ]
  (tmp_path / "a/again").symlink_to(tmp_path / "a", target_is_directory=True)
  reading.say_unnamed(folders, used, "no table", deep=True)
  assert said[2].endswith("again: a link to a folder that it lies in; remove it; images that no "
                          "table names are not counted")  # fmt: skip
