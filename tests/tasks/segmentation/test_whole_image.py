"""Images as they are tested, beside labels of their own size."""

import numpy as np
import pytest

from hrnet_jax.data import geometry, images
from hrnet_jax.tasks.segmentation.whole_image import WholeImage


def example(height, width, seed=0):
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
  return image, rng.integers(0, 5, (height, width)).astype(np.uint8)


def test_by_default_nothing_happens():
  image, label = example(30, 41)
  record = {"image": image, "label": images.encode_png(label), "name": "x"}
  found = WholeImage().map(record)
  np.testing.assert_array_equal(found["image"], image)
  np.testing.assert_array_equal(found["label"], label)
  assert found["content"].tolist() == [30, 41]


def test_stretched_image_and_label_of_the_original_size():
  image, label = example(30, 41)
  found = WholeImage(resize=(47, 47)).apply(image, label)
  np.testing.assert_array_equal(found["image"], geometry.resize_image(image, (47, 47)))
  np.testing.assert_array_equal(found["label"], label)
  assert found["content"].tolist() == [47, 47]


# The reference's example: 480 x 640 becomes 520 x 693, padded to 520 x 696.
@pytest.mark.parametrize(
  ("size", "content", "padded"),
  [((480, 640), (520, 693), (520, 696)), ((500, 375), (693, 520), (696, 520))],
)
def test_short_side_and_padding_with_the_mean_colour(size, content, padded):
  image, label = example(*size)
  found = WholeImage(short_side=520).apply(image, label)
  assert found["image"].shape[:2] == padded
  assert found["content"].tolist() == list(content)
  assert found["label"].shape == size
  inside = found["image"][: content[0], : content[1]]
  np.testing.assert_array_equal(inside, geometry.resize_image(image, content))
  corner = found["image"][-1, -1] if size[0] < size[1] else found["image"][-1, 0]
  assert corner.tolist() == [124, 116, 104]  # RGB; BGR (104, 116, 124) in the reference


def test_padding_can_stay_part_of_the_content():
  image, label = example(480, 640)
  found = WholeImage(short_side=520, keep_padding=True).apply(image, label)
  assert found["content"].tolist() == [520, 696]


def test_a_size_that_is_none_is_refused():
  with pytest.raises(ValueError, match=r"transform.resize is \(0, 4\)"):
    WholeImage(resize=(0, 4))
