"""Config -> batches: joins a prepared data set, the task's transforms and the loader.

The way of an image: a record's encoded bytes -> decoded here -> the task's transform -> batch.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import numpy as np

from hrnet_jax import registry
from hrnet_jax.data import images, memory, padded_batch, pipeline
from hrnet_jax.data.dataset import Dataset, Part, examples
from hrnet_jax.data.prepared import open_dataset as open_prepared
from hrnet_jax.errors import UserError, config_keys
from hrnet_jax.task_spec import TaskSpec, resolve


def open_dataset(config: Any) -> Dataset:
  """Opens the data set that `config.data` names, as `config.model.task` looks at it.

  Raises:
    ValueError, FileNotFoundError: see `prepared.open_dataset`.
  """
  spec = registry.task_of(config)
  dataset = open_prepared(config.data.name, config.data.data_dir or None)
  view = resolve(spec.views.get(config.data.name))
  return view(dataset) if view else dataset


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The batches that a config asks for.

  Attributes:
    config: the whole config; uses `seed`, `model.task`, `data`, `transform`, `train`, `eval`.
    dataset: opened.
    spec: of the config's task.
    process_index: of this process among those that read different examples.
    process_count: of these.
  """

  config: Any
  dataset: Dataset
  spec: TaskSpec
  process_index: int = 0
  process_count: int = 1

  def train(self, *, start: int = 0, switch: tuple[int, str] | None = None) -> pipeline.Loader:
    """Endless training batches from batch `start` on.

    Args:
      start: see `pipeline.train_loader`.
      switch: a batch, and the split from which the examples are from that batch on; they have an
        order and augmentations of their own.
    """
    seed, split = self.config.seed, self.config.data.train_split
    if switch is None:
      return self._train(split, seed, start)
    another = int(np.random.SeedSequence((seed, 1)).generate_state(1)[0])
    return pipeline.TwoLoaders(
      functools.partial(self._train, split, seed),
      functools.partial(self._train, switch[1], another),
      switch=switch[0],
      start=start,
    )

  def eval(
    self,
    *,
    height_multiple: int = 1,
    limit: int = 0,
    batch_size: int = 0,
    batch_multiple: int = 0,
  ) -> pipeline.Loader:
    """One pass over the evaluation split.

    If the transform has an option `size`, to which it pads, and the config does not set it, it is
    set so that all images get one size.

    Args:
      height_multiple: what the height must be a multiple of to be split over devices.
      limit: only this many examples, the first ones; 0 is all.
      batch_size: at most, over all processes; 0 is `eval.batch_size`.
      batch_multiple: what the size of a batch must be a multiple of; to be split, likewise. A split
        of fewer examples then makes a smaller batch; with 0 it is filled up.
    """
    split = self.config.data.eval_split
    source, transform = self.dataset.source(split), self._eval_transform(height_multiple)
    groups = self._groups(transform, split)
    if 0 < limit < len(source):
      source, groups = Part(source, range(limit)), None if groups is None else groups[:limit]
    size = batch_size or self.config.eval.batch_size
    if batch_multiple:
      counts = [len(source)] if groups is None else np.unique(groups, return_counts=True)[1]
      size = min(size, _round_up(int(max(counts)), max(batch_multiple, self.process_count)))
    return pipeline.eval_loader(
      source,
      self._decoded(transform),
      batch_size=size,
      groups=groups,
      **self._reading(),
    )

  def check(self, height_multiple: int = 1) -> dict[str, np.ndarray]:
    """Reads and transforms the first example of both splits.

    What cannot work, such as a split that is not there, is then said before hours of training.

    Args:
      height_multiple: see `eval`.

    Returns:
      See `eval_example`.

    Raises:
      ValueError, TypeError: an option is wrong, a split is not there or empty, or the example does
        not suit the network.
    """
    example = self._first(
      self.config.data.train_split, self._train_transform(), np.random.default_rng(0)
    )
    count = self.config.train.batch_size // self.process_count
    needed = count * sum(np.asarray(x).nbytes for x in example.values())
    if needed > (free := memory.host_free_bytes()):
      raise UserError(
        f"train.batch_size is {self.config.train.batch_size}: a batch of this process takes "
        f"{needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free"
      )
    return self.eval_example(height_multiple)

  def eval_example(self, height_multiple: int = 1) -> dict[str, np.ndarray]:
    """The first example of evaluation; all others have its size, or one of as many pixels.

    Args:
      height_multiple: see `eval`.

    Raises:
      ValueError, TypeError: see `check`.
    """
    return self._first(self.config.data.eval_split, self._eval_transform(height_multiple))

  def test(self, count: int, **options: Any) -> pipeline.Loader:
    """One pass over whole images of the evaluation split, in batches of `StackPadded`.

    Args:
      count: of images in a batch of this process.
      **options: of the transform of the task's test procedure.
    """
    procedure = self.spec.part("test_procedure")
    split = self.config.data.eval_split
    multiple = 1 if self.dataset.uniform_size(split) else padded_batch.MULTIPLE
    return pipeline.eval_loader(
      self.dataset.source(split),
      self._decoded(procedure.transform(**options)),
      batch_size=count * self.process_count,
      stack=padded_batch.StackPadded(procedure.fill, multiple),
      **self._reading(),
    )

  def _first(self, split: str, transform: Any, *rng: np.random.Generator) -> dict[str, np.ndarray]:
    return self._decoded(transform)(examples(self.dataset, split)[0], *rng)

  def _eval_size(self, height_multiple: int) -> tuple[int, int]:
    """One static shape: of all images if they are of one size, else the largest, rounded up."""
    split = self.config.data.eval_split
    multiple = 1 if self.dataset.uniform_size(split) else 32
    height, width = self.dataset.max_size(split)
    return _round_up(height, max(multiple, height_multiple)), _round_up(width, multiple)

  def _train(self, split: str, seed: int, start: int) -> pipeline.Loader:
    transform = self._train_transform()
    return pipeline.train_loader(
      self.dataset.source(split),
      self._decoded(transform),
      batch_size=self.config.train.batch_size,
      seed=seed,
      start=start,
      groups=self._groups(transform, split),
      **self._reading(),
    )

  def _train_transform(self) -> Any:
    transform = self.spec.part("train_transform")
    with config_keys(self.config, "transform.train"):
      return transform(**self._train_options(transform))

  def _eval_transform(self, height_multiple: int) -> Any:
    transform = self.spec.part("eval_transform")
    options = dict(self.config.transform.eval)
    sized = "size" in {field.name for field in dataclasses.fields(transform)}
    if sized and options.get("size") is None:
      options["size"] = self._eval_size(height_multiple)
    with config_keys(self.config, "transform.eval"):
      return transform(**options)

  def _decoded(self, transform: Any) -> "_Decoded":
    channels = self.config.model.get("channels", 3)
    return _Decoded(pipeline.as_function(transform), channels)

  def _groups(self, transform: Any, split: str) -> np.ndarray | None:
    """Which examples make batches of one size, where a transform has several sizes."""
    if not hasattr(transform, "groups"):
      return None
    return transform.groups(self.dataset.sizes(split))

  def _train_options(self, transform: Any) -> dict[str, Any]:
    """Those of the config; the pairs that change places are the data set's, if not there.

    Raises:
      ValueError: nobody says so, and the examples are to be mirrored.
    """
    options = dict(self.config.transform.train)
    if not self.spec.mirrors_by_pairs or options.get("flip_pairs") is not None:
      return options
    if options.get("flip", transform.flip) and not self.dataset.flip_pairs:
      raise UserError(
        f"data set {self.dataset.name!r} has no flip pairs, so its examples cannot be mirrored; "
        "set transform.train.flip to False, or prepare it with a flip_pairs.txt"
      )
    return options | {"flip_pairs": self.dataset.flip_pairs}

  def _reading(self) -> dict[str, int]:
    data = self.config.data
    return {
      "process_index": self.process_index,
      "process_count": self.process_count,
      "workers": data.workers,
      "threads": data.threads,
    }


@dataclasses.dataclass(frozen=True)
class _Decoded:
  """A transform of decoded images, for records with encoded ones."""

  transform: Callable[..., dict[str, np.ndarray]]
  channels: int

  def __call__(self, record: Mapping[str, Any], *rng: np.random.Generator) -> dict[str, np.ndarray]:
    image = images.decode_image(record["image"], record["name"], self.channels)
    return self.transform(dict(record) | {"image": image}, *rng)


def _round_up(n: int, multiple: int) -> int:
  return -(-n // multiple) * multiple
