"""Multi-scale, mirrored, windowed testing: `images (D, H, W, 3)` -> scores `(D, H, W, K)`.

D images are tested at once, one on each device. A device computes what it would alone: all
devices compute the same bits, and another number of devices or processes changes no more than
the compiler's rounding. All programs have static
shapes: one for each size of window, and small ones for each size of canvas.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from hrnet_jax.distributed import sharding
from hrnet_jax.errors import UserError
from hrnet_jax.models.network import Network
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.tasks.segmentation import sliding_window
from hrnet_jax.tasks.segmentation.sliding_window import Size, Tiling
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig


class MultiScale:
  """Scores of whole images under a protocol; compiles on first use.

  Attributes:
    protocol: see `MultiScaleConfig`.
    mesh: devices of this process, from `sharding.local_mesh`.
  """

  def __init__(
    self,
    model: Network,
    normalize: Normalize,
    upsample: Resize,
    protocol: MultiScaleConfig,
    mesh: Mesh,
  ):
    """`upsample` is how the model's logits reach the size of its input."""
    self.protocol, self.mesh = protocol, mesh
    self._method = Resize(upsample).for_outputs
    each = functools.partial(sharding.on_each_device, mesh=mesh)
    # An image's maps fit a CPU's cache, those of two do not; accelerators want large batches.
    in_turn = mesh.devices.flat[0].platform == "cpu"
    look = functools.partial(
      _look, model, self._method, protocol.flip, protocol.mirrored_classes, in_turn
    )
    self._look = each(look, shared=1)
    self._rescale = each(functools.partial(_rescale, normalize))
    self._cut = each(_cut, static=("window",))
    self._paste = each(_paste, donate=(0, 1))
    self._collect = each(_collect, donate=(0,))
    self._start = each(_start, static=("size",))

  def __call__(
    self,
    variables: Any,
    images: jax.Array,
    sizes: Sequence[Size],
    targets: Sequence[Size],
    out: Size,
  ) -> jax.Array:
    """Sums of the exponentiated scores over all scales.

    Args:
      variables: of the network, on every device of the mesh.
      images: `(D, H, W, C)` uint8, or float32 and normalised, on the mesh; images smaller than
        H x W lie at the top left.
      sizes: of the D images.
      targets: sizes to which their scores are brought.
      out: H' and W', at least the largest of `targets`.

    Returns:
      `(D, H', W', K)` float32 on the mesh. What is beyond an image's target is meaningless.

    Raises:
      ValueError: the protocol `whole` with images of several sizes.
    """
    total = None
    for scale in self.protocol.scales:
      scaled, tiles, counted = self._tile(sizes, scale)
      canvas = self._rescale(
        images,
        *self._taps(sizes, scaled, tiles.canvas, Resize.BILINEAR),
        self._put(np.asarray(scaled, np.int32)),
      )
      scores, count = self._windows(variables, canvas, tiles, counted)
      if total is None:
        total = self._start(scores, size=out)
      total = self._collect(total, scores, count, *self._taps(scaled, targets, out, self._method))
    return total

  def _tile(self, sizes: Sequence[Size], scale: float) -> tuple[list[Size], Tiling, np.ndarray]:
    """The images' sizes at a scale, its windows, and which of them each has, `(D, windows)`."""
    p = self.protocol
    scaled = [sliding_window.scaled_size(size, p.base_size, scale) for size in sizes]
    if p.kind == "whole":
      if len(set(scaled)) > 1:
        raise UserError(
          f"eval.protocol.kind 'whole' needs images of one size, got {sorted(set(sizes))}; use "
          "'windows', or eval.protocol.resize"
        )
      tiles = sliding_window.whole(scaled[0], p.crop_size, scale)
      return scaled, tiles, np.ones((len(sizes), len(tiles.starts)), bool)
    counts = np.array([sliding_window.count_windows(size, p.crop_size) for size in scaled]).max(0)
    tiles = sliding_window.windows((int(counts[0]), int(counts[1])), p.crop_size)
    return scaled, tiles, sliding_window.needed(tiles, p.crop_size, scaled)

  def _windows(
    self, variables: Any, canvas: jax.Array, tiles: Tiling, counted: np.ndarray
  ) -> tuple[jax.Array, jax.Array]:
    """Sums of the windows' scores and how many windows each pixel is in."""
    if len(tiles.starts) == 1:
      scores = self._look(variables, canvas)
      return scores, self._put(np.ones((len(counted), *tiles.canvas), np.float32))
    scores = count = None
    for k, start in enumerate(tiles.starts):
      where = self._put(np.tile(np.asarray(start, np.int32), (len(counted), 1)))
      window = self._look(variables, self._cut(canvas, where, window=tiles.window))
      if scores is None:
        scores = self._start(window, size=tiles.canvas)
        count = self._put(np.zeros((len(counted), *tiles.canvas), np.float32))
      weight = self._put(counted[:, k].astype(np.float32))
      scores, count = self._paste(scores, count, window, where, weight)
    return scores, count

  def _taps(
    self, sources: Sequence[Size], targets: Sequence[Size], out: Size, method: Resize
  ) -> tuple[Any, Any]:
    return self._put(sliding_window.make_axes(sources, targets, out, method))

  def _put(self, x: Any) -> Any:
    return sharding.device_put_rows(x, self.mesh)


def _look(
  model: Network,
  method: Resize,
  flip: bool,
  order: Callable[[int], list[int] | None],
  in_turn: bool,
  variables: Any,
  x: jax.Array,
) -> jax.Array:
  """Exponentiated scores of windows, `(B, h, w, 3)` -> `(B, h, w, K)`; not normalised.

  Logits are averaged with those of the mirrored window, then exponentiated. The average is taken
  before they are enlarged, which commutes with mirroring and costs half as much.
  """

  def logits(x: jax.Array) -> jax.Array:
    outputs = model.apply(variables, x, train=False)
    y = outputs[-1] if isinstance(outputs, tuple) else outputs
    return y.astype(jnp.promote_types(y.dtype, jnp.float32))

  def both(pair: jax.Array) -> jax.Array:
    if in_turn:
      return jax.lax.map(logits, pair)
    y = logits(pair.reshape(-1, *pair.shape[2:]))
    return y.reshape(2, -1, *y.shape[1:])

  if not flip:
    return jnp.exp(resize(logits(x), x.shape[1:3], method))
  straight, mirrored = both(jnp.stack([x, x[:, :, ::-1]]))
  mirrored = mirrored[:, :, ::-1]
  if (classes := order(straight.shape[-1])) is not None:
    mirrored = mirrored[..., np.asarray(classes)]
  return jnp.exp(resize((straight + mirrored) * 0.5, x.shape[1:3], method))


def _rescale(
  normalize: Normalize, images: jax.Array, rows: Any, columns: Any, sizes: jax.Array
) -> jax.Array:
  """Normalises bytes and resizes onto the canvas; beyond the image it is black."""
  x = normalize(images) if images.dtype == jnp.uint8 else images
  x = resample(x, rows, columns)
  height, width = x.shape[1:3]
  inside = jnp.arange(height) < sizes[:, :1], jnp.arange(width) < sizes[:, 1:]
  mask = inside[0][:, :, None, None] & inside[1][:, None, :, None]
  return jnp.where(mask, x, normalize(np.zeros((1, 1, 1, normalize.channels), np.uint8)))


def resample(x: jax.Array, rows: Any, columns: Any) -> jax.Array:
  """Bilinear interpolation with given taps, `(B, h, w, C) -> (B, H, W, C)`.

  Args:
    x: maps.
    rows: low, high and weight of `tiling.Taps`, `(B, H)`.
    columns: the same, `(B, W)`.
  """

  def along(axis: int, x: jax.Array, low: jax.Array, high: jax.Array, weight: jax.Array) -> Any:
    weight = jnp.expand_dims(weight, [i for i in range(x.ndim) if i != axis])
    return jnp.take(x, low, axis) * (1 - weight) + jnp.take(x, high, axis) * weight

  def one(x: jax.Array, rows: Any, columns: Any) -> jax.Array:
    return along(1, along(0, x, *rows), *columns)

  return jax.vmap(one)(x, rows, columns)


def _cut(canvas: jax.Array, where: jax.Array, *, window: Size) -> jax.Array:
  return jax.vmap(
    lambda x, yx: jax.lax.dynamic_slice(x, (yx[0], yx[1], 0), (*window, x.shape[-1]))
  )(canvas, where)


def _paste(
  scores: jax.Array, count: jax.Array, window: jax.Array, where: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Adds a window to the canvas, unless its weight is 0."""

  def one(scores: Any, count: Any, window: Any, yx: Any, weight: Any) -> tuple[Any, Any]:
    at = (yx[0], yx[1], 0)
    old = jax.lax.dynamic_slice(scores, at, window.shape)
    scores = jax.lax.dynamic_update_slice(scores, old + jnp.where(weight > 0, window, 0), at)
    old = jax.lax.dynamic_slice(count, at[:2], window.shape[:2])
    return scores, jax.lax.dynamic_update_slice(count, old + weight, at[:2])

  return jax.vmap(one)(scores, count, window, where, weight)


def _collect(
  total: jax.Array, scores: jax.Array, count: jax.Array, rows: Any, columns: Any
) -> jax.Array:
  """Adds a scale: mean over the windows, brought to the size of the targets."""
  return total + resample(scores / jnp.maximum(count, 1)[..., None], rows, columns)


def _start(like: jax.Array, *, size: Size) -> jax.Array:
  return jnp.zeros((like.shape[0], *size, like.shape[-1]), like.dtype)
