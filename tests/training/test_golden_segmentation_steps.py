"""The reference's training loop for segmentation, six iterations, repeated here."""

import pathlib

import numpy as np
import pytest

from tests.golden import train_steps

pytestmark = [pytest.mark.optimised, pytest.mark.slow]


@pytest.mark.parametrize("name", ["seg_w18_small_v1", "seg_w18_small_v1_low_lr"])
def test_float64_is_the_reference_to_nine_digits(golden: pathlib.Path, name: str) -> None:
  train_steps.check_float64(golden, name)


@pytest.mark.parametrize("name", ["seg_w18_small_v1", "seg_w18_small_v1_low_lr"])
def test_float32_is_off_by_rounding_only(golden: pathlib.Path, name: str) -> None:
  fixture, here = train_steps.run(golden, name, "float32", compiler_options={})
  # Rounding grows from step to step: the reference's float32 run against its own float64 run.
  noise = np.abs(fixture["f32.loss"] - fixture["f64.loss"])
  allowed = np.maximum(5 * noise, [3e-6, 3e-6, 3e-5, 5e-4, 2e-3, 5e-3])
  assert (np.abs(here["loss"] - fixture["f64.loss"]) <= allowed).all()
