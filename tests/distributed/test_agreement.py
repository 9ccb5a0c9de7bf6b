"""Facts of processes: which there are, and how the first difference is said."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.distributed import agreement
from hrnet_jax.distributed.agreement import difference, verdict
from tests.helpers import toy


@pytest.fixture
def facts(dataset):
  return agreement.facts(toy.get_config(), dataset)


def changed(dataset, key, value):
  config = toy.get_config()
  with config.unlocked():
    config.update_from_flattened_dict({key: value})
  return agreement.facts(config, dataset)


def test_facts_are_plain_and_equal_for_equal_runs(facts, dataset):
  assert json.loads(json.dumps(facts)) == json.loads(
    json.dumps(agreement.facts(toy.get_config(), dataset))
  )
  assert facts["optimizer.learning_rate"] == 0.05
  assert facts["data set's fingerprint"] == dataset.fingerprint
  assert facts["version of jax"] == jax.__version__
  assert facts["jax_enable_x64"] == "False"
  assert facts["devices"].startswith("cpu")
  assert facts["code of hrnet_jax"] == agreement.source_digest()
  assert len(facts["code of hrnet_jax"]) == 16
  assert facts["convolutions on a CPU"]


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("optimizer.learning_rate", 0.1),
    ("seed", 7),
    ("train.batch_size", 16),
    ("transform.train.flip", False),
    ("checkpoint.every_steps", 3),
  ],
)
def test_every_value_of_the_config_counts(facts, dataset, key, value):
  name, zero, own, count = difference(facts, changed(dataset, key, value))
  assert (name, count) == (key, 1)
  assert zero == str(facts[key]).lower() if isinstance(value, bool) else str(facts[key])
  assert own == json.dumps(value)


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("data.data_dir", "/elsewhere"),
    ("data.workers", 4),
    ("data.threads", 7),
    ("train.watchdog", {"warn": 1.0}),
  ],
)
def test_but_those_by_which_hosts_may_differ(facts, dataset, key, value):
  config = toy.get_config()
  section, _, name = key.partition(".")
  config[section][name] = value
  assert difference(facts, agreement.facts(config, dataset))[3] == 0


@pytest.mark.parametrize(
  "change",
  [
    {"fingerprint": "0" * 64},
    {"class_names": ("ground", "red", "light")},
    {"statistics": {}},
    {"subsets": {"some": ("train", (1, 2))}},
  ],
)
def test_every_fact_about_the_data_counts(facts, dataset, change):
  other = agreement.facts(toy.get_config(), dataclasses.replace(dataset, **change))
  assert difference(facts, other)[0].startswith("data set's ")


def test_flags_of_the_compiler_count_but_not_where_it_writes(facts, dataset, monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/a --xla_force_host_platform_device_count=3")
  other = agreement.facts(toy.get_config(), dataset)
  assert other["XLA_FLAGS"] == ""
  monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true --xla_dump_to=/a")
  assert (
    agreement.facts(toy.get_config(), dataset)["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=true"
  )


def test_the_first_difference_of_each_process_is_said():
  first = {"a": 1, "optimizer.learning_rate": 0.01, "z": [1, 2]}
  found = {
    1: difference(first, first | {"optimizer.learning_rate": 0.1}),
    2: difference(first, first),
    3: difference(first, {"a": 1, "optimizer.learning_rate": 0.01, "new": "x"}),
  }
  assert verdict(found) == (
    "process 1 has optimizer.learning_rate 0.1, process 0 has 0.01; "
    "process 3 has z nothing, process 0 has [1, 2] (and 1 more)"
  )
  assert verdict({1: difference(first, first)}) == ""


def test_a_message_does_not_grow_with_the_job_and_its_values():
  first, other = {"a": "x"}, {"a": "y" * 500}
  text = verdict({i: difference(first, other) for i in range(1, 100)})
  assert "process 4 has a yyy" in text
  assert "process 5 has" not in text
  assert text.endswith("95 more processes differ")
  assert len(text) < 1200


def test_a_bit_of_the_state_changes_its_digest():
  tree = {
    "w": jnp.arange(6.0).reshape(2, 3),
    "step": jnp.int32(3),
    "half": jnp.ones(2, jnp.bfloat16),
  }
  first = agreement.digests(tree)
  assert sorted(first) == ["state['half']", "state['step']", "state['w']"]
  bits = np.asarray(tree["w"]).view(np.uint32).copy()
  bits[1, 2] ^= 1
  second = agreement.digests(tree | {"w": jnp.asarray(bits.view(np.float32))})
  assert difference(first, second)[0] == "state['w']"
  assert difference(first, second)[3] == 1


def test_a_process_that_is_alone_agrees():
  agreement.check({"a": 1}, "")
  assert agreement.tell_all("x") == "x"


def test_the_code_of_plugins_counts(facts, dataset):
  config = toy.get_config()
  config.plugins = ("tests.helpers.toy",)
  other = agreement.facts(config, dataset)
  assert len(other["code of tests.helpers.toy"]) == 16
