"""Config -> batches: joins a prepared data set, the task's transforms and the loader."""

from collections.abc import Callable
import dataclasses
from typing import Any

from hrnet_jax.data import objects, pipeline, registry
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.transforms import classification, segmentation

# For each task its transforms of training and evaluation; `config.transform` holds their keywords.
TRANSFORMS: dict[str, tuple[type, type]] = {
  "classification": (classification.TrainTransform, classification.EvalTransform),
  "segmentation": (segmentation.TrainTransform, segmentation.EvalTransform),
}

# What a task makes of a data set whose records are not yet its examples.
VIEWS: dict[str, dict[str, Callable[[Dataset], Dataset]]] = {
  "classification": {"shapes": objects.each_object},
}


def open_dataset(config: Any) -> Dataset:
  """Opens the data set that `config.data` names, as `config.model.task` looks at it.

  Raises:
    ValueError, FileNotFoundError: see `registry.open_dataset`.
  """
  dataset = registry.open_dataset(config.data.name, config.data.data_dir or None)
  view = VIEWS.get(config.model.task, {}).get(config.data.name)
  return view(dataset) if view else dataset


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
    """One pass over the evaluation split.

    If the transform has an option `size`, to which it pads, and the config does not set it, it is
    set so that all images get one size.

    Args:
      height_multiple: what the height must be a multiple of to be split over devices.
    """
    _, transform = TRANSFORMS[self.config.model.task]
    options = dict(self.config.transform.eval)
    if "size" in {field.name for field in dataclasses.fields(transform)} - options.keys():
      options["size"] = self._eval_size(height_multiple)
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
