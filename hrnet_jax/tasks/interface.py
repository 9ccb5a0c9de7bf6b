"""The contract between a task and everything else: what is called of it, and nothing more."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, Protocol

import flax.linen as nn
import jax
import numpy as np

from hrnet_jax import registry

Batch = Mapping[str, jax.Array]
Sums = dict[str, Any]
COMPARED = ("first", "second")  # what two networks are called in tables and pictures


class Gatherer(Protocol):
  """Collects, on the host, predictions whose score is not a sum over examples."""

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """Takes the prediction for the example at this position of the data set."""

  def pack(self) -> bytes:
    """What was taken, for other processes."""

  def merge(self, packed: Sequence[bytes]) -> Sums:
    """Entries for the totals, from what all processes have packed."""


class Task(Protocol):
  """A network and the pure functions that train, score and show it.

  Attributes:
    model: takes normalised images `(B, H, W, 3)`.
    metric: key of `report` by which checkpoints are compared; larger is better.
  """

  model: nn.Module
  metric: str

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """What the network takes besides the images, by keyword; of predictions there is none."""

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> Any:
    """What the network makes of normalised images `(B, H, W, 3)` when it is tested."""

  def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The scalar to minimise, and further scalars to log."""

  def weight(self, batch: Batch) -> jax.Array:
    """What the loss of this batch is divided by, or a multiple of it: a scalar, 0 or more.

    Of two halves of a batch, the mean of their losses with these weights is the loss of the whole.
    """

  def sums(self, outputs: Any, batch: Batch) -> Sums:
    """What adds up over batches; examples whose `mask` is False count for nothing."""

  def quality(self, outputs: Any, batch: Batch) -> jax.Array:
    """How well each example went, `(B,)`: larger is better, NaN where there is no truth."""

  def gatherer(self) -> Gatherer | None:
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


# A part is an object, or the text "module:attribute", which is imported when the part is asked for.
Part = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSpec:
  """Everything that the package knows about a task; a part that a task lacks is None.

  Attributes:
    name: value of `config.model.task`.
    model: keywords of `config.model` without `task` -> `Network`; see `models.network`.
    task: config, `DatasetInfo` -> `Task`.
    train_transform: class of the host transform of training; fields are keys of
      `config.transform.train`.
    eval_transform: the same for evaluation.
    mirrors_by_pairs: whether `train_transform` takes the data set's `flip_pairs`.
    datasets: name -> builder, a `data.datasets.base.Builder`, of data sets for this task alone.
    views: name of a data set -> function from its `Dataset` to one whose records this task reads.
    predictor: `checkpoint.Loaded` and options -> `predict.predictor.Predictor`.
    predictor_options: names of these options.
    result_writer: folder, `Dataset`, `Task` -> `evaluation.results.ResultWriter`.
    test_procedure: for `config.eval.protocol`; see `evaluation.setup.TestProcedure`.
    export_sizes: `config.transform.eval` -> `export.program.Sizes`.
    fake_record: config -> what a record has besides `image` and `name`, for a data set that is not
      prepared; see `preflight.fake_data`.
    reference: names of the PyTorch reference's tensors; see `convert.reference.Reference`.
    parity: how outputs are compared with PyTorch's; see `parity.certificate.Comparison`.
    example: a published network: input size (H, W), and keywords of `model`.
  """

  name: str
  model: Part
  task: Part = None
  train_transform: Part = None
  eval_transform: Part = None
  mirrors_by_pairs: bool = False
  datasets: Mapping[str, str | type] = dataclasses.field(default_factory=dict)
  views: Mapping[str, Part] = dataclasses.field(default_factory=dict)
  predictor: Part = None
  predictor_options: tuple[str, ...] = ()
  result_writer: Part = None
  test_procedure: Part = None
  export_sizes: Part = None
  fake_record: Part = None
  reference: Part = None
  parity: Part = None
  example: tuple[tuple[int, int], Mapping[str, Any]] | None = None

  def has(self, part: str) -> bool:
    """Whether the task has this part."""
    return getattr(self, part) not in (None, {}, ())

  def part(self, part: str) -> Any:
    """A part, imported if it is given by its place; None if the task lacks it."""
    return registry.resolve(getattr(self, part))
