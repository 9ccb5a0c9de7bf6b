"""Loss, scores and pictures of counts."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.models.network import build_model
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.tasks.interface import Batch, Sums, normalize_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscCounting:
  """Batch: `image (B, H, W, 1)` uint8, `count (B,)`; in evaluation `mask (B,)`."""

  model: nn.Module
  normalize: Normalize
  metric: str = "negative_error"

  def inputs(self, batch: Batch) -> dict[str, Any]:
    return {}

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> jax.Array:
    return self.model.apply(variables, images, train=False)

  def loss(self, outputs: jax.Array, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    return jnp.square(outputs - batch["count"]).mean(), {}

  def weight(self, batch: Batch) -> jax.Array:
    return jnp.asarray(batch["count"].shape[0], jnp.float32)

  def metric_sums(self, outputs: jax.Array, batch: Batch) -> Sums:
    error = jnp.where(batch["mask"], jnp.abs(outputs - batch["count"]), 0)
    return {"error": error.sum(), "images": batch["mask"].sum(dtype=jnp.int32)}

  def per_example_score(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    return -jnp.abs(outputs - batch["count"])

  def collector(self) -> None:
    return None

  def report(self, sums: Mapping[str, np.ndarray]) -> dict[str, Any]:
    error = float(sums["error"] / sums["images"])
    return {"error": error, "negative_error": -error, "images": int(sums["images"])}

  def charts(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {}

  def table(self, report: Mapping[str, Any]) -> str:
    return f"mean error {report['error']:.3f} discs"

  def predict(self, outputs: jax.Array, size: tuple[int, int]) -> jax.Array:
    return outputs

  def picture(
    self, image: np.ndarray, prediction: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    return image  # already RGB, whatever the network takes

  def comparison(
    self, image: np.ndarray, first: Any, second: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    return self.picture(image, first, example)


def build(config: Any, dataset: Any) -> DiscCounting:
  """Builds the task from a config; the data set has nothing to say."""
  del dataset
  return DiscCounting(model=build_model(**config.model), normalize=normalize_of(config))
