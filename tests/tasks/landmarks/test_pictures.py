"""Facial landmarks: discs where the points are, lines between pairs, the part that is shown."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.tasks.landmarks import pictures
from hrnet_jax.tasks.landmarks.pictures import ERROR, PREDICTED, TRUE
from tests.visualize.samples import count, gray, has

BLUE = (0, 0, 255)
FACE = np.array([[20, 20], [80, 20], [50, 50], [30, 80], [70.5, 80]])


def centre(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
  """(x, y): mean of the pixels, each weighted by its closeness to black turned into `colour`."""
  weight = picture.astype(float) @ np.array(colour) / np.dot(colour, colour)
  rows, columns = np.indices(weight.shape)
  return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@settings(max_examples=30, deadline=None)
@given(x=st.floats(20, 80), y=st.floats(20, 40))
def test_a_disc_is_centred_on_its_point_to_a_fraction_of_a_pixel(x, y):
  rim = np.array([20, 22, 26])
  picture = pictures.draw_points(gray(0, 60, 100), np.array([[x, y]]), colour=BLUE)
  blue = np.where(picture[..., 2:] > rim[2], picture, 0) * [0, 0, 1]
  np.testing.assert_allclose(centre(blue, BLUE), (x, y), atol=0.12)
  assert has(pictures.draw_points(gray(0, 60, 100), np.array([[50, 30]]), colour=BLUE), BLUE)


def test_points_do_not_change_the_image_and_hide_nothing_else():
  image = gray(90, 100, 100)
  picture = pictures.draw_points(image, FACE)
  np.testing.assert_array_equal(image, gray(90, 100, 100))
  for x, y in FACE.astype(int):
    assert tuple(picture[y, x]) == PREDICTED
  assert 0.9 < (picture == 90).all(-1).mean() < 1


def test_points_that_are_missing_or_far_away_are_left_out():
  odd = np.array([[np.nan, 5], [np.inf, 5], [1e9, -1e9], [50, 50]])
  alone = pictures.draw_points(gray(90, 100, 100), odd[3:])
  picture = pictures.draw_points(gray(90, 100, 100), odd)
  assert count(picture, PREDICTED) == count(alone, PREDICTED) > 0


def test_discs_are_small_beside_the_face_and_grow_with_the_image():
  def area(side: int, face: np.ndarray) -> int:
    return count(pictures.draw_points(gray(90, side, side), face), PREDICTED)

  assert area(2000, FACE * 10) > 20 * area(200, FACE)
  assert area(2000, FACE) < 2 * area(200, FACE)


def test_errors_are_lines_from_truth_to_prediction():
  truth = FACE + np.array([0, 10])
  picture = pictures.draw_points(gray(90, 100, 100), FACE, truth=truth)
  for x, y in FACE.astype(int):
    assert tuple(picture[y + 10, x]) == TRUE
    assert np.abs(picture[y + 5, x] - np.array(ERROR)).max() < 60  # a smooth line mixes in grey
  same = pictures.draw_points(gray(90, 100, 100), FACE, truth=FACE)
  assert not has(same, ERROR)


def test_points_of_another_shape_are_refused():
  with pytest.raises(ValueError, match=r"points have the shape \(L, 2\), got \(5, 3\)"):
    pictures.draw_points(gray(0), np.zeros((5, 3)))
  with pytest.raises(ValueError, match="5 points but 4 true ones"):
    pictures.draw_points(gray(0), FACE, truth=FACE[:4])


@settings(max_examples=30, deadline=None)
@given(
  left=st.integers(0, 300),
  top=st.integers(0, 200),
  size=st.floats(0.3, 2),
  side=st.integers(80, 300),
)
def test_close_up_keeps_points_on_what_they_mark(left, top, size, side):
  """A white square around each point is around it after cutting and scaling too."""
  image, face = gray(0, 400, 500), FACE * size + [left, top]
  for x, y in np.rint(face).astype(int):
    image[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5] = 255
  inside = (face >= 0).all(1) & (face <= [499, 399]).all(1)
  close, (moved,) = pictures._close_up(image, [face], side)
  assert max(close.shape[:2]) == side
  for x, y in np.rint(moved[inside]).astype(int):
    assert close[min(y, close.shape[0] - 1), min(x, close.shape[1] - 1)].min() > 200


@pytest.mark.parametrize("size", [(128, 128), (3000, 4000), (90, 400)])
def test_panel_shows_three_tiles_and_the_key(size):
  picture = pictures.landmarks_panel(
    gray(90, *size), FACE, FACE + np.array([0, 6]), "NME 4.2 %", side=320
  )
  assert 3 * 200 < picture.shape[1] < 3.3 * 320
  assert all(count(picture, c) > 30 for c in (PREDICTED, TRUE, ERROR))
  third = picture.shape[1] // 3
  tiles = picture[: -2 * 15]
  assert not has(tiles[:, :third], PREDICTED)
  assert has(tiles[:, third : 2 * third], PREDICTED)
  assert not has(tiles[:, third : 2 * third], TRUE)


def test_panel_survives_a_truth_that_is_missing():
  nowhere = np.full((5, 2), np.nan)
  picture = pictures.landmarks_panel(gray(90, 50, 60), FACE, nowhere, "no face", side=320)
  assert not has(picture[:-40], TRUE)


def test_box_lies_on_its_sides_and_has_a_label():
  picture = pictures.face_box(gray(90, 100, 200), (20, 30, 120, 80), colour=BLUE)
  for y, x in ((30, 70), (80, 70), (50, 20), (50, 120)):
    assert tuple(picture[y, x]) == BLUE
  assert (picture[33:78, 23:118] == 90).all()
  labelled = pictures.face_box(gray(90, 100, 200), (20, 30, 120, 80), label="face", colour=BLUE)
  assert count(labelled[:30], BLUE) > count(picture[:30], BLUE) + 200


def test_label_of_a_box_at_the_border_stays_in_the_image():
  for box in ((-5, -5, 60, 60), (150, 2, 199, 50)):
    plain = pictures.face_box(gray(90, 100, 200), box, colour=BLUE)
    picture = pictures.face_box(gray(90, 100, 200), box, label="face 1", colour=BLUE)
    assert count(picture, BLUE) > count(plain, BLUE) + 300


@pytest.mark.parametrize("box", [(1, 2, 3), (5, 0, 4, 9), (0, 0, np.nan, 1)])
def test_box_out_of_order_is_refused(box):
  with pytest.raises(ValueError, match="left, top, right, bottom in pixels, got"):
    pictures.face_box(gray(0), box)
