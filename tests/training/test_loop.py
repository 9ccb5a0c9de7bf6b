"""A run of two phases: where its examples and rates come from, and resuming over the boundary."""

import dataclasses
import json
import os
import pathlib
import signal

import jax
import ml_collections
import numpy as np
import pytest

from hrnet_jax.tasks.segmentation.loss import HardExamples
from hrnet_jax.training import loop, setup, validation
from tests.helpers import toy


class Killed(BaseException):
  """Stands for the end of the process."""


def config():
  """Six steps on train and five on val, with checkpoints after 4, 8 and 11."""
  config = toy.get_config()
  config.train.update(steps=6, fine_tune={"epochs": 4, "split": "val", "learning_rate": 0.02})
  config.optimizer.multipliers = {"Conv_0": 2.0}
  config.eval.update(every_epochs=100, pictures=0, examples=3)
  config.checkpoint.every_steps = 4
  return config


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
  """The small network and its task stand for those of the config."""
  hard = HardExamples(threshold=0.9, min_kept=100, num_groups=2)
  task = dataclasses.replace(toy.make_task(toy.Tiny(dropout=0.2)), hard=hard)
  monkeypatch.setattr(setup.registry, "build_task", lambda config, dataset: task)


def entries(workdir: pathlib.Path) -> list[dict]:
  return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def run_until(step: int, workdir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  """Trains, and dies when the log would get the line of a step."""
  progress = loop.Log.progress

  def die(log, now, *args):
    if now == step:
      raise Killed
    progress(log, now, *args)

  with monkeypatch.context() as patch:
    patch.setattr(loop.Log, "progress", die)
    with pytest.raises(Killed):
      loop.train(config(), workdir)


@pytest.mark.slow
@pytest.mark.usefixtures("dataset", "small")
def test_two_phases_straight_and_interrupted_in_each(
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture,
) -> None:
  straight = loop.train(config(), tmp_path / "straight")
  assert "6 steps of 8, then 5 steps on val, from scratch" in capsys.readouterr().err
  assert straight.step == 11

  run_until(6, tmp_path / "killed", monkeypatch)
  run_until(10, tmp_path / "killed", monkeypatch)
  resumed = loop.train(config(), tmp_path / "killed")
  said = capsys.readouterr().err
  assert "going on from step 4" in said
  assert "going on from step 8" in said
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get((straight, resumed)))

  lines = {name: entries(tmp_path / name) for name in ("straight", "killed")}
  losses = {k: [e["loss"] for e in v if e["split"] == "train"] for k, v in lines.items()}
  assert losses["straight"] == losses["killed"]
  rates = [e["lr"] for e in lines["straight"] if e["split"] == "train"]
  expected = [0.05 * (1 - max(t - 1, 0) / 6) ** 0.9 for t in range(7)]
  expected += [0.02 * (1 - t / 5) ** 0.9 for t in range(4)]
  np.testing.assert_allclose(rates, expected, rtol=1e-5)
  (score,) = (e for e in lines["straight"] if e["split"] == "eval")
  assert score["step"] == 11
  assert score["pixels"] == 3 * 64 * 63  # of the first three images


@pytest.mark.slow
@pytest.mark.usefixtures("dataset", "small")
def test_a_validation_that_was_broken_off_is_made_up_for(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
  options = config()
  options.train.update(steps=3, fine_tune={})
  options.eval.update(every_epochs=1, pictures=0, examples=0, batch_size=8)  # after step 2
  straight = loop.train(options, tmp_path / "straight")
  evaluate, calls = validation.evaluate, []

  def evaluate_until_sigterm(task, step, variables, batches, **kwargs):
    def some():
      for number, batch in enumerate(batches):
        yield batch
        if number == 0 and not calls:
          calls.append(os.kill(os.getpid(), signal.SIGTERM))

    return evaluate(task, step, variables, some(), **kwargs)

  capsys.readouterr()
  with monkeypatch.context() as patch:
    patch.setattr(validation, "evaluate", evaluate_until_sigterm)
    stopped = loop.train(options, tmp_path / "stopped")
  assert stopped.step == 2
  assert "SIGTERM: saving step 2" in capsys.readouterr().err
  assert [e["split"] for e in entries(tmp_path / "stopped")] == ["train", "train"]

  def die(*args: object) -> None:
    raise Killed

  with monkeypatch.context() as patch:  # after the validation, before its score is stored
    patch.setattr(loop.Checkpoints, "add_score", die)
    with pytest.raises(Killed):
      loop.train(options, tmp_path / "stopped")
  assert [e["split"] for e in entries(tmp_path / "stopped")] == ["train", "train", "eval"]
  resumed = loop.train(options, tmp_path / "stopped")
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get((straight, resumed)))
  lines = [
    [(e["step"], e["split"], e.get("loss"), e.get("mean_iou")) for e in entries(tmp_path / name)]
    for name in ("straight", "stopped")
  ]
  assert lines[0] == lines[1]
  assert lines[0][2][:2] == (2, "eval")


@pytest.mark.slow
@pytest.mark.usefixtures("dataset", "small")
def test_training_outlives_a_validation_that_fails(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  options = config()
  options.eval.update(every_epochs=1, pictures=0, examples=0, batch_size=8)  # after step 2

  def fail(*args: object, **kwargs: object) -> None:
    raise ValueError("a label is damaged")

  with monkeypatch.context() as patch:
    patch.setattr(validation, "evaluate", fail)
    with pytest.raises(ValueError, match="a label is damaged"):
      loop.train(options, tmp_path)
  assert [(e["step"], e["split"]) for e in entries(tmp_path)] == [(1, "train"), (2, "train")]
  loop.train(options, tmp_path)
  splits = [(e["step"], e["split"]) for e in entries(tmp_path)]
  assert splits[:4] == [(1, "train"), (2, "train"), (2, "eval"), (3, "train")]


@pytest.mark.slow
@pytest.mark.usefixtures("dataset", "small")
def test_a_run_that_got_longer_has_the_bits_of_one_that_was(tmp_path: pathlib.Path) -> None:
  options = config()
  options.train.steps = 4
  options.train.fine_tune = ml_collections.ConfigDict()
  options.optimizer.schedule = {"name": "constant"}
  options.eval.batch_size = 8
  loop.train(options, tmp_path / "short")
  options.train.steps = 7
  options.checkpoint.every_steps = 2
  longer = loop.train(options, tmp_path / "short")
  straight = loop.train(options, tmp_path / "straight")
  assert longer.step == 7
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get((straight, longer)))

  options.optimizer.learning_rate = 0.5
  options.train.steps = 8
  with pytest.raises(ValueError, match=r"allow_changes=optimizer\.learning_rate"):
    loop.train(options, tmp_path / "short")
  loop.train(options, tmp_path / "short", allow_changes=["optimizer.learning_rate"])
  last = next(e for e in reversed(entries(tmp_path / "short")) if e["split"] == "train")
  assert last["step"] == 8
  assert last["lr"] == pytest.approx(0.5)
