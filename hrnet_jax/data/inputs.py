"""Config -> batches: joins a prepared data set, the task's transforms and the loader."""

from collections.abc import Callable
import dataclasses
from typing import Any

from hrnet_jax.data import pipeline
from hrnet_jax.data.registry import Dataset
from hrnet_jax.data.transforms import segmentation

# For each task its transforms of training and evaluation; `config.transform` holds their keywords.
TRANSFORMS: dict[str, tuple[Callable, Callable]] = {
  "segmentation": (segmentation.TrainTransform, segmentation.EvalTransform),
}


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The batches that a config asks for.

  Attributes:
    config: the whole config; uses `seed`, `model.task`, `data`, `transform`, `train`, `eval`.
    dataset: opened.
    process_index: of this process.
    process_count: of all processes.
  """

  config: Any
  dataset: Dataset
  process_index: int = 0
  process_count: int = 1

  def train(self, *, start: int = 0) -> pipeline.Loader:
    """Endless training batches from batch `start` on."""
    transform, _ = TRANSFORMS[self.config.model.task]
    return pipeline.train_loader(
      self.dataset.source(self.config.data.train_split),
      transform(**self.config.transform.train),
      batch_size=self.config.train.batch_size,
      seed=self.config.seed,
      start=start,
      **self._reading(),
    )

  def eval(self, *, height_multiple: int = 1) -> pipeline.Loader:
    """One pass over the evaluation split, all images padded to one size.

    Args:
      height_multiple: what the height must be a multiple of to be split over devices.
    """
    _, transform = TRANSFORMS[self.config.model.task]
    options = {"size": self._eval_size(height_multiple)} | dict(self.config.transform.eval)
    return pipeline.eval_loader(
      self.dataset.source(self.config.data.eval_split),
      transform(**options),
      batch_size=self.config.eval.batch_size,
      **self._reading(),
    )

  def _eval_size(self, height_multiple: int) -> tuple[int, int]:
    """One static shape: of all images if they are of one size, else the largest, rounded up."""
    split = self.config.data.eval_split
    multiple = 1 if self.dataset.uniform_size(split) else 32
    height, width = self.dataset.max_size(split)
    return _round_up(height, max(multiple, height_multiple)), _round_up(width, multiple)

  def _reading(self) -> dict[str, int]:
    data = self.config.data
    return {
      "process_index": self.process_index,
      "process_count": self.process_count,
      "workers": data.workers,
      "threads": data.threads,
    }


def _round_up(n: int, multiple: int) -> int:
  return -(-n // multiple) * multiple
