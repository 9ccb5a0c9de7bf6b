"""Lists and folders of published data sets: each bad line is refused with its number."""

import pytest

from hrnet_jax.data.reading import Reading
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs, published

SPLIT = published.SplitLayout(
  ("a.lst", "b.lst"), ("one/photos", "two/photos"), ("one/labels", "two/labels"), "_i", "_l"
)
LAYOUT = published.Layout(("root", "other"), "set", {"train": SPLIT, "val": SPLIT}, ("val",))
GOOD = "one/photos/x_i.jpg one/labels/x_l.png"


@pytest.fixture
def source(tmp_path, add_pair):
  for name in ("x", "y"):
    root = tmp_path / "root"
    add_pair(root / f"one/photos/{name}_i.jpg", root / f"one/labels/{name}_l.png")
  return tmp_path


def find(source):
  reading = Reading(source)
  found = published.find_splits(source, LAYOUT, "photos and labels", reading)
  reading.problems.require_none()
  return found


def test_folders_without_a_list(source):
  one = source / "root/one"
  (one / "labels/x_other.png").write_bytes(b"not a label")
  expected = [
    image_label_pairs.Pair(n, one / f"photos/{n}_i.jpg", one / f"labels/{n}_l.png")
    for n in ("x", "y")
  ]
  assert find(source) == {"train": expected, "val": expected}
  assert find(source / "root") == find(source)
  (source / "root/one").rename(source / "root/two")
  assert [pair.name for pair in find(source)["train"]] == ["x", "y"]


def test_folders_that_are_missing(source):
  (source / "root/one/photos").rename(source / "root/one/moved")
  with pytest.raises(FileNotFoundError, match=r"root/one/photos: no such folder; .*photos and la"):
    find(source)
  (source / "root/one/moved").rename(source / "root/one/photos")
  (source / "root/one/labels").rename(source / "root/one/moved")
  with pytest.raises(FileNotFoundError, match=r"root/one/labels: no such folder"):
    find(source)


@pytest.mark.parametrize(
  "place", ["root/a.lst", "root/b.lst", "a.lst", "list/set/a.lst", "root/list/set/b.lst"]
)
def test_lists_are_found_and_keep_their_order(place, source):
  (source / place).parent.mkdir(parents=True, exist_ok=True)
  lines = ["one/photos/y_i.jpg\tone/labels/x_l.png unused", "", f"photos/x_i.jpg {GOOD.split()[1]}"]
  (source / place).write_text("\r\n".join(lines))
  labels = source / "root/one/labels"
  photos = source / "root/one/photos"
  expected = [
    image_label_pairs.Pair("y", photos / "y_i.jpg", labels / "x_l.png"),
    image_label_pairs.Pair("x", photos / "x_i.jpg", labels / "x_l.png"),
  ]
  assert find(source)["train"] == expected


def test_list_without_labels(source):
  (source / "a.lst").write_text("one/photos/x_i.jpg one/labels/gone.png\n")
  split = published.SplitLayout(("a.lst",), ("one/photos",), image_ending="_i")
  found = published.read_list(source / "a.lst", source / "root", source, split, Reading(source))
  assert found == [image_label_pairs.Pair("x", source / "root/one/photos/x_i.jpg", None)]
  assert found[0].size == found[0].image.stat().st_size


@pytest.mark.parametrize(
  ("lines", "error", "message"),
  [
    ([GOOD, "one/photos/y_i.jpg"], ValueError, "line 2: .*; expected an image and its label"),
    ([GOOD, GOOD], ValueError, r"line 2: one/photos/x_i\.jpg is there twice"),
    (["", " "], ValueError, "the list is empty"),
    (
      [GOOD, "", "one/photos/z_i.jpg one/labels/x_l.png"],
      FileNotFoundError,
      r"line 3: no such image one/photos/z_i\.jpg in .*/root/one nor in .*; put the file there",
    ),
    (
      ["one/photos/x_i.jpg one/labels/z_l.png"],
      FileNotFoundError,
      r"line 1: no such label one/labels/z_l\.png in",
    ),
  ],
)
def test_bad_lists(lines, error, message, source):
  (source / "root/a.lst").write_text("\n".join(lines))
  with pytest.raises(error, match=rf"root/a\.lst.*{message}"):
    find(source)
