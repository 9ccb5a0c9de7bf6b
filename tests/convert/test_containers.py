"""Every container and prefix comes off, and nothing else does."""

import numpy as np
import pytest

from hrnet_jax.convert import containers

TENSORS = {"conv1.weight": np.ones((2, 3, 1, 1)), "bn1.weight": np.ones(2)}


@pytest.mark.parametrize(
  "content",
  [
    TENSORS,
    {"state_dict": TENSORS, "epoch": 3},
    {"model": TENSORS, "optimizer": {"state": {0: np.zeros(2)}}},
    {"model": "cls_hrnet", "state_dict": TENSORS, "perf": np.float64(76.8)},
    {"state_dict": {"state_dict": TENSORS}, "best_state_dict": {"other": np.zeros(1)}},
    {"state_dict": TENSORS, "model": {"other": np.zeros(1)}},
  ],
)
def test_unwrap_finds_the_weights(content: dict) -> None:
  assert containers.unwrap(content, "file") == TENSORS


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ({"epoch": 3, "arch": "hrnet"}, r"f\.pth holds no weights: found \['epoch', 'arch'\]"),
    ([np.zeros(2)], r"f\.pth holds no weights: found list, expected names such as conv1\.weight"),
    ({"state_dict": {}}, r"found \[\]"),
    ({**TENSORS, "note": "by me"}, "among its weights that are none: note$"),
  ],
)
def test_unwrap_refuses_what_holds_no_weights(content: object, message: str) -> None:
  with pytest.raises(ValueError, match=message):
    containers.unwrap(content, "f.pth")


@pytest.mark.parametrize(
  "prefix",
  ["", "model.", "module.", "module.model.", "backbone.", "backbone.body.", "module.backbone."],
)
def test_prefixes_come_off(prefix: str) -> None:
  given = {f"{prefix}{name}": x for name, x in TENSORS.items()}
  assert containers.clean(given) == TENSORS


def test_the_loss_goes_and_all_else_stays() -> None:
  given = {
    "model.conv1.weight": np.ones(1),
    "loss.criterion.weight": np.ones(19),
    "module.loss.criterion.weight": np.ones(19),
    "neck.fpn_conv.0.weight": np.ones(1),
    "incre_modules.0.0.bn1.num_batches_tracked": np.zeros((), np.int64),
    "modules_of_another_kind.weight": np.ones(1),
  }
  assert set(containers.clean(given)) == {
    "conv1.weight",
    "neck.fpn_conv.0.weight",
    "incre_modules.0.0.bn1.num_batches_tracked",
    "modules_of_another_kind.weight",
  }


def test_two_tensors_of_one_name_are_refused() -> None:
  given = {"conv1.weight": np.ones(1), "model.conv1.weight": np.zeros(1)}
  with pytest.raises(ValueError, match=r"conv1.weight and model.conv1.weight, which are both"):
    containers.clean(given)


def test_in_place_abn_scales_by_the_absolute_value() -> None:
  norm = {
    "bn1.weight": np.array([0.5, -0.25, 0.0], np.float32),
    "bn1.bias": np.array([-1.0, 2.0, -3.0], np.float32),
    "bn1.running_mean": np.array([-1.0, 0.0, 1.0], np.float32),
    "conv1.weight": np.full((1, 1, 1, 1), -2.0, np.float32),
    "last_layer.3.bias": np.array([-4.0], np.float32),
  }
  changed = containers.absolute_scales(norm)
  np.testing.assert_allclose(changed["bn1.weight"], [0.50001, 0.25001, 0.00001], rtol=1e-6)
  assert changed["bn1.weight"].dtype == np.float32
  for name in norm.keys() - {"bn1.weight"}:
    assert changed[name] is norm[name]


def test_abn_is_suspected_only_where_signs_and_counters_speak_for_it() -> None:
  plain = {"bn1.weight": np.array([0.5, -0.25, 1.0]), "bn1.running_mean": np.zeros(3)}
  assert containers.abn_suspicion(plain).startswith("1 of 3 scales of norms are negative")
  assert not containers.abn_suspicion({**plain, "bn1.weight": np.ones(3)})
  assert not containers.abn_suspicion({**plain, "bn1.num_batches_tracked": np.zeros(())})


def test_other_weights_are_named_and_can_be_chosen() -> None:
  averaged = {name: x + 1 for name, x in TENSORS.items()}
  content = {"state_dict": TENSORS, "state_dict_ema": averaged, "optimizer": {"state": {}}}
  said: list[str] = []
  assert containers.unwrap(content, "f", containers.Choice(say=said.append)) == TENSORS
  assert said == [
    "f: state_dict is taken; there are other weights, too: state_dict_ema; "
    "--entry=state_dict_ema takes those"
  ]
  chosen = containers.Choice("state_dict_ema", said.append)
  assert containers.unwrap(content, "f", chosen) == averaged
  assert len(said) == 1
  with pytest.raises(
    ValueError, match="no weights called 'ema'; those it has: state_dict, state_d"
  ):
    containers.unwrap(content, "f", containers.Choice("ema"))


def test_a_dict_that_holds_itself_comes_to_an_end() -> None:
  content: dict = {}
  content["state_dict"] = content
  with pytest.raises(ValueError, match="holds no weights"):
    containers.unwrap(content, "f")
