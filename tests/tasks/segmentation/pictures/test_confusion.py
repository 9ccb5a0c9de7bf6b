"""Confusion matrices: colours and places of cells, the order of errors, what is refused."""

import numpy as np
import pytest

from hrnet_jax.tasks.segmentation.pictures.confusion import confusion_matrix, largest_confusions
from hrnet_jax.visualize.palette import FAINT, MUTED
from tests.visualize.samples import count, has

DARK_BLUE, DARK_ORANGE = (8, 48, 107), (140, 45, 4)


def corner(picture: np.ndarray) -> tuple[int, int]:
  """Row and column of the upper left corner of the frame around the cells."""
  frame = (picture == MUTED).all(-1)
  row = int(np.argmax(frame.sum(1) > 100))
  return row, int(np.argmax(frame[row]))


def test_what_is_right_is_blue_and_what_is_wrong_orange():
  picture = confusion_matrix(np.array([[5, 0], [9, 0]]), ["a", "b"])
  top, left = corner(picture)
  at = [[tuple(picture[top + 64 * i + 5, left + 64 * j + 5]) for j in (0, 1)] for i in (0, 1)]
  assert at == [[DARK_BLUE, (255, 255, 255)], [DARK_ORANGE, (255, 255, 255)]]


def test_rows_are_shares_on_a_scale_of_roots():
  small, large = (
    confusion_matrix(n * np.array([[91, 9], [25, 75]]), ["a", "b"]) for n in (1, 1000)
  )
  np.testing.assert_array_equal(small, large)
  top, left = corner(small)
  # sqrt(0.25) = 0.5: half way between the second and the third of four colours
  want = np.mean([(253, 208, 162), (241, 105, 19)], axis=0)
  assert np.abs(small[top + 64 + 5, left + 5] - want).max() <= 0.5


def test_a_class_that_never_occurs_has_a_grey_row():
  picture = confusion_matrix(np.array([[3, 1], [0, 0]]), ["a", "b"])
  top, left = corner(picture)
  assert (picture[top + 66 : top + 126, left + 2 : left + 126] == FAINT).all()


@pytest.mark.parametrize("classes", [1, 2, 19, 60, 171, 1000])
def test_every_class_has_a_square_cell(classes):
  picture = confusion_matrix(np.eye(classes), [f"class {k}" for k in range(classes)])
  assert picture.dtype == np.uint8
  assert max(picture.shape) < 2800
  blue = (picture == DARK_BLUE).all(-1)
  top, left = corner(picture)
  cell = min(64, max(12, 1200 // classes)) if classes <= 200 else 2
  cells = blue[top : top + classes * cell, left : left + classes * cell]
  diagonal = cells.reshape(classes, cell, classes, cell).any((1, 3))
  np.testing.assert_array_equal(diagonal[1:, 1:], np.eye(classes, dtype=bool)[1:, 1:])


def test_numbers_are_where_they_fit():
  """White digits stand on dark cells of a small matrix, and on none of a large one."""
  for classes, written in ((19, True), (60, False)):
    picture = confusion_matrix(np.eye(classes), ["x"] * classes)
    cell = 1200 // classes
    top, left = corner(picture)
    middle = picture[top + 5 * cell + 3 : top + 6 * cell - 3, left + 5 * cell + 3 :][:, : cell - 6]
    assert has(middle, (255, 255, 255)) == written


def test_largest_confusions_are_shares_of_the_errors():
  matrix = np.array([[50, 3, 0], [6, 9, 0], [1, 0, 4]])
  assert largest_confusions(matrix, 2) == [(1, 0, 0.6), (0, 1, 0.3)]
  assert [cell[:2] for cell in largest_confusions(matrix, 9)] == [(1, 0), (0, 1), (2, 0)]
  assert largest_confusions(np.eye(3), 9) == []


def test_long_names_are_cut():
  short, long = (confusion_matrix(np.eye(3), [n, "b", "c"]) for n in ("w" * 12, "w" * 400))
  assert long.shape[1] < short.shape[1] + 200
  assert count(long, DARK_BLUE) == count(short, DARK_BLUE)


@pytest.mark.parametrize(
  ("matrix", "names", "message"),
  [
    (np.zeros((2, 3)), ["a", "b"], r"shape \(K, K\), got \(2, 3\)"),
    (np.zeros((0, 0)), [], r"shape \(K, K\), got \(0, 0\)"),
    (np.zeros((2, 2)), ["a"], "1 class names for a matrix of 2 classes"),
    (np.array([[1, 2], [-1, 2]]), ["a", "b"], r"row 1, column 0 is -1\.0, expected a count"),
    (np.array([[1, np.nan], [1, 2]]), ["a", "b"], "row 0, column 1 is nan"),
  ],
)
def test_says_what_is_wrong(matrix, names, message):
  with pytest.raises(ValueError, match=message):
    confusion_matrix(matrix, names)
