"""Files of folders: what is taken, passed over, counted and refused."""

import os
import pathlib
import unicodedata

import pytest

from hrnet_jax.data import regular_files
from hrnet_jax.errors import UserError


def touch(folder: pathlib.Path, *names: str) -> None:
  for name in names:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_photos_of_all_suffixes_in_deep_folders_and_behind_links(tmp_path):
  touch(tmp_path / "there", "deep/er/e.webp")
  touch(tmp_path / "a", "1.JPG", "b/2.tiff", "b/c/3.bmp")
  (tmp_path / "a/link").symlink_to(tmp_path / "there", target_is_directory=True)
  (tmp_path / "a/4.png").symlink_to(tmp_path / "a/1.JPG")
  found = regular_files.list_files(tmp_path / "a", regular_files.IMAGE_SUFFIXES)
  assert list(found.files) == ["1", "4", "b/2", "b/c/3", "link/deep/er/e"]
  assert not found.left_out


def test_what_systems_leave_is_passed_over_and_the_rest_is_counted(tmp_path):
  touch(tmp_path, "a.jpg", "Thumbs.db", "desktop.ini", ".DS_Store", "._a.jpg", "__MACOSX/a.jpg")
  touch(tmp_path, ".git/b.jpg", "c.heic", "d.heic", "e.txt", "README")
  os.mkfifo(tmp_path / "f.jpg")
  (tmp_path / "g.jpg").symlink_to("nowhere")
  found = regular_files.list_files(tmp_path, (".jpg",))
  assert list(found.files) == ["a"]
  counts = {".heic": 2, ".txt": 1, "broken link": 1, "pipe": 1, "without suffix": 1}
  assert found.left_out == counts
  text = regular_files.describe_left_out(tmp_path, found.left_out, "photos are read")
  assert text.startswith(f"{tmp_path}: 6 files are left out (2 .heic, 1 .txt, 1 broken link")
  assert not regular_files.describe_left_out(tmp_path, {}, "")


def test_names_are_compared_in_one_form(tmp_path):
  name = unicodedata.normalize("NFD", "Bär")
  touch(tmp_path, f"{name}.jpg")
  assert list(regular_files.list_files(tmp_path, (".jpg",)).files) == ["Bär"]
  touch(tmp_path, "a.jpg", "a.jpeg")
  with pytest.raises(UserError, match=r"a\.jpg: has the same name as .*a\.jpeg; keep one"):
    regular_files.list_files(tmp_path, (".jpg", ".jpeg"))


def test_a_folder_that_contains_itself_is_named(tmp_path):
  touch(tmp_path, "a/b.jpg")
  (tmp_path / "a/again").symlink_to(tmp_path, target_is_directory=True)
  with pytest.raises(UserError, match=r"again: a link to a folder that it lies in; remove it"):
    regular_files.list_files(tmp_path, (".jpg",))


def test_reading_never_waits(tmp_path):
  os.mkfifo(tmp_path / "pipe")
  with pytest.raises(UserError, match=r"pipe: pipe, expected an ordinary file"):
    regular_files.read_regular(tmp_path / "pipe")
  with pytest.raises(UserError, match="/dev/zero: device, expected"):
    regular_files.read_regular(pathlib.Path("/dev/zero"))
  with pytest.raises(FileNotFoundError, match=r"gone: cannot be read \(No such file"):
    regular_files.read_regular(tmp_path / "gone")
  touch(tmp_path, "large")
  with pytest.raises(UserError, match="large: 1 bytes, expected at most 0"):
    regular_files.read_regular(tmp_path / "large", most_bytes=0)


@pytest.mark.parametrize(
  "name", ["../x.png", "a/../../x.png", "/etc/passwd", "C:\\x.png", "..\\x.png"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
  touch(tmp_path, "x.png")
  (tmp_path / "in").mkdir()
  with pytest.raises(UserError, match=r"row 3: .*leads out of the source folder; names count from"):
    regular_files.find_named([tmp_path / "in"], name, "row 3", tmp_path)


def test_names_of_other_systems_are_found(tmp_path):
  touch(tmp_path, "sub/0.jpg", unicodedata.normalize("NFD", "ä.jpg"))
  places = [tmp_path / "nowhere", tmp_path]
  assert regular_files.find_named(places, "sub\\0.jpg", "", tmp_path) == tmp_path / "sub/0.jpg"
  assert regular_files.find_named(places, "ä.jpg", "", tmp_path) is not None
  assert regular_files.find_named(places, "b.jpg", "", tmp_path) is None
  assert regular_files.find_named(places, "b" * 300, "", tmp_path) is None
