"""Updates worked by hand in PyTorch's order, and the reference's schedule."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.training import optimizer


def build(steps=10, *, schedule=None, **options):
  options = {"name": "sgd", "learning_rate": 0.1} | options
  return optimizer.build(steps, schedule=schedule or {"name": "constant"}, **options)


def follow(tx, params, gradients) -> list[dict[str, float]]:
  """The parameters after each of the gradients."""
  params = jax.tree.map(jnp.float32, params)
  state, history = tx.init(params), []
  for gradient in gradients:
    updates, state = tx.update(jax.tree.map(jnp.float32, gradient), state, params)
    params = jax.tree.map(jnp.add, params, updates)
    history.append(jax.tree.map(float, params))
  return history


def test_decay_joins_the_gradient_before_the_momentum_also_for_norms_and_biases():
  _, tx = build(momentum=0.9, weight_decay=0.01)
  params = {"kernel": 1.0, "scale": 2.0, "bias": -1.0}
  first, second = follow(tx, params, [{"kernel": 0.5, "scale": 0.0, "bias": 0.0}] * 2)
  # kernel: d = 0.5 + 0.01 = 0.51, then d = 0.50949 and buffer = 0.459 + 0.50949.
  assert first["kernel"] == pytest.approx(0.949, abs=1e-7)
  assert second["kernel"] == pytest.approx(0.949 - 0.1 * 0.96849, abs=1e-7)
  # scale: d = 0.02, then 0.01998 and buffer = 0.018 + 0.01998; the bias is minus a half of it.
  assert first["scale"] == pytest.approx(1.998, abs=1e-6)
  assert second["scale"] == pytest.approx(1.998 - 0.003798, abs=1e-6)
  assert second["bias"] == pytest.approx(-second["scale"] / 2, abs=1e-6)


def test_nesterov_looks_one_step_ahead():
  _, tx = build(momentum=0.9, nesterov=True)
  first, second = follow(tx, 1.0, [0.5, 0.5])
  assert first == pytest.approx(1 - 0.1 * (0.5 + 0.9 * 0.5), abs=1e-7)
  assert second == pytest.approx(first - 0.1 * (0.5 + 0.9 * (0.9 * 0.5 + 0.5)), abs=1e-7)


def test_clipping_scales_the_gradient_before_decay():
  gradient = {"a": 3.0, "b": 4.0}
  _, tx = build(momentum=0.0, clip_norm=1.0, weight_decay=0.5)
  (after,) = follow(tx, {"a": 1.0, "b": 0.0}, [gradient])
  assert after["a"] == pytest.approx(1 - 0.1 * (0.6 + 0.5), abs=1e-6)
  assert after["b"] == pytest.approx(-0.1 * 0.8, abs=1e-6)


@pytest.mark.parametrize("clip_norm", [0.0, 5.5])
def test_small_gradients_are_not_clipped(clip_norm):
  _, tx = build(momentum=0.0, clip_norm=clip_norm)
  (after,) = follow(tx, {"a": 0.0, "b": 0.0}, [{"a": 3.0, "b": 4.0}])
  assert after["a"] == pytest.approx(-0.3, abs=1e-6)
  assert after["b"] == pytest.approx(-0.4, abs=1e-6)


def test_poly_is_the_reference_one_step_late():
  total = 119548  # Cityscapes, 484 epochs of batches of 12
  with jax.enable_x64(True):
    rate, _ = build(total, learning_rate=0.01, schedule={"name": "poly"})
    assert rate(0) == rate(1) == 0.01
    # The figures are lr(1000), lr(59774) and lr(119547), which the next step uses.
    np.testing.assert_allclose(rate(1001), 0.00992468, rtol=1e-6)
    np.testing.assert_allclose(rate(59775), 0.00535887, rtol=1e-6)
    np.testing.assert_allclose(rate(119548), 2.69285e-7, rtol=1e-5)
  rate, _ = build(total, learning_rate=0.01, schedule={"name": "poly", "power": 0.9})
  assert rate(0) == rate(1) == np.float32(0.01)
  np.testing.assert_allclose(rate(59775), 0.00535887, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 30, 119548])
def test_poly_falls_and_never_reaches_zero(steps):
  rate, _ = build(steps, schedule={"name": "poly"})
  rates = [float(rate(t)) for t in sorted({0, 1, steps // 2, max(steps - 2, 0), steps - 1})]
  assert rates == sorted(rates, reverse=True)
  assert rates[-1] > 0


def test_the_optimizer_follows_the_schedule():
  rate, tx = build(2, learning_rate=1.0, momentum=0.0, schedule={"name": "poly", "power": 1.0})
  assert [float(rate(t)) for t in range(3)] == [1, 1, 0.5]
  np.testing.assert_allclose(follow(tx, 0.0, [1.0] * 3), [-1, -2, -2.5])


def test_constant_stays():
  rate, _ = build(learning_rate=0.25)
  assert [float(rate(t)) for t in (0, 5, 10)] == [0.25] * 3


def test_steps_fall_at_the_start_of_an_epoch():
  # 10 examples in batches of 4: epochs 1 and 2 begin within step 2 and with step 5.
  schedule = {"name": "step", "milestones": (1, 2, 4), "factor": 0.5}
  rate, _ = build(20, steps_per_epoch=2.5, learning_rate=0.8, schedule=schedule)
  rates = [float(rate(t)) for t in range(12)]
  np.testing.assert_allclose(rates, [0.8] * 3 + [0.4] * 2 + [0.2] * 5 + [0.1] * 2, rtol=1e-6)
  assert float(jax.jit(rate)(jnp.int32(4))) == np.float32(0.4)


def test_steps_of_the_reference_on_imagenet():
  schedule = {"name": "step", "milestones": (30, 60, 90)}
  with jax.enable_x64(True):
    rate, _ = build(1, steps_per_epoch=10009, learning_rate=0.05, schedule=schedule)
    for epoch, expected in ((0, 0.05), (29, 0.05), (30, 5e-3), (59, 5e-3), (60, 5e-4), (99, 5e-5)):
      for t in (epoch * 10009, epoch * 10009 + 10008):  # the first and the last of the epoch
        np.testing.assert_allclose(rate(t), expected, rtol=1e-12)


def test_steps_without_milestones_stay():
  rate, _ = build(steps_per_epoch=3, schedule={"name": "step", "milestones": ()})
  assert [float(rate(t)) for t in (0, 100)] == [np.float32(0.1)] * 2


@pytest.mark.parametrize("milestones", [(2, 1), (0, 3), (-1,)])
def test_milestones_have_to_ascend(milestones):
  with pytest.raises(ValueError, match=r"milestones are \(.*expected epochs in ascending order"):
    build(steps_per_epoch=3, schedule={"name": "step", "milestones": milestones})


def test_steps_need_the_length_of_an_epoch():
  with pytest.raises(ValueError, match="give steps_per_epoch"):
    build(schedule={"name": "step", "milestones": (1,)})


def test_unknown_names_list_the_known_ones():
  with pytest.raises(ValueError, match=r"unknown optimizer 'sgdd'; known: .*sgd"):
    build(name="sgdd")
  with pytest.raises(ValueError, match=r"unknown schedule 'polly'; known: .*poly"):
    build(schedule={"name": "polly"})


def test_unknown_options_are_named():
  with pytest.raises(TypeError, match="momentun"):
    build(momentun=0.9)
  with pytest.raises(TypeError, match="powre"):
    build(schedule={"name": "poly", "powre": 0.9})


def test_multipliers_scale_the_rate_of_a_part_and_not_its_decay():
  _, tx = build(momentum=0.0, weight_decay=0.5, multipliers={"head": 10.0})
  params = {"backbone": {"head_like": 1.0}, "head": {"mix": {"kernel": 1.0}}}
  (after,) = follow(tx, params, [jax.tree.map(jnp.zeros_like, params)])
  assert after["backbone"]["head_like"] == pytest.approx(1 - 0.1 * 0.5, abs=1e-7)
  assert after["head"]["mix"]["kernel"] == pytest.approx(1 - 10 * 0.1 * 0.5, abs=1e-7)


def test_multipliers_follow_schedule_and_momentum():
  options = {"learning_rate": 1.0, "momentum": 0.9, "schedule": {"name": "poly", "power": 1.0}}
  plain, scaled = (build(4, multipliers=m, **options)[1] for m in ({}, {"a/b": 0.5}))
  params, gradients = {"a": {"b": 0.0, "c": 0.0}}, [{"a": {"b": 1.0, "c": 1.0}}] * 4
  for before, after in zip(*(follow(tx, params, gradients) for tx in (plain, scaled)), strict=True):
    assert after["a"]["c"] == before["a"]["c"]
    assert after["a"]["b"] == pytest.approx(before["a"]["b"] / 2, rel=1e-6)


def test_without_multipliers_the_state_is_as_it_was():
  params = {"head": jnp.ones(2)}
  states = [jax.tree.structure(build(multipliers=m)[1].init(params)) for m in (None, {})]
  assert states == [jax.tree.structure(build()[1].init(params))] * 2


@pytest.mark.parametrize("part", ["heads", "hea", "mix/head", "cls"])
def test_a_multiplier_of_nothing_names_what_there_is(part):
  _, tx = build(multipliers={part: 10.0, "backbone": 1.0})
  with pytest.raises(ValueError, match=rf"'{part}', which .*; the network has backbone, head, and"):
    jax.eval_shape(tx.init, {"backbone": jnp.ones(1), "head": {"mix": jnp.ones(1)}})


def test_two_multipliers_of_one_parameter_are_refused():
  _, tx = build(multipliers={"head": 10.0, "head/mix": 1.0})
  with pytest.raises(ValueError, match=r"head and head/mix have parameters in common"):
    tx.init({"head": {"mix": jnp.ones(1), "classify": jnp.ones(1)}})


def test_a_second_phase_starts_anew_one_step_late():
  schedule = {"name": "poly", "power": 1.0}
  rate, _ = build(4, fine_tune=(2, 0.1), learning_rate=1.0, schedule=schedule)
  expected = [1, 1, 0.75, 0.5, 0.25, 0.1, 0.05, 0]  # the last is past the end
  np.testing.assert_allclose([float(rate(t)) for t in range(8)], expected, rtol=1e-6, atol=1e-9)
  np.testing.assert_allclose(jax.jit(rate)(jnp.int32(5)), 0.1, rtol=1e-6)


def test_second_phase_of_the_reference_on_cityscapes():
  # 484 epochs of 247 steps on train, then of 289 on trainval.
  first, second = 119548, 139876
  with jax.enable_x64(True):
    schedule = {"name": "poly"}
    rate, _ = build(first, fine_tune=(second, 0.001), learning_rate=0.01, schedule=schedule)
    alone, _ = build(first, learning_rate=0.01, schedule=schedule)
    for t in (0, 1, 1001, first - 1, first):
      assert rate(t) == alone(t)
    np.testing.assert_allclose(rate(first), 2.69285e-7, rtol=1e-5)
    assert rate(first + 1) == 0.001
    for t in (1, 1000, second - 1):
      expected = 0.001 * (1 - (t - 1) / second) ** 0.9
      np.testing.assert_allclose(rate(first + t), expected, rtol=1e-12)
  # Where the reference's last epoch divides by the shorter first length and fails.
  rate, _ = build(first, fine_tune=(second, 0.001), learning_rate=0.01, schedule={"name": "poly"})
  assert np.isfinite(float(rate(first + second + 100)))


def test_momentum_lasts_into_the_second_phase():
  _, tx = build(
    2, fine_tune=(2, 0.5), learning_rate=1.0, momentum=0.9, schedule={"name": "constant"}
  )
  history = follow(tx, 0.0, [1.0, 0.0, 0.0, 0.0])
  # Buffers 1, 0.9, 0.81, 0.729; the third step still has the rate of the first phase.
  np.testing.assert_allclose(history, [-1, -1.9, -2.71, -2.71 - 0.5 * 0.729], rtol=1e-6)


def test_a_schedule_that_counts_epochs_has_no_second_phase():
  with pytest.raises(ValueError, match=r"train\.fine_tune: schedule 'step' cannot run anew"):
    build(fine_tune=(2, 0.1), steps_per_epoch=3, schedule={"name": "step", "milestones": (1,)})


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate):
  with pytest.raises(ValueError, match=r"optimizer\.learning_rate is .*, expected a finite number"):
    optimizer.build(4, name="sgd", learning_rate=rate, schedule={"name": "constant"})
