"""Scores batches under a test protocol, with this process's devices: `Step` of `evaluate`."""

from collections.abc import Mapping
import functools
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from hrnet_jax.data import geometry, padded_batch
from hrnet_jax.distributed import sharding
from hrnet_jax.evaluation.evaluate import Scored
from hrnet_jax.evaluation.setup import TestProcedure
from hrnet_jax.tasks.segmentation import sliding_window
from hrnet_jax.tasks.segmentation.multi_scale import MultiScale, resample
from hrnet_jax.tasks.segmentation.task import Segmentation
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig
from hrnet_jax.tasks.segmentation.whole_image import WholeImage


class MultiScaleStep:
  """Multi-scale testing of a task whose outputs are scores of pixels.

  A batch holds one image for each device: `image`, `label` and their sizes as `StackPadded` makes
  them, and `content (D, 2)`, the part of the image that the label is of.
  """

  shared = False  # processes test images of their own

  def __init__(self, task: Segmentation, protocol: MultiScaleConfig, mesh: Mesh):
    """`mesh` is from `sharding.local_mesh`."""
    self._mesh, self._method = mesh, task.upsample.for_outputs
    self._scores = MultiScale(task.model, task.normalize, task.upsample, protocol, mesh)
    each = functools.partial(sharding.on_each_device, mesh=mesh)
    self._fit, self._judge = each(resample), each(functools.partial(_judge, task))

  def __call__(self, variables: Any, batch: Mapping[str, np.ndarray]) -> Scored:
    """See `evaluate.Step`; `variables` on every device of the mesh."""
    scores = self.scores(variables, batch)
    truth = {key: batch[key] for key in ("label", "mask")}
    judged = self._judge(scores, sharding.device_put_rows(truth, self._mesh))
    sums, predictions, values = jax.device_get(judged)
    return Scored(jax.tree.map(lambda x: x.sum(0), sums), predictions, values)

  def scores(self, variables: Any, batch: Mapping[str, np.ndarray]) -> jax.Array:
    """Scores at the size of the labels, `(D, h, w, K)`; beyond a label they are meaningless."""
    images, out = batch["image"], batch["label"].shape[1:3]
    sizes, contents, targets = (
      [tuple(map(int, size)) for size in batch[key]]
      for key in ("image_size", "content", "label_size")
    )
    images = sharding.device_put_rows(images, self._mesh)
    if contents == targets:  # the label is of the image as it is, or of its top left part
      return self._scores(variables, images, sizes, sizes, _larger(sizes, out))[
        :, : out[0], : out[1]
      ]
    scores = self._scores(variables, images, sizes, sizes, images.shape[1:3])
    taps = sliding_window.make_axes(contents, targets, out, self._method)
    return self._fit(scores, *sharding.device_put_rows(taps, self._mesh))

  def example(
    self, batch: Mapping[str, np.ndarray], row: int, prediction: Any
  ) -> tuple[Any, dict[str, np.ndarray]]:
    """See `evaluate.Step`; the image at the size of the label."""
    example = padded_batch.example(batch, row)
    size = example["label"].shape
    image = padded_batch.cut(example["image"], example["content"])
    if image.shape[:2] != size:
      image = geometry.resize_image(image, size)
    return padded_batch.cut(prediction, size), example | {"image": np.ascontiguousarray(image)}


def _judge(
  task: Segmentation, scores: jax.Array, truth: Mapping[str, jax.Array]
) -> tuple[Any, Any, Any]:
  """Judges scores by the task; sums get an axis for the devices in front."""
  sums = jax.tree.map(lambda x: x[None], task.metric_sums(scores, truth))
  return sums, task.predict(scores, scores.shape[1:3]), task.per_example_score(scores, truth)


def _larger(sizes: list[sliding_window.Size], out: sliding_window.Size) -> sliding_window.Size:
  height, width = np.maximum(np.max(sizes, axis=0), out).tolist()
  return height, width


PROCEDURE = TestProcedure(
  options=MultiScaleConfig,
  preparation=("resize", "short_side", "stride", "keep_padding"),
  transform=WholeImage,
  fill={"image": 0, "label": 255},
  step=MultiScaleStep,
)
