"""Variables from numpy: drawing them in JAX would take longer to compile than the networks."""

from collections.abc import Callable
import functools

from flax import traverse_util
import flax.linen as nn
import jax
import numpy as np
import pytest


def _value(rng: np.random.Generator, leaf: str, shape: tuple[int, ...]) -> np.ndarray:
  if leaf == "kernel":
    return rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
  if leaf in ("scale", "var"):
    return rng.uniform(0.5, 1.5, shape)
  return 0.1 * rng.standard_normal(shape)


@pytest.fixture(scope="session")
def filled() -> Callable:
  """`filled(module, inputs)` -> variables of the module, random and reproducible."""

  def fill(module: nn.Module, inputs: object) -> dict:
    init = functools.partial(module.init, train=False)
    shapes = traverse_util.flatten_dict(jax.eval_shape(init, jax.random.key(0), inputs))
    rng = np.random.default_rng(0)
    flat = {k: _value(rng, k[-1], v.shape).astype(v.dtype) for k, v in shapes.items()}
    return traverse_util.unflatten_dict(flat)

  return fill
