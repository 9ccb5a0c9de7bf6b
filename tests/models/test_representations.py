"""HRNetV2's concatenation, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.models.representations import V2
from hrnet_jax.ops.resize import Resize


def test_maps_are_enlarged_and_concatenated_finest_first() -> None:
  """Widths 4, 2 and 1: the second row is enlarged by two, the third is constant."""
  xs = (
    jnp.array([0.0, 1, 2, 3]).reshape(1, 1, 4, 1),
    jnp.array([0.0, 4]).reshape(1, 1, 2, 1),
    jnp.array([[5.0, 6]]).reshape(1, 1, 1, 2),
  )
  y = V2(Resize.BILINEAR).apply({}, xs, train=False)
  assert y.shape == (1, 1, 4, 4)
  np.testing.assert_allclose(y[0, 0, :, 0], [0, 1, 2, 3])
  np.testing.assert_allclose(y[0, 0, :, 1], [0, 1, 3, 4])
  np.testing.assert_allclose(y[0, 0, :, 2:], [[5, 6]] * 4)


@pytest.mark.parametrize(
  ("method", "row"), [("nearest", [0, 0, 6, 6]), ("bilinear_aligned", [0, 2, 4, 6])]
)
def test_interpolation_is_that_of_the_network(method: str, row: list) -> None:
  xs = (jnp.zeros((1, 1, 4, 1)), jnp.array([0.0, 6]).reshape(1, 1, 2, 1))
  y = V2(Resize(method)).apply({}, xs, train=True)
  np.testing.assert_allclose(y[0, 0, :, 1], row, atol=1e-6)


def test_four_maps_of_width_c_give_fifteen_c() -> None:
  xs = tuple(jnp.zeros((2, n, n, 4 * 2**i)) for i, n in enumerate((17, 9, 5, 3)))
  y = jax.eval_shape(lambda xs: V2(Resize.BILINEAR).apply({}, xs, train=False), xs)
  assert y.shape == (2, 17, 17, 60)
