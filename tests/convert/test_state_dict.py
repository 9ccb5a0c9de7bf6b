"""Conversion is strict, exact and complete."""

import json
import pathlib

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.convert import from_torch, to_torch
from tests.golden import recipe

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}


def toy(**options: object) -> hrnet_jax.models.network.Network:
  return hrnet_jax.build_model(
    task="segmentation", num_classes=3, upsample="bilinear", **TOY, **options
  )


@pytest.fixture(scope="module")
def state_dict() -> dict[str, np.ndarray]:
  """The toy network's tensors under the reference's names."""
  image = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
  shapes = jax.eval_shape(lambda x: toy().init(jax.random.key(0), x, train=False), image)
  zeros = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
  return recipe.fill_all({k: v.shape for k, v in to_torch(toy(), zeros).items()})


def test_round_trip_of_small_v1_is_exact(golden: pathlib.Path) -> None:
  model = hrnet_jax.build_model(
    task="segmentation", variant="w18_small_v1", num_classes=19, upsample="bilinear"
  )
  shapes = json.loads((golden / "models" / "seg_w18_small_v1.json").read_text())["state_dict"]
  tensors = recipe.fill_all(shapes)
  variables = from_torch(model, tensors)
  back = to_torch(model, variables)
  assert set(back) == set(tensors)
  for name, value in tensors.items():
    assert back[name].dtype == value.dtype, name
    np.testing.assert_array_equal(back[name], value, err_msg=name)
  again = from_torch(model, back)
  jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_axes_are_moved(state_dict: dict) -> None:
  """Output 3, input 1, row 0, column 2 of the second stem convolution."""
  variables = from_torch(toy(), state_dict)
  kernel = variables["params"]["backbone"]["stem_2"]["conv"]["kernel"]
  assert kernel[0, 2, 1, 3] == state_dict["conv2.weight"][3, 1, 0, 2]
  norm = variables["batch_stats"]["head"]["mix"]["bn"]
  np.testing.assert_array_equal(norm["mean"], state_dict["last_layer.1.running_mean"])
  np.testing.assert_array_equal(norm["var"], state_dict["last_layer.1.running_var"])


def test_every_kind_of_misfit_is_listed_at_once(state_dict: dict) -> None:
  broken = {k: v for k, v in state_dict.items() if k not in ("conv1.weight", "bn2.running_var")}
  broken["last_layer.3.weight"] = np.zeros((7, 60, 1, 1), np.float32)
  broken["stage4.0.branches.0.0.bn1.bias"] = np.zeros((1, 4), np.float32)
  broken["classifier.weight"] = np.zeros((1000, 2048), np.float32)
  broken["model.conv1.weight"] = state_dict["conv1.weight"]
  with pytest.raises(ValueError, match="does not fit") as error:
    from_torch(toy(), broken)
  _, reason, missing, unused, misshapen = str(error.value).splitlines()
  assert "7 outputs" in reason
  assert missing.startswith("  2 missing: ")
  assert "conv1.weight (64, 3, 3, 3)" in missing
  assert "bn2.running_var (64,)" in missing
  assert unused == "  2 unused: classifier.weight, model.conv1.weight"
  assert misshapen.startswith("  2 of another shape: ")
  assert "last_layer.3.weight: (7, 60, 1, 1), expected (3, 60, 1, 1)" in misshapen
  assert "stage4.0.branches.0.0.bn1.bias: (1, 4), expected (4,)" in misshapen


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda t: t.pop("conv1.weight"), r"1 missing: conv1\.weight \(64, 3, 3, 3\)$"),
    (lambda t: t.update(extra=np.zeros(1)), "1 unused: extra$"),
    (
      lambda t: t.update({"bn1.bias": np.zeros(3)}),
      r"1 of another shape: bn1\.bias: \(3,\), expected \(64,\)$",
    ),
  ],
)
def test_one_misfit_is_the_only_one_listed(state_dict: dict, change: object, message: str) -> None:
  tensors = dict(state_dict)
  change(tensors)
  with pytest.raises(ValueError, match=message) as error:
    from_torch(toy(), tensors)
  assert len(str(error.value).splitlines()) == 2


def test_batch_counters_are_not_needed(state_dict: dict) -> None:
  without = {k: v for k, v in state_dict.items() if not k.endswith("num_batches_tracked")}
  assert len(without) < len(state_dict)
  full, bare = (to_torch(toy(), from_torch(toy(), t)) for t in (state_dict, without))
  assert set(full) == set(bare) == set(state_dict)
  assert full["bn1.num_batches_tracked"] == 0


def test_parameters_take_the_dtype_of_the_model(state_dict: dict) -> None:
  wide = {k: v.astype(np.float64) for k, v in state_dict.items()}
  variables = from_torch(toy(dtype="bfloat16"), wide)
  assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
  with jax.enable_x64(True):
    variables = from_torch(toy(dtype="float64"), wide)
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float64")}


def test_variables_are_copies(state_dict: dict) -> None:
  """Changing the state_dict afterwards, as an optimizer in PyTorch does, changes nothing here."""
  tensors = {k: aligned(v) for k, v in state_dict.items()}
  variables = from_torch(toy(), tensors)
  for value in tensors.values():
    value[...] = 77
  flat = traverse_util.flatten_dict(variables, sep="/")
  changed = [k for k, v in flat.items() if (np.asarray(v) == 77).any()]
  assert not changed


def aligned(value: np.ndarray) -> np.ndarray:
  """A copy at an address that JAX would take over without copying."""
  buffer = np.empty(value.nbytes + 64, np.uint8)
  start = -buffer.ctypes.data % 64
  copy = buffer[start : start + value.nbytes].view(value.dtype).reshape(value.shape)
  copy[...] = value
  return copy


def test_variables_of_another_model_are_refused(state_dict: dict) -> None:
  deeper = hrnet_jax.build_model(
    task="segmentation", num_classes=3, upsample="bilinear", **{**TOY, "blocks": 2}
  )
  with pytest.raises(ValueError, match=r"not this model's; .*stage2/branch_0_0_1/conv1/bn"):
    to_torch(deeper, from_torch(toy(), state_dict))
