"""Programs of all sizes against the network itself, and sizes that cannot be had."""

from collections.abc import Callable
import functools
from types import SimpleNamespace

import jax
import ml_collections
import numpy as np
import pytest

from hrnet_jax.checkpoint import networks
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.export import program
from hrnet_jax.ops.normalize import Normalize


def compiled(function: Callable, *args: object) -> object:
  low = jax.jit(function).lower(*args)
  return jax.device_get(low.compile({"xla_backend_optimization_level": 0})(*args))


def test_raw_outputs_are_those_of_the_padded_image(stored: Callable) -> None:
  """With corners aligned, where open sizes need positions that the call computes."""
  shape = (2, 33, 70, 3)
  loaded = networks.load(stored("segmentation"))
  exported = program.trace(program.build(loaded, "raw"), ("cpu",))
  images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
  padded = np.pad(images, ((0, 0), (0, -shape[1] % 32), (0, -shape[2] % 32), (0, 0)))
  model = program.registry.build_task(loaded.config, DatasetInfo.from_dict(loaded.dataset)).model
  apply = functools.partial(model.apply, train=False)
  expected = compiled(lambda v, x: apply(v, Normalize()(x)), loaded.variables, padded)
  found = compiled(exported.call, images)
  assert found.shape == (shape[0], padded.shape[1] // 4, padded.shape[2] // 4, 3)
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.std())


def spec(made: program.Program) -> str:
  return f"{made.batch}, {made.sizes.height}, {made.sizes.width}"


@pytest.mark.slow
def test_sizes_are_open_as_far_as_the_task_allows(stored: Callable) -> None:
  build = functools.cache(
    lambda task, **options: program.build(networks.load(stored(task)), "predictions", **options)
  )
  assert spec(build("segmentation")) == "b, h, w"
  assert spec(build("segmentation", size=(45, 70), batch_size=3)) == "3, 45, 70"
  assert spec(build("classification")) == "b, 32*h, 32*w"
  assert spec(build("classification", size=(64, 32))) == "b, 64, 32"
  assert spec(build("landmarks")) == spec(build("landmarks", size=(64, 64))) == "b, 64, 64"
  assert spec(build("detection")) == "b, 64, 96"
  assert spec(build("detection", size=(96, 64), batch_size=2)) == "2, 96, 64"
  with pytest.raises(ValueError, match=r"--size=64x90 does not suit.*canvases of 64x96"):
    build("detection", size=(64, 90))
  with pytest.raises(ValueError, match=r"--size=45x64 does not suit.*multiples of 32"):
    build("classification", size=(45, 64))
  with pytest.raises(ValueError, match=r"--size=128x128 does not suit.*crops of 64x64"):
    build("landmarks", size=(128, 128))


def test_tasks_without_a_program_are_named() -> None:
  loaded = SimpleNamespace(config=ml_collections.ConfigDict({"model": {"task": "juggling"}}))
  with pytest.raises(ValueError, match="'juggling'; known: classification, detection, land"):
    program.build(loaded, "predictions")
