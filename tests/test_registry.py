"""Tasks by name: unknown ones are refused, known ones keep the contract."""

import inspect

import ml_collections
import pytest

from hrnet_jax import registry
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.interface import Task

FACTS = DatasetInfo(class_names=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))


def config(task: str) -> ml_collections.ConfigDict:
  model = {"task": task, "width": 4, "num_classes": 2, "upsample": "bilinear"}
  return ml_collections.ConfigDict({"model": model, "loss": {"ignore": 255}})


def test_unknown_task_is_refused_with_the_known_ones() -> None:
  with pytest.raises(ValueError, match=r"unknown task 'captions'; known: .*segmentation"):
    registry.build_task(config("captions"), FACTS)


def test_segmentation_keeps_the_contract_of_a_task() -> None:
  task = registry.build_task(config("segmentation"), FACTS)
  for name, method in inspect.getmembers(Task, inspect.isfunction):
    if not name.startswith("_"):
      ours = inspect.signature(getattr(task, name))
      # `self` is bound here; names of outputs are the task's own
      assert len(ours.parameters) == len(inspect.signature(method).parameters) - 1, name
  assert isinstance(task.metric, str)
  assert callable(task.model.apply)
