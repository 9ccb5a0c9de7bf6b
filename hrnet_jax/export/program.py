"""A trained network as one function: `images (B, H, W, 3) uint8` -> predictions or raw outputs.

Normalisation and weights are inside, and batch norms are folded into the convolutions. Batch and
sizes may be left open, `b`, `h` and `w`; they are then settled by every call.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import types
from typing import Any

import jax
from jax import export
import jax.numpy as jnp

from hrnet_jax.models.folding import fold_batchnorm
from hrnet_jax.ops.normalize import normalize
from hrnet_jax.tasks import registry
from hrnet_jax.tasks.protocol import Task
from hrnet_jax.training.checkpoint import Loaded

STRIDE = 32  # of the coarsest branch
OUTPUTS = ("predictions", "raw")
PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
  """Which images a network takes.

  Attributes:
    height: a number, or an expression in `h` as `jax.export.symbolic_shape` takes it.
    width: the same in `w`.
    padded: whether images are padded to multiples of `STRIDE` inside.
    usual: height and width that the network was made for, or a small one where any will do.
    text: for people.
  """

  height: str
  width: str
  padded: bool
  usual: tuple[int, int]
  text: str


def _any(transform: Mapping[str, Any]) -> Sizes:
  del transform
  return Sizes(
    height="h",
    width="w",
    padded=True,
    usual=(64, 96),
    text=f"any size; padded inside with black at the bottom and right to multiples of {STRIDE}",
  )


def _multiples(transform: Mapping[str, Any]) -> Sizes:
  usual = tuple(map(int, transform["crop_size"]))
  return Sizes(
    height=f"{STRIDE}*h",
    width=f"{STRIDE}*w",
    padded=False,
    usual=usual,
    text=f"sides are multiples of {STRIDE}; the network was evaluated at {usual[0]}x{usual[1]}",
  )


def _crop(transform: Mapping[str, Any]) -> Sizes:
  side = int(transform["crop_size"])
  text = f"crops of {side}x{side}, cut out around an object as in evaluation"
  return Sizes(height=str(side), width=str(side), padded=False, usual=(side, side), text=text)


# By task: `config.transform.eval` -> the images that its networks take.
SIZES: dict[str, Callable[[Mapping[str, Any]], Sizes]] = {
  "classification": _multiples,
  "landmarks": _crop,
  "segmentation": _any,
}
# Tasks that have no program, and why.
REFUSED: dict[str, str] = {
  "detection": "besides the pixels a detector takes the size of every image without padding, for "
  "which the programs have no input; `python -m hrnet_jax.predict` runs it",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
  """A network ready to be written.

  Attributes:
    folded: images -> what the program returns, and the raw outputs that it comes from.
    trained: images -> raw outputs of the network as it was trained, norms not folded.
    batch: a number or `b`.
    sizes: of the images.
  """

  folded: Callable[[jax.Array], tuple[Any, Any]]
  trained: Callable[[jax.Array], Any]
  batch: str
  sizes: Sizes


def build(
  loaded: Loaded, outputs: str, *, size: tuple[int, int] | None = None, batch_size: int = 0
) -> Program:
  """Makes a checkpoint's program.

  Args:
    loaded: the checkpoint.
    outputs: of `OUTPUTS`: `predictions` are the task's; `raw` is what the network returns, for
      padded images that of the padded image.
    size: the one height and width of all images; by default what the task allows.
    batch_size: the one number of images; any by default.

  Raises:
    ValueError: the task has no program, or the network cannot take images of this size.
  """
  name = loaded.config.model.task
  if name in REFUSED:
    raise ValueError(f"no program for task {name!r}: {REFUSED[name]}")
  if name not in SIZES:
    raise ValueError(f"no program for task {name!r}; known: {', '.join(sorted(SIZES))}")
  sizes = SIZES[name](loaded.config.transform.get("eval", {}))
  sizes = sizes if size is None else _fixed(sizes, size)
  task = registry.build(loaded.config, types.SimpleNamespace(**loaded.dataset))
  model, params = fold_batchnorm(task.model, loaded.variables)
  folded_task = dataclasses.replace(task, model=model)

  def network(task: Task, variables: Any, images: jax.Array) -> Any:
    return task.outputs(variables, normalize(_pad(images) if sizes.padded else images))

  def folded(images: jax.Array) -> tuple[Any, Any]:
    raw = network(folded_task, params, images)
    if outputs == "raw":
      return raw, raw
    return _predict(folded_task, raw, images.shape[1:3], padded=sizes.padded), raw

  return Program(
    folded=folded,
    trained=lambda images: network(task, loaded.variables, images),
    batch=str(batch_size or "b"),
    sizes=sizes,
  )


def trace(program: Program, platforms: Sequence[str] = PLATFORMS) -> export.Exported:
  """Lowers a program to StableHLO for the platforms, without any device of theirs."""
  shape = f"{program.batch}, {program.sizes.height}, {program.sizes.width}, 3"
  images = jax.ShapeDtypeStruct(export.symbolic_shape(shape), jnp.uint8)
  run = jax.jit(lambda images: program.folded(images)[0])
  return export.export(run, platforms=tuple(platforms))(images)


def _fixed(sizes: Sizes, size: tuple[int, int]) -> Sizes:
  height, width = size
  if not sizes.padded:
    free = sizes.height.startswith(f"{STRIDE}*") and not (height % STRIDE or width % STRIDE)
    if not free and size != sizes.usual:
      raise ValueError(f"--size={height}x{width} does not suit this network: {sizes.text}")
  return dataclasses.replace(
    sizes, height=str(height), width=str(width), usual=size, text=f"{height}x{width} alone"
  )


def _pad(images: jax.Array) -> jax.Array:
  height, width = _whole(images.shape[1:3])
  bottom, right = height - images.shape[1], width - images.shape[2]
  return jnp.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))


def _whole(size: tuple[Any, Any]) -> tuple[Any, Any]:
  """Sizes rounded up, as 32 times whole numbers also where they are left open.

  The network's halvings and doublings have to be known to fit.
  """
  height, width = (STRIDE * ((n + STRIDE - 1) // STRIDE) for n in size)
  return height, width


def _predict(task: Task, raw: Any, size: tuple[Any, Any], *, padded: bool) -> Any:
  if not padded:
    return task.predict(raw, size)
  height, width = size
  return jax.tree.map(lambda x: x[:, :height, :width], task.predict(raw, _whole(size)))
