"""A task of one's own: how many objects are in an image? A regression with HRNet's features."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import flax.linen as nn
from grain import transforms
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.models.layers import LayerConfig
from hrnet_jax.models.network import Network, build_backbone, build_model, build_neck
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.task_spec import TaskSpec
from hrnet_jax.tasks.interface import Batch, Sums, normalize_of
from hrnet_jax.visualize.sheet import contact_sheet


# --8<-- [start:network]
class CountHead(nn.Module):
  """The mean over all positions of what each contributes: `(B, h, w, C) -> (B,)`."""

  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    share = nn.Dense(1, param_dtype=self.layer_config.param_dtype, name="share")(x)
    return nn.softplus(share.astype(jnp.float32)).mean((1, 2, 3))


def make_network(**trunk: Any) -> Network:
  """The keywords are the keys of `config.model`, `task` left out."""
  backbone = build_backbone(**trunk)
  head = CountHead(backbone.layer_config)
  return Network("counting", backbone, build_neck("v2", backbone), head)


# --8<-- [end:network]


# --8<-- [start:transforms]
@dataclasses.dataclass(frozen=True)
class TrainTransform(transforms.RandomMap):
  """Record -> example, on the host; fields are keys of `config.transform.train`.

  Attributes:
    flip: whether half of the examples are mirrored.
  """

  flip: bool = True

  def random_map(self, record: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """All that is random comes from `rng`, so that a run can be repeated."""
    example = EvalTransform().map(record)
    if self.flip and rng.integers(2):
      example["image"] = example["image"][:, ::-1].copy()
    return example


@dataclasses.dataclass(frozen=True)
class EvalTransform(transforms.Map):
  """The same without chance."""

  def map(self, record: Mapping[str, Any]) -> dict[str, Any]:
    """The image is decoded already; `classes` has the class of each object."""
    return {"image": record["image"], "count": np.float32(len(record["classes"]))}


# --8<-- [end:transforms]


# --8<-- [start:task]
@dataclasses.dataclass(frozen=True)
class Counting:
  """Batch: `image (B, H, W, 3) uint8`, `count (B,)` and, in evaluation, `mask (B,)`."""

  model: nn.Module
  normalize: Normalize
  metric: str = "negative_error"  # of `report`; larger is better

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """The network takes nothing but images."""
    return {}

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> jax.Array:
    """Counts `(B,)` of normalised images."""
    return self.model.apply(variables, images, train=False)

  def loss(self, outputs: jax.Array, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean squared error, and a figure for the log."""
    difference = outputs - batch["count"]
    return (difference**2).mean(), {"error": jnp.abs(difference).mean()}

  def weight(self, batch: Batch) -> jax.Array:
    """What the loss is a mean over."""
    return jnp.asarray(batch["count"].shape[0], jnp.float32)

  def metric_sums(self, outputs: jax.Array, batch: Batch) -> Sums:
    """What adds up over batches and devices; examples that only fill a batch count for nothing."""
    error = jnp.where(batch["mask"], jnp.abs(outputs - batch["count"]), 0.0)
    right = batch["mask"] & (outputs.round() == batch["count"])
    return {"error": error.sum(), "right": right.sum(), "images": batch["mask"].sum()}

  def per_example_score(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Finds the worst images: larger is better."""
    return -jnp.abs(outputs - batch["count"])

  def collector(self) -> None:
    """The sums say it all."""

  def report(self, sums: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The figures."""
    error, right = (float(sums[key] / sums["images"]) for key in ("error", "right"))
    return {"error": error, "negative_error": -error, "right": right}

  def table(self, report: Mapping[str, Any]) -> str:
    """For a terminal."""
    return f"mean error  {report['error']:.2f}\nright       {100 * report['right']:.1f} %"

  def charts(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """No charts."""
    return {}

  def predict(self, outputs: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Counts, `(B,)`."""
    return outputs

  def picture(
    self, image: np.ndarray, prediction: np.ndarray, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """The image with both numbers as its title."""
    title = f"{float(prediction):.1f} of {int(example['count'])}"
    return contact_sheet([image], titles=(title,), columns=1)

  def comparison(
    self, image: np.ndarray, first: Any, second: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """Two networks side by side."""
    pictures = [self.picture(image, x, example) for x in (first, second)]
    return contact_sheet(pictures, titles=("first", "second"), columns=2)


def build(config: Any, dataset: DatasetInfo) -> Counting:
  """What `hrnet train` calls; `dataset` knows classes, sizes and the like."""
  return Counting(build_model(**config.model), normalize_of(config))


SPEC = TaskSpec(
  name="counting",
  model=make_network,
  task=build,
  train_transform=TrainTransform,
  eval_transform=EvalTransform,
)
# --8<-- [end:task]
