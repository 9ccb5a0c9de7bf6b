"""The contract between a task and everything else: what is called of it, and nothing more."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax
import numpy as np

from hrnet_jax.ops.normalize import Normalize, make_normalize

Batch = Mapping[str, jax.Array]
Sums = dict[str, Any]
COMPARISON_NAMES = ("first", "second")  # what two networks are called in tables and pictures


class Collector(Protocol):
  """Collects, on the host, predictions whose score is not a sum over examples."""

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """Takes the prediction for the example at this position of the data set."""

  def pack(self) -> bytes:
    """Everything collected so far, for other processes."""

  def merge(self, packed: Sequence[bytes]) -> Sums:
    """Entries for the totals, from what all processes have packed."""


class Task(Protocol):
  """A network and the pure functions that train, score and show it.

  Attributes:
    model: takes normalised images `(B, H, W, C)`.
    normalize: makes such images of bytes; see `normalize_of`.
    metric: key of `report` by which checkpoints are compared; larger is better.
  """

  model: nn.Module
  normalize: Normalize
  metric: str

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """Inputs of the network besides the images, by keyword; of predictions there is none."""

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> Any:
    """Outputs of the network for normalised images `(B, H, W, C)` when it is tested."""

  def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The scalar to minimise, and further scalars to log."""

  def weight(self, batch: Batch) -> jax.Array:
    """The divisor of this batch's loss, or a multiple of it: a scalar, 0 or more.

    Of two halves of a batch, the mean of their losses with these weights is the loss of the whole.
    """

  def metric_sums(self, outputs: Any, batch: Batch) -> Sums:
    """Figures that add up over batches; examples whose `mask` is False count for nothing."""

  def per_example_score(self, outputs: Any, batch: Batch) -> jax.Array:
    """How well each example went, `(B,)`: larger is better, NaN where there is no truth."""

  def collector(self) -> Collector | None:
    """A new one, or None if the sums say it all."""

  def report(self, sums: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Figures from the totals (int64 or float64): flat scalars, and lists by class."""

  def charts(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pictures of the totals, `(h, w, 3)` uint8 by name."""

  def table(self, report: Mapping[str, Any]) -> str:
    """The report for a terminal."""

  def predict(self, outputs: Any, size: tuple[int, int]) -> Any:
    """Decoded predictions of a batch whose images have `size` (H, W); arrays by image."""

  def picture(
    self, image: np.ndarray, prediction: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """One prediction beside its truth, `(h, w, 3)` uint8."""

  def comparison(
    self, image: np.ndarray, first: Any, second: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """Predictions of two networks beside the truth, `(h, w, 3)` uint8."""


def normalize_of(config: Any) -> Normalize:
  """The colour normalisation that `config.model.channels` and `config.data.normalize` ask for.

  Raises:
    ValueError: see `make_normalize`. TypeError: an unknown key.
  """
  options = config.get("data", {}).get("normalize", {})
  return make_normalize(config.model.get("channels", 3), **options)
