"""A run starts from another network's weights: what fits is taken, the rest is named."""

from collections.abc import Callable
import pathlib
import shutil
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.init_from import start_from
from hrnet_jax.checkpoint.train_state import TrainState, init_variables
from hrnet_jax.models.network import Network
from hrnet_jax.training import loop
from tests.helpers import toy

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
SEGMENTATION = {"task": "segmentation", "num_classes": 3, "upsample": "bilinear", **TOY}
CLASSIFICATION = {"task": "classification", "num_classes": 7, **TOY}
POSE = {"task": "pose", "num_landmarks": 6, **TOY}


def filled(model: Network, value: float) -> dict[str, Any]:
  """Variables that are `value` throughout."""
  shapes = jax.eval_shape(lambda: init_variables(model, 0))
  return jax.tree.map(lambda x: jnp.full(x.shape, value, x.dtype), shapes)


def state_of(value: float = 0.0, **options: object) -> TrainState:
  """As `init_state` makes it, with constant weights and a momentum for each."""
  variables = filled(hrnet_jax.build_model(**options), value)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=variables["params"],
    batch_stats=variables["batch_stats"],
    opt_state=(jax.tree.map(jnp.zeros_like, variables["params"]),),
  )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., pathlib.Path]:
  """`saved(**options)` -> checkpoint of a network whose weights are all one."""
  made: dict[str, pathlib.Path] = {}

  def save(**options: object) -> pathlib.Path:
    key = repr(options)
    if key not in made:
      folder = tmp_path_factory.mktemp("checkpoint") / "network"
      facts = {"config": {"model": options}, "dataset": {"name": "toy"}}
      networks.export(folder, filled(hrnet_jax.build_model(**options), 1.0), facts)
      made[key] = folder
    return made[key]

  return save


def taken(state: TrainState) -> dict[str, bool]:
  """Path -> whether the leaf came from the checkpoint (ones) or is as it was (zeros)."""
  flat = traverse_util.flatten_dict(state.variables, sep="/")
  for path, x in flat.items():
    assert np.unique(x).size == 1, path
  return {path: bool(x.ravel()[0]) for path, x in flat.items()}


def test_classification_gives_its_backbone(saved: Callable) -> None:
  before = state_of(**SEGMENTATION)
  state, transfer = start_from(saved(**CLASSIFICATION), before)
  for path, loaded in taken(state).items():
    assert loaded == (path.split("/")[1] == "backbone"), path
  assert {p[1] for p in transfer.unused} == {"representation", "head"}
  assert jax.tree.structure(state) == jax.tree.structure(before)
  assert not any(x.any() for x in jax.tree.leaves(state.opt_state))
  assert int(state.step) == 0


def test_other_classes_change_the_last_layer_only(saved: Callable) -> None:
  state, transfer = start_from(
    saved(**SEGMENTATION), state_of(**{**SEGMENTATION, "num_classes": 8})
  )
  new = {path for path, loaded in taken(state).items() if not loaded}
  assert new == {"params/head/classify/kernel", "params/head/classify/bias"}
  assert (
    {"/".join(p) for p in transfer.initialised} == new == {"/".join(p) for p in transfer.unused}
  )


def test_a_layer_is_loaded_as_a_whole_or_not_at_all(saved: Callable) -> None:
  """From 3 classes on 60 channels to 3 on 4: the bias would fit, but belongs to the kernel."""
  target = state_of(**SEGMENTATION, representation="v1")
  state, _ = start_from(saved(**SEGMENTATION), target)
  assert {path.split("/")[1] for path, loaded in taken(state).items() if not loaded} == {"head"}
  assert not any(loaded for path, loaded in taken(state).items() if "/head/" in path)


def test_the_same_network_is_taken_completely(saved: Callable) -> None:
  state, transfer = start_from(saved(**SEGMENTATION), state_of(**SEGMENTATION))
  assert all(taken(state).values())
  assert transfer.initialised == transfer.unused == ()


def test_pose_leaves_the_outputs_it_does_not_compute(saved: Callable) -> None:
  state, transfer = start_from(saved(**CLASSIFICATION), state_of(**POSE))
  assert all(loaded for path, loaded in taken(state).items() if "/backbone/" in path)
  left = {p[2:4] for p in transfer.unused if p[1] == "backbone"}
  assert left == {("stage4", "exchange_0")}


def test_missing_backbone_tensors_are_refused_by_name(saved: Callable) -> None:
  with pytest.raises(
    ValueError, match=r"another backbone(.|\n)*stage4/exchange_0/\S+: absent there"
  ):
    start_from(saved(**POSE), state_of(**SEGMENTATION))


@pytest.mark.parametrize("change", [{"width": 6}, {"blocks": 2}, {"bottlenecks": 2}])
def test_another_backbone_is_refused(saved: Callable, change: dict) -> None:
  with pytest.raises(ValueError, match=r"has another backbone; set model\.variant"):
    start_from(saved(**SEGMENTATION), state_of(**{**SEGMENTATION, **change}))


def test_a_deeper_checkpoint_is_not_cut_in_silence(saved: Callable) -> None:
  deeper = {**SEGMENTATION, "blocks": 2}
  with pytest.raises(ValueError, match=r"branch_0_0_1/\S+: \(.*\) there, absent in this model"):
    start_from(saved(**deeper), state_of(**SEGMENTATION))


def test_dtypes_and_shardings_are_those_of_the_state(saved: Callable) -> None:
  before = state_of(**SEGMENTATION)
  device = jax.devices()[3]
  before = jax.device_put(before, device)
  state, _ = start_from(saved(**SEGMENTATION), before)
  for x in jax.tree.leaves(state.params):
    assert x.devices() == {device}
    assert x.dtype == jnp.float32


def test_lists(saved: Callable) -> None:
  _, transfer = start_from(saved(**CLASSIFICATION), state_of(**SEGMENTATION))
  summary, listing = transfer.summary(), transfer.listing().splitlines()
  assert f"  loaded: backbone ({len(transfer.loaded)})" in summary.splitlines()
  assert "  initialised: head/classify (2), head/mix (6)" in summary.splitlines()
  assert len(listing) == 1 + sum(map(len, (transfer.loaded, transfer.initialised, transfer.unused)))
  assert "initialised  params/head/classify/bias" in listing
  assert "loaded       batch_stats/backbone/stem_1/bn/mean" in listing
  assert "not used     params/head/kernel" in listing


def test_no_checkpoint(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match=r"config\.init_from: .*nothing holds no checkpoint"):
    start_from(tmp_path / "nothing", state_of(**SEGMENTATION))


@pytest.mark.slow
def test_a_run_starts_from_it_once(
  saved: Callable, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  """The learning rate is 0, so that the weights stay what they were at the start."""
  toy.prepare(tmp_path / "data")
  config = toy.get_config()
  config.data.data_dir = str(tmp_path / "data")
  config.optimizer.update({"learning_rate": 0.0})
  config.train.steps = 1
  source = tmp_path / "source"
  shutil.copytree(saved(**{**SEGMENTATION, "num_classes": 5}), source)
  config.init_from = str(source)
  workdir = tmp_path / "run"
  state = loop.train(config, workdir)
  said = capsys.readouterr().err
  assert "initialised: head/classify (2)" in said
  assert "params/head/classify/kernel" in (workdir / "init_from.txt").read_text()
  head = jax.device_get(state.params["head"])
  np.testing.assert_array_equal(head["mix"]["conv"]["kernel"], 1)
  assert head["classify"]["kernel"].shape[-1] == toy.NUM_CLASSES

  shutil.rmtree(source)  # a run goes on without it
  again = loop.train(config, workdir)
  assert "going on from step 1" in capsys.readouterr().err
  jax.tree.map(np.testing.assert_array_equal, state.params, again.params)


@pytest.mark.slow
def test_a_converted_folder_is_no_workdir(saved: Callable, tmp_path: pathlib.Path) -> None:
  toy.prepare(tmp_path / "data")
  config = toy.get_config()
  config.data.data_dir = str(tmp_path / "data")
  workdir = tmp_path / "converted"
  shutil.copytree(saved(**SEGMENTATION), workdir)
  with pytest.raises(ValueError, match=r"weights alone, no run .* config\.init_from"):
    loop.train(config, workdir)
