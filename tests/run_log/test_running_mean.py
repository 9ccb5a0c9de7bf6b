"""Means and pace between readings, and the step at which a loss stops being finite."""

import jax.numpy as jnp
import pytest

from hrnet_jax.run_log import running_mean


@pytest.fixture
def clock(monkeypatch):
  """A clock that is set by hand: `clock[0]` is the time in seconds."""
  now = [100.0]
  monkeypatch.setattr(running_mean.time, "monotonic", lambda: now[0])
  return now


def scalars(loss, **more):
  return {name: jnp.float32(value) for name, value in {"loss": loss, **more}.items()}


def test_reading_gives_means_and_pace_since_the_last_one(clock):
  m = running_mean.RunningMean(batch_size=6)
  for step, loss in enumerate([1.0, 2.0, 6.0], 1):
    m.add(step, scalars(loss, grad_norm=10 * loss))
  clock[0] += 1.5
  means, seconds = m.read()
  assert means == {"loss": 3.0, "grad_norm": 30.0, "images/s": 12.0}
  assert seconds == 0.5
  m.add(4, scalars(8.0, grad_norm=1.0))
  clock[0] += 2
  assert m.read() == ({"loss": 8.0, "grad_norm": 1.0, "images/s": 3.0}, 2.0)


def test_restart_leaves_validation_out_of_the_pace_but_keeps_the_means(clock):
  m = running_mean.RunningMean(batch_size=4)
  m.add(1, scalars(1.0))
  clock[0] += 60
  m.restart()
  m.add(2, scalars(3.0))
  clock[0] += 0.5
  assert m.read() == ({"loss": 2.0, "images/s": 8.0}, 0.5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_step_that_diverged_is_named_although_later_ones_run(bad):
  m = running_mean.RunningMean(batch_size=1)
  m.add(7, scalars(bad))
  m.add(8, scalars(0.1))
  with pytest.raises(running_mean.Diverged, match=f"step 7: the loss is {bad}"):
    m.add(9, scalars(0.1))


@pytest.mark.parametrize("look", [running_mean.RunningMean.drain, running_mean.RunningMean.read])
def test_waiting_finds_the_last_step(look):
  m = running_mean.RunningMean(batch_size=1)
  m.add(1, scalars(0.5))
  m.add(2, scalars(float("nan")))
  with pytest.raises(running_mean.Diverged, match="step 2"):
    look(m)


def test_diverged_is_an_error_that_commands_show_without_a_traceback():
  assert issubclass(running_mean.Diverged, FloatingPointError)
