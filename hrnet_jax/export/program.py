"""A trained network as one function: `images (B, H, W, C) uint8` -> predictions or raw outputs.

Normalisation and weights are inside, and batch norms are folded into the convolutions. Batch and
sizes may be left open, `b`, `h` and `w`; they are then settled by every call. What a network takes
besides the images follows them.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import jax
from jax import export
import jax.numpy as jnp
import numpy as np

from hrnet_jax import registry
from hrnet_jax.checkpoint.networks import Loaded
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.errors import UserError
from hrnet_jax.models.folding import fold_batchnorm
from hrnet_jax.ops.cpu import onednn
from hrnet_jax.tasks.interface import Task

STRIDE = 32  # of the coarsest branch
OUTPUTS = ("predictions", "raw")
PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
  """One input of a network besides the images, float32.

  Attributes:
    name: keyword of the task's `outputs`.
    shape: of one image.
    text: for people.
    draw: random values for images of a shape, to check a program with.
  """

  name: str
  shape: tuple[int, ...]
  text: str
  draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
  """Which images a network takes, and what else.

  Attributes:
    height: a number, or an expression in `h` as `jax.export.symbolic_shape` takes it.
    width: the same in `w`.
    padded: whether images are padded to multiples of `STRIDE` inside.
    free: whether all sizes, or all multiples of `STRIDE` where nothing is padded, can be the one.
    usual: height and width that the network was made for, or a small one where any will do.
    text: for people.
    inputs: besides the images.
    judged: method of the network whose outputs show what folding does to it, where those of the
      whole network are choices, which any rounding may turn; else empty.
  """

  height: str
  width: str
  padded: bool = False
  free: bool = True
  usual: tuple[int, int]
  text: str
  inputs: tuple[Input, ...] = ()
  judged: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
  """A network ready to be written.

  Attributes:
    task: of the network as it was trained.
    folded: images and further inputs -> what the program returns, and what is judged: the raw
      outputs that it comes from, or those of the method that `sizes` names.
    trained: the same -> what is judged of the network as it was trained, norms not folded.
    batch: a number or `b`.
    sizes: of the images.
  """

  task: Task
  folded: Callable[..., tuple[Any, Any]]
  trained: Callable[..., Any]
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
  registry.load_plugins(loaded.config.get("plugins", ()))
  sizes_of = registry.task_part(name, "export_sizes", "program")
  sizes = sizes_of(loaded.config.transform.get("eval", {}))
  sizes = sizes if size is None else _fixed(sizes, size)
  task = registry.build_task(loaded.config, DatasetInfo.from_dict(loaded.dataset))
  variables = loaded.variables_for(task.model)
  folded_task, params = task, variables
  if "batch_stats" in params:
    model, params = fold_batchnorm(task.model, params)
    folded_task = dataclasses.replace(task, model=model)

  names = [x.name for x in sizes.inputs]

  def seen(images: jax.Array) -> jax.Array:
    return task.normalize(_pad(images) if sizes.padded else images)

  def network(task: Task, variables: Any, images: jax.Array, *inputs: jax.Array) -> Any:
    return task.outputs(variables, seen(images), **dict(zip(names, inputs, strict=True)))

  def judged(task: Task, variables: Any, images: jax.Array, *inputs: jax.Array) -> Any:
    if not sizes.judged:
      return network(task, variables, images, *inputs)
    return task.model.apply(variables, seen(images), train=False, method=sizes.judged)

  def folded(images: jax.Array, *inputs: jax.Array) -> tuple[Any, Any]:
    raw = network(folded_task, params, images, *inputs)
    returned = plain(raw)
    if outputs != "raw":
      returned = _predict(folded_task, raw, images.shape[1:3], padded=sizes.padded)
    return returned, judged(folded_task, params, images, *inputs) if sizes.judged else raw

  return Program(
    task=task,
    folded=folded,
    trained=functools.partial(judged, task, variables),
    batch=str(batch_size or "b"),
    sizes=sizes,
  )


def trace(program: Program, platforms: Sequence[str] = PLATFORMS) -> export.Exported:
  """Lowers a program to StableHLO for the platforms, without any device of theirs."""
  sizes = program.sizes
  channels = program.task.normalize.channels
  shapes = [f"{program.batch}, {sizes.height}, {sizes.width}, {channels}"]
  shapes += [", ".join(map(str, (program.batch, *x.shape))) for x in sizes.inputs]
  scope = export.SymbolicScope()
  images, *inputs = (export.symbolic_shape(shape, scope=scope) for shape in shapes)
  args = [jax.ShapeDtypeStruct(images, jnp.uint8)]
  args += [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
  run = jax.jit(lambda *args: program.folded(*args)[0])
  with onednn.portable():
    return export.export(run, platforms=tuple(platforms))(*args)


def plain(tree: Any) -> Any:
  """Dicts for named tuples, whose types a program could not be read without."""
  if hasattr(tree, "_asdict"):
    return {key: plain(value) for key, value in tree._asdict().items() if value is not None}
  if isinstance(tree, list | tuple):
    return type(tree)(map(plain, tree))
  return tree


def _fixed(sizes: Sizes, size: tuple[int, int]) -> Sizes:
  height, width = size
  if not sizes.padded:
    free = sizes.free and not (height % STRIDE or width % STRIDE)
    if not free and size != sizes.usual:
      raise UserError(f"--size={height}x{width} does not suit this network: {sizes.text}")
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
