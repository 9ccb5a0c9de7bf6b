"""Everything that the package knows about a task, part by part, imported when it is needed."""

from collections.abc import Mapping
import dataclasses
import importlib
from typing import Any

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
    fake_info: config -> `DatasetInfo` with made-up names, where the data set's own cannot be had.
    fake_record: config, side -> what a record of an image with such sides has besides `image` and
      `name`, for a data set that is not prepared; see `preflight.fake_data`.
    reference: names of the PyTorch reference's tensors; see `convert.reference.Reference`.
    parity: how outputs are compared with PyTorch's; see `parity.comparison.TorchComparison`.
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
  fake_info: Part = None
  fake_record: Part = None
  reference: Part = None
  parity: Part = None
  example: tuple[tuple[int, int], Mapping[str, Any]] | None = None

  def has(self, part: str) -> bool:
    """Whether the task has this part."""
    return getattr(self, part) not in (None, {}, ())

  def part(self, part: str) -> Any:
    """A part, imported if it is given by its place; None if the task lacks it."""
    return resolve(getattr(self, part))


def resolve(place: Any) -> Any:
  """Imports what a text `module:attribute` stands for; returns anything else as it is."""
  if not isinstance(place, str):
    return place
  module, _, attribute = place.partition(":")
  return getattr(importlib.import_module(module), attribute)
