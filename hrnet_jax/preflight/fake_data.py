"""A made-up data set in place of one that is not prepared here: config -> facts and records.

A program depends on the shapes of a batch, not on what is in it. They come from the config's own
transform, and what it needs is a record like those of the data set.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from hrnet_jax import registry
from hrnet_jax.data import inputs, prepared
from hrnet_jax.data.dataset import Dataset, DatasetInfo
from hrnet_jax.errors import UserError

SIDE = 256  # of the made-up images; the transforms bring them to the size of the config
EXAMPLES = 1000  # in each split; only constants of the schedule depend on it


@dataclasses.dataclass(frozen=True, kw_only=True)
class FakeDataset(Dataset):
  """A data set in which every record is the same.

  Attributes:
    record: its image is an array already.
  """

  record: Any

  def source(self, split: str) -> Sequence[dict[str, Any]]:
    """`EXAMPLES` records, whatever the split."""
    del split
    return _Repeated(self.record)

  def sizes(self, split: str) -> np.ndarray:
    """All are of one size."""
    del split
    return np.full((EXAMPLES, 2), SIDE, np.int32)


@dataclasses.dataclass(frozen=True)
class _Repeated(Sequence):
  record: dict[str, Any]

  def __len__(self) -> int:
    return EXAMPLES

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self.record


def open_dataset(config: Any) -> tuple[Dataset, bool]:
  """Opens the data set of a config if it is prepared, and else makes one up.

  Facts such as the names of the classes are the data set's own where they are published with it,
  and otherwise as many as the config asks for.

  Returns:
    The data set, and whether it is the real one.

  Raises:
    ValueError: there is no such data set or task.
  """
  try:
    return inputs.open_dataset(config), True
  except FileNotFoundError:
    pass
  spec = registry.task_of(config)
  if not spec.has("fake_record"):
    raise UserError(f"no made-up record for task {spec.name!r}; prepare {config.data.name!r} first")
  info = prepared.published_facts(config.data.name) or spec.part("fake_info")(config)
  image = np.zeros((SIDE, SIDE, config.model.get("channels", 3)), np.uint8)
  known = info.to_dict() | {"name": config.data.name}
  return FakeDataset(
    **vars(DatasetInfo.from_dict(known)),
    directory=pathlib.Path(),
    statistics={},
    record={"image": image, "name": "made up", **spec.part("fake_record")(config, SIDE)},
  ), False


def batch_shapes(config: Any, dataset: Dataset) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
  """Shape and type of every array of a training batch, global; runs one example's transform.

  Raises:
    ValueError, TypeError: the transform refuses the config or the record.
  """
  one = config.copy_and_resolve_references()
  with one.unlocked():
    one.train.batch_size, one.data.workers = 1, 0
  with inputs.Inputs(one, dataset, registry.task_of(one)).train() as loader:
    example = next(loader)
  size = config.train.batch_size
  return {name: ((size, *x.shape[1:]), x.dtype) for name, x in example.items()}
