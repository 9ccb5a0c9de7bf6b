"""Heads: numbers by hand, parameters and dtypes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.layers import LayerConfig
from hrnet_jax.tasks.segmentation.ocr import OCRHead


def layer_config(dtype: str = "float32") -> LayerConfig:
  return LayerConfig(dtype=dtype, bn_momentum=0.01, init="normal_0.001")


def shapes(head: PixelHead) -> dict:
  x = jax.ShapeDtypeStruct((1, 3, 5, 6), jnp.float32)
  return jax.eval_shape(lambda x: head.init(jax.random.key(0), x, train=False), x)


def test_parameters_are_those_of_the_reference() -> None:
  """6 * 6 + 6 and 2 * 6 for the mixing, 6 * 4 + 4 for the scores."""
  params = shapes(PixelHead(4, layer_config()))["params"]
  assert {k: v.shape for k, v in params["mix"]["conv"].items()} == {
    "kernel": (1, 1, 6, 6),
    "bias": (6,),
  }
  assert {k: v.shape for k, v in params["classify"].items()} == {
    "kernel": (1, 1, 6, 4),
    "bias": (4,),
  }
  assert sum(a.size for a in jax.tree.leaves(params)) == 42 + 12 + 28


def test_mixing_is_rectified_and_scores_are_not() -> None:
  """x = 1: mixed to 2 - 1 = 1 and -2 + 1 -> 0; scores 3 * 1 - 5 and -1."""
  variables = {
    "params": {
      "mix": {
        "conv": {"kernel": jnp.array([[[[2.0, -2], [0, 0]]]]), "bias": jnp.array([-1.0, 1])},
        "bn": {"scale": jnp.ones(2), "bias": jnp.zeros(2)},
      },
      "classify": {"kernel": jnp.array([[[[3.0, 0], [9, 9]]]]), "bias": jnp.array([-5.0, -1])},
    },
    "batch_stats": {"mix": {"bn": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}},
  }
  y = PixelHead(2, layer_config()).apply(variables, jnp.array([[[[1.0, 7]]]]), train=False)
  np.testing.assert_allclose(y.ravel(), [-2, -1], atol=2e-5)


def test_convolutions_of_the_ocr_head_start_as_in_pytorch() -> None:
  """Whatever the trunk starts with: uniform between the ends 1 / sqrt(fan-in)."""
  head = OCRHead(4, layer_config(), width=32, key_width=16)
  x = jnp.zeros((1, 3, 5, 24))
  params = jax.jit(lambda x: head.init(jax.random.key(0), x, train=False))(x)["params"]
  kernels = {
    jax.tree_util.keystr(path): k
    for path, k in jax.tree_util.tree_leaves_with_path(params)
    if k.ndim == 4
  }
  assert len(kernels) == 11
  for name, kernel in kernels.items():
    bound = (kernel.size / kernel.shape[-1]) ** -0.5
    assert 0.8 * bound < np.abs(kernel).max() <= bound, name


def test_scores_of_a_bfloat16_head_are_computed_in_float32(filled: Callable) -> None:
  head = PixelHead(4, layer_config("bfloat16"))
  x = np.random.default_rng(1).standard_normal((1, 3, 5, 6)).astype(np.float32)
  variables = filled(head, x)
  assert {a.dtype for a in jax.tree.leaves(variables)} == {np.dtype("float32")}
  y = jax.jit(lambda v, x: head.apply(v, x, train=False))(variables, x)
  assert y.dtype == jnp.float32
  # not on the coarse grid of bfloat16
  assert (y != y.astype(jnp.bfloat16).astype(jnp.float32)).any()
