"""Trained networks in checkpoints, without the run: read, written, and found in a workdir."""

import contextlib
import dataclasses
import pathlib
import time
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
from jax.sharding import Sharding, SingleDeviceSharding
from ml_collections import ConfigDict
import numpy as np

from hrnet_jax import files
from hrnet_jax.checkpoint import handlers, legacy, listing, reading, versions
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import FOLDER
from hrnet_jax.checkpoint.reading import Gone
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.checkpoint.writer import publish_folder
from hrnet_jax.distributed import collectives, sharding
from hrnet_jax.errors import UserError, about_input
from hrnet_jax.run_log import log

ADVICE = "its config or its facts are damaged, or of another version"
_ITEMS = ("variables", "facts", "digests")  # that a network needs
_MOST = 10  # tensors in a message
_TRIES, _PAUSE = 50, 0.02  # to read what is being replaced; seconds


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A trained network.

  Attributes:
    config: of its run.
    variables: parameters and BatchNorm statistics.
    step: at which it was saved.
    dataset: facts about the data: `name`, `class_names`, `palette`, `fingerprint`.
    path: of the checkpoint.
    facts: as they are stored, with the version that wrote them.
  """

  config: ConfigDict
  variables: dict[str, Any]
  step: int
  dataset: dict[str, Any]
  path: pathlib.Path
  facts: dict[str, Any] = dataclasses.field(default_factory=dict)

  def in_use(self) -> contextlib.AbstractContextManager[None]:
    """For a body that builds the network: what its config lacks or has too much is told in a line,
    with the checkpoint and the versions that wrote and read it."""
    return about_input(_advice(self.path, self.facts), values=True)

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
  """Loads a network for use; of several processes, all load the same.

  While a run replaces its checkpoints, one that went away is no error of who named the workdir:
  the choice is made again.

  Args:
    path: a workdir, whose best checkpoint is taken (the newest if none has a score), or one
      checkpoint.
    where: to put the arrays; the first device of this process by default.

  Raises:
    FileNotFoundError: there is no checkpoint.
    Damaged: its content is not what was written.
    OSError: it cannot be read now, or is replaced faster than it can be read.
  """
  for number in range(_TRIES):
    folder, loaded, error = _same_choice(path), None, None
    try:
      # What was too slow holds the files first, which takes no time.
      with reading.held(folder, _ITEMS) if number > 1 else contextlib.nullcontext(folder) as source:
        loaded = _load(folder, source)
    except Exception as failure:
      error = failure
    again = isinstance(error, Gone) and _root(path) is not None
    votes = collectives.exchange(np.int32(0 if error is None else 1 if again else 2))
    if loaded is not None and votes.max() == 0:
      where = where or SingleDeviceSharding(jax.local_devices()[0])
      variables = sharding.device_put_global(loaded.variables, where)
      return dataclasses.replace(loaded, variables=variables)
    if votes.max() > 1:
      raise error or UserError(f"{folder}: another process cannot read it, and says why")
    if number == 0:
      log.info(f"{folder} was removed while it was read; choosing again")
    time.sleep(_PAUSE)
  raise OSError(f"{path}: checkpoints are replaced faster than they can be read; try again later")


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
    OSError: it cannot be written.
  """
  folder = pathlib.Path(folder).expanduser().absolute()
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise UserError(f"{folder} exists and is not empty; name another folder")
  place = folder / FOLDER / "0"
  place.parent.mkdir(parents=True)
  variables = handlers.on_host(variables)
  num_bytes = sum(x.nbytes for x in jax.tree.leaves(variables))

  def write(temporary: pathlib.Path) -> None:
    handlers.write(temporary, 0, {"variables": variables}, {"facts": facts})

  try:
    publish_folder(place, num_bytes, write)
  except BaseException:
    with contextlib.suppress(OSError):
      place.parent.rmdir()  # so that the folder can be named again
    raise
  return place


def find(path: str | pathlib.Path) -> pathlib.Path:
  """The checkpoint folder that `path` (see `load`) stands for.

  Raises:
    FileNotFoundError: there is none.
  """
  return files.patiently(lambda: _find(path))


def _find(path: str | pathlib.Path) -> pathlib.Path:
  root = _root(path)
  if root is None:
    return pathlib.Path(path).absolute()
  if not root.is_dir():
    raise FileNotFoundError(
      f"{pathlib.Path(path).absolute()} holds no checkpoint: expected {root} or an item folder "
      "'facts'"
    )
  steps = listing.steps_in(root)
  step = listing.best(root, steps)
  step = max(steps, default=None) if step is None else step
  if step is None:
    raise FileNotFoundError(f"{root} holds no complete checkpoint")
  return root / str(step)


def _root(path: str | pathlib.Path) -> pathlib.Path | None:
  """The folder of checkpoints in which one is to be chosen; None where `path` names one itself."""
  path = pathlib.Path(path).absolute()
  if (path / "facts").is_dir() or (path / "variables").is_dir() or _is_step_of_run(path):
    return None
  return path if path.name == FOLDER else path / FOLDER


def _is_step_of_run(path: pathlib.Path) -> bool:
  """Whether a path is called like a checkpoint, which may have gone."""
  return path.name.isdecimal() and path.parent.name == FOLDER


def _same_choice(path: str | pathlib.Path) -> pathlib.Path:
  """Tells every process what process 0 finds."""
  folder, error = None, None
  try:
    folder = find(path)
    step = [_step(folder)]
  except (UserError, OSError) as failure:
    step, error = [], failure
  chosen = collectives.of_first_process(step)
  if not chosen:
    raise error or UserError(f"{path}: process 0 finds no checkpoint there, and says why")
  root = files.patiently(lambda: _root(path))
  return pathlib.Path(path).absolute() if root is None else root / str(chosen[0])


def _load(folder: pathlib.Path, source: pathlib.Path) -> Loaded:
  """Reads the checkpoint `folder` on the host, from itself or from a copy."""
  try:
    found = handlers.read(source, {"variables": None}, ("facts",))
  except Damaged as error:
    raise Damaged(error.reason, folder) from error
  except versions.Unfit as error:
    raise versions.Unfit(f"{folder}: {error}") from None
  config, dataset = _described(folder, found["facts"])
  return Loaded(config, found["variables"], _step(folder), dataset, folder, found["facts"])


def _described(folder: pathlib.Path, facts: Any) -> tuple[ConfigDict, dict[str, Any]]:
  """Config and data set of a checkpoint, once they are seen to be what they have to be.

  Raises:
    ValueError: they are not.
  """
  with about_input(_advice(folder, facts)):
    config, dataset = ConfigDict(legacy.upgrade(facts["config"])), dict(facts["dataset"])
    if not isinstance(config.model.task, str):
      raise TypeError("model.task is no text")
    for key in ("class_names", "landmark_names"):
      names = dataset.get(key, [])
      if not isinstance(names, list) or not all(isinstance(x, str) for x in names):
        raise TypeError(f"dataset.{key} is no list of names")
  return config, dataset


def _advice(folder: pathlib.Path, facts: Any) -> str:
  return f"{folder}: {ADVICE} ({versions.both(facts)})"


def _step(folder: pathlib.Path) -> int:
  if not folder.name.isdecimal():
    raise UserError(f"{folder}: checkpoints are called by their step, as in {FOLDER}/1000")
  return int(folder.name)


def _kind(x: Any) -> str:
  return "absent" if x is None else f"{x.dtype}{tuple(x.shape)}"
