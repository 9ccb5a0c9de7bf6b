"""Colours of classes: far apart, and the same whatever their number."""

import numpy as np
import pytest

from hrnet_jax.visualize.palette import distinct_palette


def test_distinct_palette_grows_at_its_end():
  palette = distinct_palette(40)
  assert len(set(palette)) == 40
  assert distinct_palette(7) == palette[:7]
  assert distinct_palette(0) == ()


def test_distinct_palette_keeps_colours_apart():
  palette = np.array([*distinct_palette(20), (0, 0, 0), (255, 255, 255)])
  distance = np.linalg.norm(palette[:, None] - palette, axis=-1) + 999 * np.eye(22)
  assert distance.min() > 40


@pytest.mark.parametrize("n", [-1, 10**6])
def test_distinct_palette_says_what_it_can_make(n):
  with pytest.raises(ValueError, match=f"{n} colours was asked for; 0 to"):
    distinct_palette(n)
