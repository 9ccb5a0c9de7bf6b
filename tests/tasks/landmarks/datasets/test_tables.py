"""Tables: what is read, the box of landmarks, names of faces."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from hrnet_jax.data.reading import Problems
from hrnet_jax.tasks.landmarks.datasets import tables
from hrnet_jax.tasks.landmarks.datasets.tables import AnnotatedFace


def face(name, **changes):
  values = {"points": np.zeros((1, 2)), "center": np.zeros(2), "scale": 1.0, "box_size": 200.0}
  return AnnotatedFace(where="here", image_name=name, image=None, **values | changes)


def test_rows_are_counted_as_in_a_spreadsheet(tmp_path):
  path = tmp_path / "table.csv"
  path.write_text('\ufeffname, x0 ,y0\n\n"a, b.jpg",1,2.5e1\r\nc.jpg, -3 ,0\n', encoding="utf-8")
  header, rows = tables.read_table(path, "", Problems())
  assert header == tables.read_header(path, "") == ["name", "x0", "y0"]
  assert [(row.where, row.image_name) for row in rows] == [
    (f"{path}, row 3", "a, b.jpg"),
    (f"{path}, row 4", "c.jpg"),
  ]
  assert [row.numbers.tolist() for row in rows] == [[1, 25], [-3, 0]]


def test_box_of_the_samples():
  # Corners of the landmarks of `indoor_029` of 300W and of a face of WFLW, and their table's rows.
  points = np.array([[251.2, 298.4], [728.0, 700.1], [300.0, 708.9]])
  center, scale = tables.box_of_points(points)
  assert center.tolist() == [489.5, 503.5]
  assert scale == 2.385
  center, scale = tables.box_of_points(np.array([[440.0, 122.0], [525.0, 207.0]]))
  assert (center.tolist(), scale) == ([482.5, 164.5], 0.425)


@given(hnp.arrays(np.int64, (5, 2), elements=st.integers(-4000, 4000)))
def test_box_is_the_smallest_square_of_whole_pixels(eighths):
  points = eighths / 8
  center, scale = tables.box_of_points(points)
  side, extent = round(200 * scale), np.ptp(points, axis=0).max()
  assert (np.abs(points - center) <= side / 2).all()
  assert scale == side / 200
  assert extent <= side < extent + 2
  moved, same = tables.box_of_points(points + np.array([7, -3]))
  assert (moved.tolist(), same) == ((center + np.array([7, -3])).tolist(), scale)


def test_faces_are_named_after_their_images():
  named = tables.name_faces([face("a"), face("b"), face("a"), face("c")])
  assert [f.name for f in named] == ["a#0", "b", "a#1", "c"]


def test_cache_key_tells_rows_apart(tmp_path):
  path = tmp_path / "a.jpg"
  path.write_bytes(b"0123")
  first = AnnotatedFace("here", "a", path, np.zeros((1, 2)), np.zeros(2), 1.0, 200.0)
  second = AnnotatedFace("there", "a", path, np.ones((1, 2)), np.zeros(2), 1.0, 200.0)
  assert first.cache_key() != second.cache_key()
  assert first.size == 4 + 16
  path.write_bytes(b"01234")
  assert first.size == 5 + 16


@pytest.mark.parametrize("field", ["scale", "box_size"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_box_has_a_size(field, value):
  with pytest.raises(ValueError, match=f"here: {field} is {value:g}, expected a positive number"):
    face("a", **{field: value})


def test_images_are_looked_for_in_order(tmp_path):
  for place in ("first", "second"):
    (tmp_path / place).mkdir()
  places = [tmp_path / "first", tmp_path / "second"]
  (places[1] / "a.jpg").write_bytes(b"")
  assert tables.find_image(places, "a.jpg", "here", tmp_path) == places[1] / "a.jpg"
  (places[0] / "a.jpg").write_bytes(b"")
  assert tables.find_image(places, "a.jpg", "here", tmp_path) == places[0] / "a.jpg"
  with pytest.raises(FileNotFoundError, match=r"here: no image .*first/b\.jpg"):
    tables.find_image(places, "b.jpg", "here", tmp_path)
