"""The trunk: the published variants by parameter count, its levels, and odd image sizes."""

from collections.abc import Callable
import dataclasses
import functools

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models.backbone import VARIANTS, HRNet, HRNetConfig

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}


def traced(trunk: HRNet, *shape: int) -> tuple:
  """Shapes of outputs and variables, without computing anything."""
  init = functools.partial(trunk.init_with_output, train=False)
  return jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


@pytest.mark.parametrize(
  ("size", "expected"),
  [
    ((64, 96), [(16, 24), (8, 12), (4, 6), (2, 3)]),
    ((473, 473), [(119, 119), (60, 60), (30, 30), (15, 15)]),
    ((65, 97), [(17, 25), (9, 13), (5, 7), (3, 4)]),
    ((1, 1), [(1, 1)] * 4),
  ],
)
def test_sizes_are_rounded_up(size: tuple[int, int], expected: list) -> None:
  trunk = hrnet_jax.build_backbone(**TOY)
  ys, _ = traced(trunk, 2, *size, 3)
  assert [y.shape for y in ys] == [(2, *s, 4 * 2**i) for i, s in enumerate(expected)]
  for level, (height, width) in zip(trunk.features, expected, strict=True):
    assert (height, width) == tuple(-(-n // level.stride) for n in size)


def test_levels_are_what_consumers_rely_on() -> None:
  levels = [dataclasses.astuple(level) for level in hrnet_jax.build_backbone("w48").features]
  assert levels == [(48, 4), (96, 8), (192, 16), (384, 32)]


def test_parts_have_the_documented_names() -> None:
  _, variables = traced(hrnet_jax.build_backbone(**TOY), 1, 64, 64, 3)
  assert set(variables["params"]) == {
    *("stem_1", "stem_2", "stage1_0", "transition2", "transition3", "transition4"),
    *("stage2", "stage3", "stage4"),
  }
  flat = traverse_util.flatten_dict(variables["params"], sep="/")
  assert not [k for k in flat if k.endswith("conv/bias")]  # no convolution of the trunk has one


def test_every_parameter_and_every_pixel_counts(filled: Callable) -> None:
  trunk = hrnet_jax.build_backbone(**TOY)
  image = np.random.default_rng(1).standard_normal((1, 33, 40, 3)).astype(np.float32)
  variables = filled(trunk, image)

  @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
  def gradients(params: dict, image: jax.Array) -> tuple:
    def outputs(params: dict, image: jax.Array) -> tuple:
      return trunk.apply({**variables, "params": params}, image, train=False)

    ys, vjp = jax.vjp(outputs, params, image)
    return ys, *vjp(jax.tree.map(jnp.ones_like, ys))

  ys, of_params, of_image = gradients(variables["params"], image)
  assert all(np.isfinite(y).all() and (y >= 0).all() and np.any(y) for y in ys)
  assert np.any(of_image, axis=-1).all()
  flat = traverse_util.flatten_dict(of_params, sep="/")
  assert not [k for k, v in flat.items() if not np.any(v)]


def test_images_need_the_channels_of_the_network() -> None:
  with pytest.raises(ValueError, match=r"images \(B, H, W, 3\), got shape \(1, 64, 64, 1\)"):
    traced(hrnet_jax.build_backbone(**TOY), 1, 64, 64, 1)
  with pytest.raises(ValueError, match=r"images \(B, H, W, 5\), got .*config\.model\.channels"):
    traced(hrnet_jax.build_backbone(channels=5, **TOY), 1, 64, 64, 3)
  with pytest.raises(ValueError, match="channels is 0; expected the number"):
    hrnet_jax.build_backbone(channels=0, **TOY)


@pytest.mark.parametrize("channels", [1, 5])
def test_only_the_first_convolution_depends_on_the_channels(channels: int) -> None:
  kernels = {}
  for count in (3, channels):
    _, variables = traced(hrnet_jax.build_backbone(channels=count, **TOY), 1, 64, 64, count)
    kernels[count] = traverse_util.flatten_dict(variables["params"], sep="/")
  first = "stem_1/conv/kernel"
  assert kernels[channels].pop(first).shape == (3, 3, channels, 64)
  assert kernels[3].pop(first).shape == (3, 3, 3, 64)
  assert kernels[channels] == kernels[3]


def test_size_defaults_are_those_of_the_large_networks() -> None:
  assert (
    VARIANTS["w32"] == HRNetConfig(width=32) == HRNetConfig(width=32, modules=(1, 4, 3), blocks=4)
  )
