"""Scores of the test protocols against the official code, on any number of devices."""

import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.data import images
from hrnet_jax.distributed import sharding
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.segmentation.multi_scale import MultiScale
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig
from hrnet_jax.training import optimizer
from tests.golden import recipe
from tests.helpers import toy
from tests.helpers.processor import has_avx512

_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})
MANY = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


class Pooled(nn.Module):
  """The network of the check values: colours mixed by a fixed matrix, averaged over 4x4 pixels."""

  num_outputs: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    weight = np.random.RandomState(3).standard_normal((self.num_outputs, 3)).astype(np.float32)
    y = jnp.einsum("bhwc,kc->bhwk", x, weight, precision="highest")
    return nn.avg_pool(y, (4, 4), (4, 4))


def scores(model, method, protocol, x, mesh=None, size=None, out=None):
  """Scores of the same image on every device of a mesh, `(D, H, W, K)`."""
  mesh = mesh or one_device()
  size, out = size or x.shape[:2], out or x.shape[:2]
  stack = sharding.device_put_rows(np.stack([x] * mesh.size), mesh)
  variables = model if isinstance(model, tuple) else (model, {})
  run = MultiScale(variables[0], Normalize(), method, protocol, mesh)
  placed = jax.device_put(variables[1], sharding.replicated(mesh))
  sizes = [size] * mesh.size
  return np.asarray(run(placed, stack, sizes, sizes, out))


def one_device():
  return jax.make_mesh((1,), ("data",), devices=jax.devices()[:1], axis_types=(toy.AxisType.Auto,))


# Computed by the official code on the network above; the facts give sums, single values and the
# histogram of the classes for both conventions of interpolation.
CASES = {
  "whole": (
    (5, (32, 64), 5, {"kind": "whole", "base_size": 64, "crop_size": (32, 64), "flip": True}),
    MANY[:6],
    (64052.9388, 5.7045627, 6.4257607, [485, 543, 30, 376, 614]),
    (64011.0520, 5.7927175, 6.4257607, [475, 559, 24, 355, 635]),
  ),
  "windows": (
    (6, (40, 52), 5, {"kind": "windows", "base_size": 52, "crop_size": (48, 48), "flip": True}),
    MANY,
    (83006.4218, 6.9568481, 0.8295079, [399, 784, 23, 373, 501]),
    (81917.9298, 6.9495702, 1.2788429, [390, 774, 21, 372, 523]),
  ),
  "left and right": (
    (
      8,
      (48, 48),
      20,
      {
        "kind": "windows",
        "base_size": 48,
        "crop_size": (48, 48),
        "flip": True,
        "flip_pairs": ((14, 15), (16, 17), (18, 19)),
      },
    ),
    (1.0,),
    (48011.3425, 0.9232564, 1.0313110, None),
    (48068.2543, 0.9336224, 1.0313110, None),
  ),
}


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_check_values_of_the_reference(case, aligned):
  (seed, (height, width), count, options), scales, *expected = CASES[case]
  x = np.random.RandomState(seed).standard_normal((1, 3, height, width)).astype(np.float32)
  method = Resize.BILINEAR_ALIGNED if aligned else Resize.BILINEAR
  protocol = MultiScaleConfig(scales=scales, **options)
  y = scores(Pooled(count), method, protocol, x[0].transpose(1, 2, 0))[0]
  total, inside, last, histogram = expected[aligned]
  assert y.sum(dtype=np.float64) == pytest.approx(total, rel=2e-6)
  assert y[10, 20, 2] == pytest.approx(inside, rel=2e-6)
  assert y[-1, -1, -1] == pytest.approx(last, rel=2e-6)
  if histogram:
    assert np.bincount(y.argmax(-1).ravel(), minlength=count).tolist() == histogram


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "windows"])
def test_every_device_computes_what_one_would_alone(kind):
  x = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
  protocol = MultiScaleConfig(
    kind=kind, base_size=56, crop_size=(32, 32), scales=(0.5, 1, 1.5), flip=True
  )
  model = hrnet_jax.build_model(**toy.MODEL)
  state = toy.make_state(model, TX, toy.make_mesh(1))
  run = functools.partial(scores, (model, state.variables), Resize.BILINEAR, protocol, x)
  alone, together = run(), run(mesh=sharding.local_mesh())
  assert together.shape == (8, 40, 56, 3)
  for row in together[1:]:
    np.testing.assert_array_equal(row, together[0])
  # The compiler divides a program for several devices in a pass of its own, after which it may
  # fuse, and so round, in another way. Where vectors are wide enough, it does not.
  rtol = 0 if has_avx512() else 1e-5
  np.testing.assert_allclose(together[0], alone[0], rtol=rtol)


def test_room_around_an_image_changes_nothing():
  x = np.random.default_rng(1).normal(size=(40, 52, 3)).astype(np.float32)
  protocol = MultiScaleConfig(kind="windows", base_size=52, crop_size=(48, 48), scales=(0.5, 1.5))
  plain = scores(Pooled(4), Resize.BILINEAR, protocol, x)
  roomy = np.full((64, 64, 3), 1e3, np.float32)
  roomy[:40, :52] = x
  again = scores(Pooled(4), Resize.BILINEAR, protocol, roomy, size=(40, 52), out=(64, 64))
  np.testing.assert_array_equal(again[:, :40, :52], plain)


@pytest.mark.slow
def test_images_of_several_sizes_at_once_are_as_one_by_one():
  mesh = sharding.local_mesh()
  rng, sizes = np.random.default_rng(2), [(30 + 5 * i, 70 - 6 * i) for i in range(8)]
  xs = [rng.normal(size=(*size, 3)).astype(np.float32) for size in sizes]
  stack = np.zeros((8, 70, 70, 3), np.float32)
  for row, x in zip(stack, xs, strict=True):
    row[: x.shape[0], : x.shape[1]] = x
  protocol = MultiScaleConfig(kind="windows", base_size=60, crop_size=(40, 32), scales=(0.75, 1.25))
  run = MultiScale(Pooled(4), Normalize(), Resize.BILINEAR, protocol, mesh)
  together = np.asarray(run({}, sharding.device_put_rows(stack, mesh), sizes, sizes, (70, 70)))
  for y, x in zip(together, xs, strict=True):
    alone = scores(Pooled(4), Resize.BILINEAR, protocol, x)[0]
    np.testing.assert_allclose(y[: x.shape[0], : x.shape[1]], alone, rtol=1e-6)


def test_whole_images_of_several_sizes_are_refused():
  mesh = one_device()
  protocol = MultiScaleConfig(kind="whole", base_size=64, crop_size=(32, 64))
  run = MultiScale(Pooled(4), Normalize(), Resize.BILINEAR, protocol, mesh)
  with pytest.raises(ValueError, match="'whole' needs images of one size"):
    run._tile([(32, 64), (40, 64)], 1.0)


def golden_cases(folder):
  return sorted((folder / "segmentation_inference").glob("*.npz"))


@pytest.mark.wide
@pytest.mark.slow
def test_official_network_and_photo(shared):
  """All fixtures of `multi_scale_inference`: values, and the class of every pixel."""
  sources = np.load(shared / "golden" / "sources.npz")
  paths = golden_cases(shared / "golden")
  assert len(paths) == 8
  for path in paths:
    fixture = np.load(path)
    meta = json.loads(str(fixture["meta"]))
    method = Resize.BILINEAR_ALIGNED if meta["align_corners"] else Resize.BILINEAR
    kind = "whole" if meta["variant"] == "cityscapes" else "windows"
    model, variables = official(shared, fixture, meta, method)
    protocol = MultiScaleConfig(
      kind=kind,
      base_size=meta["base_size"],
      crop_size=meta["crop_size"],
      scales=meta["scales"],
      flip=meta["flip"],
    )
    image = images.decode_image(sources[meta["source"]["image"]].tobytes(), "photo")
    assert recipe.crc32(image) == meta["source"]["image_rgb_crc32"]
    y = scores((model, variables), method, protocol, image)[0]
    step, expected = meta["subsample"], fixture["final_pred"]
    noise = meta["noise"]["max_relative_difference_f32_f64"]
    np.testing.assert_allclose(y[::step, ::step], expected, rtol=max(3 * noise, 3e-5))
    assert (y.argmax(-1) != fixture["argmax"]).sum() <= 1, path.name


def official(shared, fixture, meta, method):
  """The network of a fixture and its weights."""
  model = hrnet_jax.build_model(
    task="segmentation", variant="w18_small_v1", num_classes=meta["num_classes"], upsample=method
  )
  keys = json.loads((shared / "golden" / "models" / f"{meta['model']}.json").read_text())
  weights = {}
  for key, shape in keys["state_dict"].items():
    shape = [meta["num_classes"], *shape[1:]] if key.startswith("last_layer.3.") else shape
    weights[key] = recipe.fill(key, tuple(shape))
  weights["last_layer.3.weight"] *= np.float32(meta["last_layer_gain"])
  weights["last_layer.3.bias"] = fixture["last_layer_bias"]
  return model, hrnet_jax.convert.from_torch(model, weights)
