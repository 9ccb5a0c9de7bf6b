"""Parameters and multiply-accumulates of networks, counted from the traced program."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hrnet_jax import registry
from hrnet_jax.models.backbone import VARIANTS
from hrnet_jax.models.network import build_model, image_shape
from hrnet_jax.ops.cpu import onednn


@dataclasses.dataclass(frozen=True)
class Summary:
  """Size of one network.

  Attributes:
    task: key of `build_model`.
    variant: key of `VARIANTS`.
    size: input height and width.
    parameters: learnable values; running statistics are not counted.
    macs: multiply-accumulates of convolutions and linear layers for one image, as the papers
      count them: norms, interpolation and biases are free.
  """

  task: str
  variant: str
  size: tuple[int, int]
  parameters: int
  macs: int


def summarize(task: str, variant: str) -> Summary:
  """Counts a network at the paper's input size, without allocating it."""
  size, options = registry.task_spec(task).example
  model = build_model(task=task, variant=variant, **options)
  return Summary(task, variant, size, *count(model, size))


def tasks() -> tuple[str, ...]:
  """The tasks that `summarize` knows."""
  return registry.task_names("example")


def variants() -> tuple[str, ...]:
  """The published networks, smallest first."""
  return tuple(VARIANTS)


def count(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
  """Parameters and multiply-accumulates of `model` for one image of `size` (H, W)."""
  image = jax.ShapeDtypeStruct(image_shape(model, size), jnp.float32)
  variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
  with onednn.portable():
    program = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, image)
  parameters = sum(x.size for x in jax.tree.leaves(variables["params"]))
  return parameters, _macs(program.jaxpr)


def _macs(jaxpr: Any) -> int:
  total = 0
  for equation in jaxpr.eqns:
    outputs = equation.outvars[0].aval.size if equation.outvars else 0
    if equation.primitive.name == "conv_general_dilated":
      kernel = equation.invars[1].aval
      total += outputs * kernel.size // kernel.shape[-1]
    elif equation.primitive.name == "dot_general":
      (contracted, _), _ = equation.params["dimension_numbers"]
      total += outputs * math.prod(equation.invars[0].aval.shape[k] for k in contracted)
    repeats = equation.params["length"] if equation.primitive.name == "scan" else 1
    for parameter in equation.params.values():
      inner = getattr(parameter, "jaxpr", parameter)
      if hasattr(inner, "eqns"):
        total += repeats * _macs(inner)
  return total
