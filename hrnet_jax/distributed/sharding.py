"""Where arrays live: the only module that names a mesh axis or builds a PartitionSpec."""

from collections.abc import Callable, Mapping, Sequence
import functools
import math
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding
import numpy as np

from hrnet_jax.errors import UserError

DATA, SPACE = "data", "space"  # batch axis, image-height axis


def make_mesh(shape: Mapping[str, int], devices: Sequence[Any] | None = None) -> Mesh:
  """Builds the mesh over all devices of all processes.

  Args:
    shape: sizes of the axes `data` and `space`; one of them may be -1 and takes what is left,
      a missing one is 1.
    devices: other devices, such as those of a topology that is not here.

  Raises:
    ValueError: an unknown axis, or sizes that do not cover the devices.
  """
  if unknown := sorted(set(shape) - {DATA, SPACE}):
    raise UserError(f"unknown mesh axes {unknown}; known: {DATA}, {SPACE}")
  sizes = {DATA: 1, SPACE: 1} | dict(shape)
  devices = jax.devices() if devices is None else devices
  count = len(devices)
  fixed = math.prod(size for size in sizes.values() if size != -1)
  if fixed >= 1 and list(sizes.values()).count(-1) == 1:
    sizes = {axis: count // fixed if size == -1 else size for axis, size in sizes.items()}
  if min(sizes.values()) < 1 or math.prod(sizes.values()) != count:
    raise UserError(f"mesh {dict(shape)} does not cover the {count} devices; use -1 for one axis")
  # The default type of axes is Explicit, which asks every scatter for an output sharding.
  types = (AxisType.Auto,) * len(sizes)
  mesh = jax.make_mesh(tuple(sizes.values()), tuple(sizes), devices=devices, axis_types=types)
  # What is near in the topology stays near; the examples of a process become one run of rows.
  rows = sorted(mesh.devices, key=lambda row: sorted((d.process_index, d.id) for d in row))
  return Mesh(np.array(rows), mesh.axis_names, axis_types=types)


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds all of the array."""
  return NamedSharding(mesh, PartitionSpec())


def data_share(mesh: Mesh) -> tuple[int, int]:
  """Which part of every global batch this process reads, and into how many parts it is divided.

  Where one image lies on devices of several processes, these read the same part.

  Raises:
    ValueError: the processes cannot take equal parts on this mesh.
  """
  owners = [sorted({d.process_index for d in row}) for row in mesh.devices]
  shares = [rows for i, rows in enumerate(owners) if i == 0 or rows != owners[i - 1]]
  own = [i for i, rows in enumerate(shares) if jax.process_index() in rows]
  if len(own) != 1 or len({owners.count(rows) for rows in shares}) != 1:
    raise UserError(
      f"{jax.process_count()} processes cannot take equal parts of a batch on mesh "
      f"{dict(mesh.shape)}; make mesh.space divide the devices of a process, or the reverse"
    )
  return own[0], len(shares)


def batch_shardings(mesh: Mesh, batch: Mapping[str, Any]) -> dict[str, NamedSharding]:
  """Axis 0 is the batch; axis 1 of the image, and of maps of its size, is the height.

  Args:
    mesh: devices.
    batch: arrays or their shapes by name, with `image (B, H, W, 3)`.
  """
  size = batch["image"].shape[1:3]

  def spec(x: Any) -> PartitionSpec:
    return PartitionSpec(DATA, SPACE) if x.shape[1:3] == size else PartitionSpec(DATA)

  return {name: NamedSharding(mesh, spec(x)) for name, x in batch.items()}


def local_mesh() -> Mesh:
  """The devices of this process alone in one row, for work that processes do not share."""
  devices = jax.local_devices()
  return jax.make_mesh((len(devices),), (DATA,), devices=devices, axis_types=(AxisType.Auto,))


def device_put_rows(x: Any, mesh: Mesh) -> Any:
  """Puts arrays `(D, ...)` on a local mesh of D devices, one row on each."""
  return jax.device_put(x, NamedSharding(mesh, PartitionSpec(DATA)))


def local_copy(x: Any) -> Any:
  """Copies on one device of this process of arrays that every device of every process holds."""
  return jax.tree.map(lambda a: a.addressable_data(0), x)


def device_put_replicated(x: Any, mesh: Mesh) -> Any:
  """Puts arrays that every device of every process holds on all devices of a local mesh."""
  return jax.device_put(local_copy(x), replicated(mesh))


def on_each_device(
  function: Callable[..., Any],
  *,
  mesh: Mesh,
  shared: int = 0,
  static: Sequence[str] = (),
  donate: Sequence[int] = (),
) -> Callable[..., Any]:
  """Compiles `function` to run on every device of a local mesh with its own rows.

  A device computes what it would alone: nothing is exchanged, and the result does not depend on
  how many there are, but for rounding where the compiler fuses a divided program in another way.

  Args:
    function: takes and returns arrays whose first axis is divided over the devices.
    mesh: from `local_mesh`.
    shared: how many of the first arguments every device holds whole.
    static: names of keywords that are not arrays.
    donate: positions of the arguments whose memory may be used again.
  """
  rows, whole = PartitionSpec(DATA), PartitionSpec()

  @functools.partial(jax.jit, static_argnames=tuple(static), donate_argnums=tuple(donate))
  def run(*args: Any, **options: Any) -> Any:
    specs = tuple(whole if i < shared else rows for i in range(len(args)))
    body = functools.partial(function, **options)
    return jax.shard_map(body, mesh=mesh, in_specs=specs, out_specs=rows)(*args)

  return run


def on_own_devices(value: int, mesh: Mesh) -> jax.Array:
  """A global array `(devices,)` int32 that holds the value on the devices of this process."""
  where = NamedSharding(mesh, PartitionSpec((DATA, SPACE)))
  return jax.make_array_from_callback((mesh.size,), where, lambda _: np.full(1, value, np.int32))


def device_put_global(x: Any, where: Sharding) -> Any:
  """Puts arrays of numpy that all processes have, on devices of one or of many processes."""
  return jax.tree.map(lambda a: jax.make_array_from_callback(a.shape, where, a.__getitem__), x)


def to_global(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """Puts this process's part `{name: (b, ...)}` on its devices, as part of global arrays.

  Images are whole, also where other processes have a part of their height.

  Raises:
    ValueError: the height of the image cannot be split.
  """
  check_height(mesh, batch["image"].shape[1])
  index, count = data_share(mesh)

  def place(value: np.ndarray, where: NamedSharding) -> jax.Array:
    first = index * len(value)

    def piece(place: tuple[slice, ...]) -> np.ndarray:
      start, stop, _ = place[0].indices(count * len(value))
      return value[(slice(start - first, stop - first), *place[1:])]

    return jax.make_array_from_callback((count * len(value), *value.shape[1:]), where, piece)

  return {name: place(batch[name], x) for name, x in batch_shardings(mesh, batch).items()}


def batch_multiple(mesh: Mesh) -> int:
  """The number that the examples of a global batch must be a multiple of."""
  return mesh.shape[DATA]


def check_batch(mesh: Mesh, batch_size: int, key: str, parts: int = 1) -> None:
  """Refuses a global batch that does not divide over the mesh.

  Args:
    mesh: devices.
    batch_size: global.
    key: names it in the config.
    parts: `train.accumulate`; each part is divided over the mesh.

  Raises:
    ValueError: with the multiple to use.
  """
  if parts < 1:
    raise UserError(f"train.accumulate is {parts}, expected 1 or more")
  shards = batch_multiple(mesh)
  if batch_size < 1 or batch_size % (shards * parts):
    accumulated = f" times {parts} parts (train.accumulate)" if parts > 1 else ""
    raise UserError(
      f"{key} is {batch_size}, not a multiple of {shards * parts}: {shards} devices along mesh "
      f"axis {DATA!r}{accumulated}"
    )


def height_multiple(mesh: Mesh, coarsest_stride: int = 32) -> int:
  """The number that image heights must be a multiple of on this mesh; 1 if they are not split.

  A shard of the coarsest map needs whole rows. Otherwise the loss stays right, but XLA's
  partitioning of the strided convolutions gives wrong kernel gradients (JAX 0.10.2, CPU).
  """
  shards = mesh.shape[SPACE]
  return coarsest_stride * shards if shards > 1 else 1


def check_height(mesh: Mesh, height: int, *, gradients: bool = False) -> None:
  """Refuses an image height that cannot be split over the mesh; see `height_multiple`.

  Where both axes are divided and `space` is 2, one row of the coarsest map on each device is not
  enough for gradients: those of a sum of a map and its convolution are wrong (JAX 0.10.2, CPU).

  Args:
    mesh: devices.
    height: of the images, in pixels.
    gradients: whether they are taken; there is more that goes wrong with them.

  Raises:
    ValueError: with the heights to use.
  """
  multiple = height_multiple(mesh)
  both = gradients and mesh.shape[SPACE] == 2 and mesh.shape[DATA] > 1
  least = 2 * multiple if both else multiple
  if height % multiple or height < least:
    more = f", {least} or more" if both else ""
    raise UserError(
      f"image height {height} cannot be split over {mesh.shape[SPACE]} devices along mesh axis "
      f"{SPACE!r}; use a multiple of {multiple}{more}"
    )
