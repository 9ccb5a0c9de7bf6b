"""Totals under a test protocol do not depend on the devices; sizes of images are kept apart."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data import padded_batch
from hrnet_jax.evaluation.evaluate import evaluate
from hrnet_jax.tasks.segmentation.task import Segmentation
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig
from hrnet_jax.tasks.segmentation.test_step import MultiScaleStep
from hrnet_jax.tasks.segmentation.whole_image import WholeImage
from tests.helpers import toy


class Brightness(nn.Module):
  """Scores three classes by how bright a place is, at stride 4."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    grey = nn.avg_pool(x.mean(-1, keepdims=True), (4, 4), (4, 4))
    return jnp.concatenate([-grey, jnp.zeros_like(grey), 2 * grey - 1], axis=-1)


PROTOCOL = {"kind": "windows", "base_size": 64, "crop_size": (48, 48), "scales": (0.5, 1, 1.25)}


def local_mesh(count):
  devices = jax.devices()[:count]
  return jax.make_mesh((count,), ("data",), devices=devices, axis_types=(toy.AxisType.Auto,))


def examples(sizes):
  rng = np.random.default_rng(0)
  for height, width in sizes:
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
    image = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    label = rng.integers(0, 3, (height, width)).astype(np.uint8)
    label[:5] = 255
    yield image, label


def batches(sizes, count, **options):
  """Batches of `count` images; the last one is filled up."""
  transform, stack = WholeImage(**options), padded_batch.StackPadded({"image": 0, "label": 255})
  rows = [transform.apply(*example) for example in examples(sizes)]
  rows = [row | {"mask": np.bool_(1), "index": np.int32(i)} for i, row in enumerate(rows)]
  filler = rows[-1] | {"mask": np.bool_(0), "index": np.int32(-1)}
  rows += [filler] * (-len(rows) % count)
  return [stack(rows[i : i + count]) for i in range(0, len(rows), count)]


class Totals(Segmentation):
  """Reports the totals themselves."""

  def report(self, sums):
    return sums


def run_on(sizes, count, protocol, consume=None, **options):
  plain = toy.make_task(Brightness())
  task = Totals(**{f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)})
  step = MultiScaleStep(task, protocol, local_mesh(count))
  rows = batches(sizes, count, **options)
  return evaluate(task, step, {}, rows, num_worst=2, consume=consume)


SIZES = [(64, 48), (40, 64), (56, 56), (30, 61), (64, 64)]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_number_of_devices_changes_nothing(count):
  protocol = MultiScaleConfig(**PROTOCOL, flip=True)
  alone, together = (run_on(SIZES, n, protocol) for n in (1, count))
  np.testing.assert_array_equal(alone.report["confusion"], together.report["confusion"])
  assert alone.report["confusion"].sum() == sum((h - 5) * w for h, w in SIZES)
  assert alone.per_example_score == together.per_example_score
  assert list(alone.worst) == list(together.worst)


def test_predictions_have_the_size_of_their_label_and_images_too():
  seen = {}
  options = {"consume": lambda i, *rest: seen.update({i: rest}), "short_side": 52}
  result = run_on(SIZES, 2, MultiScaleConfig(**PROTOCOL), **options)
  assert sorted(seen) == list(range(len(SIZES)))
  total = np.zeros((3, 3), np.int64)
  for index, (prediction, example) in seen.items():
    assert prediction.shape == example["label"].shape == SIZES[index]
    assert example["image"].shape == (*SIZES[index], 3)
    counted = example["label"] < 255
    np.add.at(total, (example["label"][counted], prediction[counted]), 1)
  np.testing.assert_array_equal(total, result.report["confusion"])


def test_padding_is_cut_off_before_scores_are_compared_with_the_label():
  # A bright stripe at the right edge: squeezed with the padding it would lie further left.
  image = np.zeros((64, 50, 3), np.uint8)
  image[:, 34:] = 255
  label = np.where(image[..., 0] > 0, 2, 0).astype(np.uint8)
  task = toy.make_task(Brightness())
  protocol = MultiScaleConfig(kind="windows", base_size=64, crop_size=(64, 64))
  step = MultiScaleStep(task, protocol, local_mesh(1))
  found = {}
  for keep in (False, True):
    row = WholeImage(short_side=50, stride=32, keep_padding=keep).apply(image, label)
    batch = padded_batch.StackPadded({"image": 0, "label": 255})([row | {"mask": np.bool_(1)}])
    found[keep] = float(step({}, batch).per_example_score[0])
  assert found[False] > 0.9
  assert found[True] < found[False] - 0.1


def test_whole_images_need_one_size():
  with pytest.raises(ValueError, match="'whole' needs images of one size"):
    run_on(SIZES, 2, MultiScaleConfig(**PROTOCOL | {"kind": "whole"}))
