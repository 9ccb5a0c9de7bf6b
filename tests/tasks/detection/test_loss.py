"""Losses against published values and sums over the samples that exist."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.tasks.detection.loss import (
  binary_nll,
  box_losses,
  mask_loss,
  rpn_divisor,
  rpn_losses,
  smooth_l1,
)

B, S, K = 3, 11, 4


def softmax_nll(logits, label):
  logits = logits.astype(np.float64)
  return np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label]


def plain_smooth(d, beta):
  d = np.abs(d.astype(np.float64))
  return np.where(d < beta, 0.5 * d * d / max(beta, 1e-9), d - 0.5 * beta).sum()


def flags(seed, positives=0.4):
  rng = np.random.default_rng(seed)
  valid = rng.random((B, S)) < 0.8
  positive = (rng.random((B, S)) < positives) & valid
  return rng, positive, valid


@pytest.mark.parametrize(
  ("error", "beta", "expected"),
  [
    (0.05, 1 / 9, 0.01125),
    (0.2, 1 / 9, 0.144444),
    (0.5, 1, 0.125),
    (2, 1, 1.5),
    (-2, 1, 1.5),
    (-0.3, 0, 0.3),
    (0, 0, 0),
  ],
)
def test_published_values_of_smooth_l1(error, beta, expected):
  np.testing.assert_allclose(smooth_l1(jnp.float32(error), beta), expected, atol=5e-7)


def test_smooth_l1_bends_where_its_slope_is_one():
  slope = jax.vmap(jax.grad(lambda d: smooth_l1(d, 0.25)))
  np.testing.assert_allclose(
    slope(jnp.array([-3, -0.125, 0, 0.125, 0.25, 3])), [-1, -0.5, 0, 0.5, 1, 1]
  )
  with pytest.raises(ValueError, match="beta of smooth_l1 is -1"):
    smooth_l1(jnp.zeros(1), -1)


def test_binary_nll_is_that_of_the_sigmoid_and_does_not_overflow():
  logits = jnp.array([0.0, 2, -3, 200, -200])
  expected = [np.log(2), np.log1p(np.exp(-2)), np.log1p(np.exp(-3)), 200, 200]
  np.testing.assert_allclose(binary_nll(logits, jnp.array([1, 1, 0, 0, 1])), expected, rtol=1e-6)
  assert binary_nll(logits.astype(jnp.bfloat16), 1).dtype == jnp.float32


@pytest.mark.parametrize("beta", [0, 1 / 9])
def test_rpn_losses_are_sums_over_images(beta):
  rng, positive, valid = flags(0)
  valid[2] = positive[2] = False  # an image without samples
  positive[1] = False  # and one without objects
  logits, deltas, targets = (
    rng.standard_normal(s).astype(np.float32) for s in ((B, S), (B, S, 4), (B, S, 4))
  )
  divisor, classes, places = 0, 0, 0
  for b in range(B):
    divisor += max((positive[b] & valid[b]).sum(), 1) + max((~positive[b] & valid[b]).sum(), 1)
    for s in np.flatnonzero(valid[b]):
      sign = 1 if positive[b, s] else -1
      classes += np.log1p(np.exp(-sign * float(logits[b, s])))
      places += plain_smooth(deltas[b, s] - targets[b, s], beta) * positive[b, s]
  assert rpn_divisor(positive, valid) == divisor
  out = jax.jit(functools.partial(rpn_losses, beta=beta))(
    logits, deltas, targets, positive=positive, valid=valid
  )
  np.testing.assert_allclose(out, [classes / divisor, places / divisor], rtol=1e-5)


@pytest.mark.parametrize("kinds", [K, 1], ids=["each class", "all classes"])
def test_box_losses_are_divided_by_all_samples(kinds):
  rng, positive, valid = flags(1)
  logits, deltas, targets = (
    rng.standard_normal(s).astype(np.float32) for s in ((B, S, K + 1), (B, S, kinds, 4), (B, S, 4))
  )
  objects = rng.integers(0, K, (B, S))
  labels = np.where(positive, objects, K)
  classes, places = 0, 0
  for b, s in np.argwhere(valid):
    classes += softmax_nll(logits[b, s], labels[b, s])
    if positive[b, s]:
      own = deltas[b, s, objects[b, s] if kinds > 1 else 0]
      places += plain_smooth(own - targets[b, s], 1)
  out = jax.jit(functools.partial(box_losses, beta=1))(
    logits, deltas, targets, labels=labels, objects=objects, positive=positive, valid=valid
  )
  np.testing.assert_allclose(out, [classes / valid.sum(), places / valid.sum()], rtol=1e-5)


def test_mask_loss_is_the_mean_over_objects_and_pixels():
  rng, positive, _ = flags(2)
  logits = rng.standard_normal((B, S, 6, 6, K)).astype(np.float32)
  targets = rng.integers(0, 2, (B, S, 6, 6)).astype(np.float32)
  objects = rng.integers(0, K, (B, S))
  terms = []
  for b, s in np.argwhere(positive):
    own = logits[b, s, :, :, objects[b, s]].astype(np.float64)
    terms.append(np.log1p(np.exp(np.where(targets[b, s] > 0, -own, own))))
  out = jax.jit(mask_loss)(logits, targets, objects=objects, positive=positive)
  np.testing.assert_allclose(out, np.mean(terms), rtol=1e-5)


def all_losses(arrays, positive, valid):
  logits, deltas, targets, classes, masks = arrays
  objects = jnp.zeros((B, S), jnp.int32)
  labels = jnp.where(positive, objects, K)
  common = {"positive": positive, "valid": valid, "beta": 0.0}
  return (
    *rpn_losses(logits, deltas[:, :, 0], targets, **common),
    *box_losses(classes, deltas, targets, labels=labels, objects=objects, **common),
    mask_loss(masks, jnp.zeros((B, S, 6, 6)), objects=objects, positive=positive),
  )


def outputs(seed, scale=1.0):
  rng = np.random.default_rng(seed)
  shapes = (B, S), (B, S, K, 4), (B, S, 4), (B, S, K + 1), (B, S, 6, 6, K)
  return [jnp.asarray(scale * rng.standard_normal(s), jnp.float32) for s in shapes]


def test_no_samples_are_zero_with_zero_gradients():
  nothing = jnp.zeros((B, S), bool)
  losses, gradients = jax.jit(
    lambda x: (
      all_losses(x, nothing, nothing),
      jax.grad(lambda x: sum(all_losses(x, nothing, nothing)))(x),
    )
  )(outputs(0))
  np.testing.assert_array_equal(losses, np.zeros(5))
  assert not any(g.any() for g in gradients)


def test_no_objects_leave_the_classification_of_background():
  nothing, everything = jnp.zeros((B, S), bool), jnp.ones((B, S), bool)
  losses = all_losses(outputs(0), nothing, everything)
  np.testing.assert_array_equal([x > 0 for x in losses], [True, False, True, False, False])


def test_padding_may_hold_anything():
  _, positive, valid = flags(4)
  positive, valid = jnp.asarray(positive), jnp.asarray(valid)

  def mix(a, b):
    return [
      jnp.where(valid.reshape(B, S, *[1] * (x.ndim - 2)), x, y) for x, y in zip(a, b, strict=True)
    ]

  f = jax.jit(jax.value_and_grad(lambda x: sum(all_losses(x, positive, valid))))
  one, slope = f(outputs(0))
  other, other_slope = f(mix(outputs(0), outputs(1, scale=1e4)))
  np.testing.assert_allclose(one, other, rtol=1e-6)
  for a, b in zip(slope, other_slope, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-7)
