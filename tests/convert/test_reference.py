"""Tasks state the names of their tensors; one that states none is named."""

import dataclasses

import ml_collections
import pytest

from hrnet_jax import registry
from hrnet_jax.convert import checkpoints
from hrnet_jax.convert.reference import NamingScheme, NetworkKind, Reference, kind_of, reference_of
from hrnet_jax.task_spec import TaskSpec


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> TaskSpec:
  """A task of somebody else, without names of tensors."""
  spec = TaskSpec(name="toy", model=dict)
  monkeypatch.setitem(registry._plugins, "my_package", (spec,))
  return spec


def test_a_task_without_names_is_told_what_to_do(plugin: TaskSpec, tmp_path) -> None:
  config = ml_collections.ConfigDict({"model": {"task": plugin.name}})
  with pytest.raises(ValueError, match=r"for task 'toy': it states no names .*config\.init_from"):
    checkpoints.from_file(config, tmp_path / "a.npz", tmp_path / "out")


def test_a_plugin_states_its_own_names(plugin: TaskSpec, monkeypatch: pytest.MonkeyPatch) -> None:
  """The task with the higher priority names a file that has marks of two."""
  kind = NetworkKind(words="toys", marks=("toy_head.",))
  reference = Reference(schemes={"": NamingScheme(rules=())}, kinds=(kind,), priority=-1)
  spec = dataclasses.replace(plugin, reference=reference)
  monkeypatch.setitem(registry._plugins, "my_package", (spec,))
  assert reference_of("toy") is reference
  assert kind_of(["conv1.weight", "toy_head.weight"]) is kind
  assert kind_of(["last_layer.0.weight", "toy_head.weight"]).words == "segmentation"


@pytest.mark.parametrize("task", registry.task_names("reference"))
def test_every_name_of_our_tasks_belongs_to_one_scheme(task: str) -> None:
  """Only one scheme, the one that has no mark, takes the files that no other's mark is in."""
  reference = reference_of(task)
  assert [scheme.mark for scheme in reference.schemes.values()][-1] == ""
  assert sum(scheme.mark == "" for scheme in reference.schemes.values()) == 1
  assert bool(reference.scheme_option) == (len(reference.schemes) > 1)
