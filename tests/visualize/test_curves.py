"""Charts: corners of error curves, colours and sizes of pictures, and what is refused."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.visualize import curves
from hrnet_jax.visualize.palette import FIRST, SECOND
from tests.visualize.samples import count

ERRORS = [0.01, 0.03, 0.05, 0.2]


@given(st.lists(st.floats(0, 0.3) | st.just(np.inf) | st.just(np.nan), min_size=1, max_size=30))
def test_the_curve_is_the_share_of_errors_up_to_x(errors):
  x, y = curves._cumulative(np.array(errors), 0.1)
  assert (np.diff(x) >= 0).all()
  assert x[0] == 0
  assert x[-1] == 0.1
  for at in (0.0, 0.05, 0.1):
    reached = y[np.flatnonzero(x <= at)[-1]]
    assert reached == pytest.approx(np.mean(np.array(errors) <= at))


def test_curve_worked_by_hand():
  x, y = curves._cumulative(np.array(ERRORS), 0.1)
  np.testing.assert_array_equal(x, [0, 0.01, 0.01, 0.03, 0.03, 0.05, 0.05, 0.1])
  np.testing.assert_array_equal(y, [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75])


def test_a_better_curve_lies_above():
  picture = curves.error_curve(
    {"good": ERRORS, "bad": [0.04, 0.09, 0.3]}, 0.1, "NME", size=(600, 400), title="WFLW"
  )
  assert picture.shape == (400, 600, 3)
  assert picture.dtype == np.uint8
  assert tuple(picture[0, 0]) == (255, 255, 255)
  column = picture[:300, 500]  # where x is about 0.08
  height = [int(np.argmax((np.abs(column - np.array(c)) < 40).all(1))) for c in (FIRST, SECOND)]
  assert 0 < height[0] < height[1]


def test_notes_make_the_legend_longer():
  plain = curves.error_curve({"a": ERRORS}, 0.1, "NME")
  noted = curves.error_curve({"a": ERRORS}, 0.1, "NME", notes={"a": "AUC 0.52, failures 25 %"})
  differs = (plain != noted).any(-1)
  assert differs.any()
  assert not differs[:540].any()  # only below the axes


def test_every_run_has_a_line_and_gaps_are_allowed():
  steps = list(range(100))
  picture = curves.learning_curves(
    {"one $ rich": (steps, [0.2] * 100), "two": (steps, [0.5] * 50 + [np.nan] * 50)}, "loss"
  )
  assert picture.shape == (600, 900, 3)
  assert count(picture, FIRST) > 1.7 * count(picture, SECOND) > 400


def test_more_runs_than_colours_differ_in_dashes():
  styles = [curves._line(i) for i in range(20)]
  assert len({(x["color"], str(x["linestyle"])) for x in styles}) == 20


def test_says_what_is_wrong():
  with pytest.raises(ValueError, match="at least one curve"):
    curves.error_curve({}, 0.1, "NME")
  with pytest.raises(ValueError, match="curve 'blur' has no images"):
    curves.error_curve({"blur": []}, 0.1, "NME")
  with pytest.raises(ValueError, match="threshold of an error curve is positive, got 0"):
    curves.error_curve({"blur": ERRORS}, 0, "NME")
  with pytest.raises(ValueError, match="curve 'a' has 2 steps but 1 values"):
    curves.learning_curves({"a": ([1, 2], [3])}, "loss")


def test_pictures_without_charts_do_not_import_matplotlib():
  code = "import sys; from hrnet_jax.visualize import curves; print('matplotlib' in sys.modules)"
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == "False"
