"""Boxes, masks and names in pictures."""

import numpy as np
import pytest

from hrnet_jax.tasks.detection import pictures
from hrnet_jax.tasks.detection.pictures import Objects
from tests.visualize.samples import BLUE, GREEN, NAMES, PALETTE, RED, gray, has

IMAGE = gray(120, 200, 300)


def objects(boxes, classes, scores=None, masks=None):
  scores = None if scores is None else np.array(scores)
  return Objects(np.array(boxes, float).reshape(-1, 4), np.array(classes, int), scores, masks)


def test_a_box_is_drawn_at_its_edges():
  picture = pictures.draw_objects(IMAGE, objects([[50, 80, 150, 180]], [1]), PALETTE, NAMES)
  column = np.flatnonzero((picture[130] != 120).any(-1))
  assert {49, 50, 149, 150} <= set(column) <= {*range(48, 52), *range(148, 152)}
  rows = np.flatnonzero((picture[:, 120] != 120).any(-1))
  assert {79, 80, 179, 180} <= set(rows)
  assert has(picture, GREEN)  # the plate of the name
  assert (IMAGE == 120).all()


def test_masks_are_translucent():
  mask = np.zeros((200, 300), bool)
  mask[100:150, 60:140] = True
  picture = pictures.draw_objects(
    IMAGE, objects([[50, 80, 250, 190]], [0], masks=[mask]), PALETTE, NAMES
  )
  inside, outside = picture[120, 100], picture[170, 200]
  assert inside.tolist() == [156, 66, 66]  # 55 % of the photo, 45 % of the colour
  assert outside.tolist() == [120] * 3
  with pytest.raises(ValueError, match=r"a mask of size \(9, 9\) in an image of size \(200, 300\)"):
    pictures.draw_objects(
      IMAGE, objects([[1, 1, 5, 5]], [0], masks=[np.ones((9, 9))]), PALETTE, NAMES
    )


def test_the_best_lies_above():
  same = [[50, 80, 150, 180]] * 2
  for scores, above in (([0.9, 0.4], 0), ([0.4, 0.9], 2)):
    picture = pictures.draw_objects(IMAGE, objects(same, [0, 2], scores), PALETTE, NAMES)
    alone = pictures.draw_objects(IMAGE, objects(same[:1], [above], [1]), PALETTE, NAMES)
    colour, other = picture[130, 49:51].astype(int), alone[130, 49:51].astype(int)
    assert np.abs(colour - other).max() <= 60  # a thin line lets a little of the other through
    assert np.abs(picture[67, 51].astype(int) - PALETTE[above]).max() == 0


def test_boxes_may_leave_the_image():
  boxes = [[-1e9, -50, 1e9, 30], [290, -9, 310, 5], [-5, 195, 4, 260]]
  picture = pictures.draw_objects(IMAGE, objects(boxes, [0, 1, 2], [1, 1, 1]), PALETTE, NAMES)
  assert picture.shape == IMAGE.shape
  assert (picture != 120).any()


@pytest.mark.parametrize(("shape", "factor"), [((64, 48), 8), ((600, 500), 1), ((4000, 100), 0.25)])
def test_panel_at_a_size_good_to_look_at(shape, factor):
  image = gray(120, *shape)
  mask = np.zeros(shape, np.uint8)
  mask[10:30, 10:40] = 1
  truth = objects([[10, 10, 40, 30]], [1], masks=[mask])
  predicted = objects([[10, 10, 40, 30], [0, 0, 9, 9]], [2, 0], [0.3, 0.29], [mask, mask])
  picture = pictures.detections_panel(
    image, predicted, truth, PALETTE, NAMES, title="a photo", max_side=1000
  )
  assert 2 * factor * shape[1] <= picture.shape[1] <= 2 * factor * shape[1] + 100
  assert has(picture, GREEN)
  assert has(picture, BLUE)
  assert not has(picture, RED)  # below the threshold


def test_panel_of_nothing():
  nothing = objects([], [])
  picture = pictures.detections_panel(IMAGE, objects([], [], []), nothing, PALETTE, NAMES, title="")
  assert picture.shape[0] > 200


def test_wrong_objects():
  with pytest.raises(ValueError, match="2 classes for 1 boxes"):
    objects([[1, 1, 2, 2]], [0, 1])
  with pytest.raises(ValueError, match="boxes are finite"):
    objects([[1, 1, np.nan, 2]], [0])
