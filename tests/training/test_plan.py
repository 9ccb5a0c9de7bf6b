"""Which steps log, validate and save."""

import pytest

from hrnet_jax.training.plan import FineTune, Plan, make_plan
from tests.helpers import toy


class FakeDataset:
  """Twelve training examples, twenty with those of validation."""

  def source(self, split):
    if split not in ("train", "trainval"):
      raise ValueError(f"no split {split!r}")
    return range(12 if split == "train" else 20)


def config(**train):
  value = toy.get_config()
  value.train.update(train)
  return value


def when(happens, steps) -> list[int]:
  return [step for step in range(1, steps + 1) if happens(step)]


def test_epochs_become_steps_rounded_up():
  plan = make_plan(config(epochs=5, steps=0, batch_size=8), FakeDataset())
  assert plan.steps == 8  # 60 examples in batches of 8
  assert plan.epoch(8) == pytest.approx(5 + 1 / 3)
  assert (plan.batch_size, plan.num_examples) == (8, 12)


def test_steps_are_taken_as_they_are():
  plan = make_plan(config(), FakeDataset())
  assert plan == Plan(60, 8, 12, log_steps=1, eval_epochs=40, checkpoint_steps=20)


def test_validation_comes_with_the_step_that_completes_its_epochs_and_at_the_end():
  # An epoch is 1.5 steps: multiples of 2 epochs end at 3, 6 and 9.
  plan = Plan(10, 8, 12, log_steps=4, eval_epochs=2, checkpoint_steps=5)
  assert when(plan.evaluates, 10) == [3, 6, 9, 10]
  assert when(plan.logs, 10) == [3, 4, 6, 8, 9, 10]
  assert when(plan.saves, 10) == [3, 5, 6, 9, 10]


def test_epochs_need_not_be_whole_steps():
  plan = Plan(9, 8, 12, log_steps=100, eval_epochs=1, checkpoint_steps=100)
  assert when(plan.evaluates, 9) == [2, 3, 5, 6, 8, 9]
  assert when(plan.saves, 9) == when(plan.logs, 9) == [2, 3, 5, 6, 8, 9]


@pytest.mark.parametrize("train", [{"epochs": 3, "steps": 5}, {"epochs": 0, "steps": 0}])
def test_one_of_steps_and_epochs(train):
  with pytest.raises(ValueError, match=r"set one of train.steps \(.\) and train.epochs \(.\)"):
    make_plan(config(**train), FakeDataset())


@pytest.mark.parametrize("key", ["train.log_every", "eval.every_epochs", "checkpoint.every_steps"])
def test_intervals_are_positive(key):
  value = config()
  block, name = key.split(".")
  value[block][name] = 0
  with pytest.raises(ValueError, match=f"{key} is 0, expected more than 0"):
    make_plan(value, FakeDataset())


def test_the_training_split_must_exist():
  value = config()
  value.data.train_split = "trian"
  with pytest.raises(ValueError, match="no split 'trian'"):
    make_plan(value, FakeDataset())


EXTRA = {"epochs": 3, "split": "trainval", "learning_rate": 0.001}


def test_a_second_phase_adds_its_steps_and_counts_its_own_epochs():
  plan = make_plan(config(epochs=2, steps=0, batch_size=8, fine_tune=EXTRA), FakeDataset())
  assert (plan.first_steps, plan.steps) == (3, 3 + 8)  # 24 and 60 examples in batches of 8
  assert plan.fine_tune == FineTune(8, "trainval", 20, 0.001)
  assert plan.steps_per_epoch == 1.5
  assert [plan.epoch(step) for step in (0, 3, 8, 11)] == pytest.approx([0, 2, 4, 5.2])
  every = Plan(
    11, 8, 12, log_steps=99, eval_epochs=1, checkpoint_steps=99, fine_tune=plan.fine_tune
  )
  assert when(every.evaluates, 11) == [2, 3, 6, 8, 11]


@pytest.mark.parametrize("extra", [{}, EXTRA | {"epochs": 0}, EXTRA | {"epochs": 0, "split": ""}])
def test_no_second_phase(extra):
  plan = make_plan(config(fine_tune=extra), FakeDataset())
  assert plan == make_plan(config(), FakeDataset())
  assert (plan.fine_tune, plan.first_steps) == (None, 60)


@pytest.mark.parametrize(
  ("change", "error", "message"),
  [
    ({"epochs": -1}, ValueError, "train.fine_tune has epochs -1"),
    ({"learning_rate": 0.0}, ValueError, "learning_rate 0.0; expected .* more than 0"),
    ({"split": "trainvall"}, ValueError, "no split 'trainvall'"),
    ({"rate": 1.0}, TypeError, "rate"),
  ],
)
def test_mistakes_in_the_second_phase(change, error, message):
  with pytest.raises(error, match=message):
    make_plan(config(fine_tune=EXTRA | change), FakeDataset())
