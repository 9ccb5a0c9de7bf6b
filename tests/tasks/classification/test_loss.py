"""Cross entropy of whole images, by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.tasks.classification.loss import cross_entropy, nll

LOGITS = jnp.log(jnp.array([[1.0, 2, 5], [6, 2, 2], [1, 1, 2]]))  # shares of 8, 10 and 4
LABELS = jnp.array([2, 1, 0], jnp.int32)


def test_nll_by_hand():
  np.testing.assert_allclose(nll(LOGITS, LABELS), -np.log([5 / 8, 2 / 10, 1 / 4]), rtol=1e-6)


def test_cross_entropy_is_the_mean():
  want = -np.log([5 / 8, 2 / 10, 1 / 4]).mean()
  np.testing.assert_allclose(cross_entropy(LOGITS, LABELS), want, rtol=1e-6)
  uniform = cross_entropy(jnp.zeros((4, 7)), jnp.arange(4))
  np.testing.assert_allclose(uniform, math.log(7), rtol=1e-6)


def test_label_smoothing_by_hand():
  logs = np.log(np.array([[1, 2, 5], [6, 2, 2], [1, 1, 2]]) / [[8], [10], [4]])
  target = 0.8 * np.eye(3)[LABELS] + 0.2 / 3
  smooth = cross_entropy(LOGITS, LABELS, label_smoothing=0.2)
  np.testing.assert_allclose(smooth, -(target * logs).sum(-1).mean(), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_gradient_is_share_minus_target(smoothing):
  gradient = jax.grad(lambda x: cross_entropy(x, LABELS, label_smoothing=smoothing))(LOGITS)
  target = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
  np.testing.assert_allclose(gradient, (jax.nn.softmax(LOGITS) - target) / 3, atol=1e-6)


def test_large_logits_stay_finite():
  loss, gradient = jax.value_and_grad(cross_entropy)(jnp.array([[1e30, -1e30]]), jnp.array([1]))
  assert np.isfinite(loss)
  assert np.isfinite(gradient).all()
