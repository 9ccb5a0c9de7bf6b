"""Trained networks in checkpoints, without the run: read, written, and found in a workdir."""

import dataclasses
import pathlib
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
from jax.sharding import Sharding, SingleDeviceSharding
from ml_collections import ConfigDict
import orbax.checkpoint as ocp

from hrnet_jax.checkpoint import handlers, legacy
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import FOLDER, best_score
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.distributed import sharding
from hrnet_jax.errors import UserError, about_input

ADVICE = "its config or its facts are damaged, or of another version"
_MOST = 10  # tensors in a message


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A trained network.

  Attributes:
    config: of its run.
    variables: parameters and BatchNorm statistics.
    step: at which it was saved.
    dataset: facts about the data: `name`, `class_names`, `palette`, `fingerprint`.
    path: of the checkpoint.
  """

  config: ConfigDict
  variables: dict[str, Any]
  step: int
  dataset: dict[str, Any]
  path: pathlib.Path

  def variables_for(self, model: nn.Module) -> dict[str, Any]:
    """The variables, once it is clear that they are those of a network.

    Raises:
      ValueError: the network has other parameters than the checkpoint; names some of them.
    """
    expected = jax.eval_shape(lambda: init_variables(model, seed=0))
    expected, found = (traverse_util.flatten_dict(x, sep="/") for x in (expected, self.variables))
    wrong = [
      f"  {name}: {_kind(found.get(name))} in the checkpoint, {_kind(expected.get(name))} in the "
      "network"
      for name in sorted(expected.keys() | found.keys())
      if _kind(found.get(name)) != _kind(expected.get(name))
    ]
    if wrong:
      more = [f"  and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
      raise UserError(
        f"{self.path} does not fit the network that its config describes:\n"
        + "\n".join(wrong[:_MOST] + more)
      )
    return self.variables


def load(path: str | pathlib.Path, where: Sharding | None = None) -> Loaded:
  """Loads a network for use.

  Args:
    path: a workdir, whose best checkpoint is taken (the newest if none has a score), or one
      checkpoint.
    where: to put the arrays; the first device of this process by default.

  Raises:
    FileNotFoundError: there is no checkpoint.
    Damaged: its content is not what was written.
  """
  folder = find(path)
  try:
    config, dataset = _facts(folder)
    variables = handlers.read(folder, {"variables": None})["variables"]
  except Damaged as error:
    raise Damaged(f"{folder} is damaged: {error}; use another checkpoint") from None
  where = where or SingleDeviceSharding(jax.local_devices()[0])
  variables = sharding.device_put_global(variables, where)
  return Loaded(config, variables, _step(folder), dataset, folder)


def export(
  folder: str | pathlib.Path, variables: dict[str, Any], facts: dict[str, Any]
) -> pathlib.Path:
  """Writes a network without a run, as step 0 of a folder that `load` takes.

  Args:
    folder: new or empty.
    variables: parameters and BatchNorm statistics of `build_model(**facts["config"]["model"])`.
    facts: `config` and `dataset` as a run stores them; JSON.

  Returns:
    The checkpoint.

  Raises:
    ValueError: the folder holds something.
  """
  folder = pathlib.Path(folder).expanduser().absolute()
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise UserError(f"{folder} exists and is not empty; name another folder")
  args = handlers.to_save({"variables": variables}, {"facts": facts})
  with ocp.CheckpointManager(folder / FOLDER, item_names=handlers.NAMES) as manager:
    manager.save(0, args=args)
    manager.wait_until_finished()
  return folder / FOLDER / "0"


def find(path: str | pathlib.Path) -> pathlib.Path:
  """The checkpoint folder that `path` (see `load`) stands for.

  Raises:
    FileNotFoundError: there is none.
  """
  path = pathlib.Path(path).absolute()
  if (path / "facts").is_dir():
    return path
  root = path if path.name == FOLDER else path / FOLDER
  if not root.is_dir():
    raise FileNotFoundError(
      f"{path} holds no checkpoint: expected {root} or an item folder 'facts'"
    )
  options = ocp.CheckpointManagerOptions(
    best_fn=best_score,
    read_only=True,
    create=False,
    multiprocessing_options=handlers.alone("find"),
  )
  with (
    about_input(f"{root}: a checkpoint in it is damaged; name another one"),
    ocp.CheckpointManager(root, item_names=handlers.NAMES, options=options) as manager,
  ):
    step = manager.best_step()
    step = manager.latest_step() if step is None else step
  if step is None:
    raise FileNotFoundError(f"{root} holds no complete checkpoint")
  return root / str(step)


def _facts(folder: pathlib.Path) -> tuple[ConfigDict, dict[str, Any]]:
  """Config and data set of a checkpoint, once they are seen to be what they have to be.

  Raises:
    ValueError: they are not.
  """
  facts = handlers.read(folder, {}, ("facts",))["facts"]
  with about_input(f"{folder}: {ADVICE}"):
    config, dataset = ConfigDict(legacy.upgrade(facts["config"])), dict(facts["dataset"])
    if not isinstance(config.model.task, str):
      raise TypeError("model.task is no text")
    for key in ("class_names", "landmark_names"):
      names = dataset.get(key, [])
      if not isinstance(names, list) or not all(isinstance(x, str) for x in names):
        raise TypeError(f"dataset.{key} is no list of names")
  return config, dataset


def _step(folder: pathlib.Path) -> int:
  if not folder.name.isdecimal():
    raise UserError(f"{folder}: checkpoints are called by their step, as in {FOLDER}/1000")
  return int(folder.name)


def _kind(x: Any) -> str:
  return "absent" if x is None else f"{x.dtype}{tuple(x.shape)}"
