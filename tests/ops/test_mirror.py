"""Partners are an involution for every data set, and heat maps come back to where they were."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.ops.mirror import flip_back, partners
from tests.helpers import landmark_cases

PAIRS = ((0, 3), (1, 2))


@pytest.mark.parametrize("name", sorted(landmark_cases.FLIP_PAIRS))
def test_partners_of_the_data_sets(name):
  order = partners(landmark_cases.FLIP_PAIRS[name], landmark_cases.NUM_LANDMARKS[name])
  np.testing.assert_array_equal(order[order], np.arange(len(order)))
  alone = {
    "300W": [8, 27, 28, 29, 30, 33, 51, 57, 62, 66],
    "AFLW": [13, 16, 18],
    "COFW": [20, 21, 24, 25, 26, 27, 28],
    "WFLW": [16, 51, 52, 53, 54, 57, 79, 85, 90, 94],
  }
  assert np.flatnonzero(order == np.arange(len(order))).tolist() == alone[name]


def test_partners_by_hand():
  assert partners(PAIRS, 5).tolist() == [3, 2, 1, 0, 4]
  assert partners((), 2).tolist() == [0, 1]


def test_a_pair_beyond_the_points_is_an_error():
  with pytest.raises(ValueError, match=r"pair 1, 2 names a point beyond the last of 2, which is 1"):
    partners(PAIRS[1:], 2)


@settings(deadline=None, max_examples=30, database=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_flip_back_twice_is_the_identity(height, width, seed):
  maps = np.random.default_rng(seed).standard_normal((2, height, width, 5))
  once = np.asarray(flip_back(maps, PAIRS))
  np.testing.assert_array_equal(flip_back(once, PAIRS), maps)
  np.testing.assert_array_equal(once[1, :, 0, 0], maps[1, :, width - 1, 3])
