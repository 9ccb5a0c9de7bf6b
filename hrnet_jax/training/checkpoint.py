"""Saves and restores runs. The only module that imports Orbax.

A checkpoint is a folder `checkpoints/<step>` with four items: `variables` (parameters and
BatchNorm statistics), `training` (step and optimizer), `loader` (position in the data) and
`facts` (config and data set), so that it can be used without the folder around it.
"""

import dataclasses
import math
import pathlib
from typing import Any

import jax
from ml_collections import ConfigDict
import orbax.checkpoint as ocp

from hrnet_jax.models.network import build_model
from hrnet_jax.training.state import TrainState, init_variables

FOLDER = "checkpoints"
_ITEMS = ("variables", "training", "loader", "facts")
_SCORE = "score"


class Checkpoints:
  """The checkpoints of one workdir, written asynchronously; a context manager.

  Leaving it waits for writes that are under way. A folder appears under its final name only when
  it is complete, so a run that is killed leaves no checkpoint half written.
  """

  def __init__(self, workdir: pathlib.Path, *, facts: dict[str, Any], keep_last: int = 2):
    """Keeps the `keep_last` newest checkpoints and the one with the best score.

    Args:
      workdir: of the run.
      facts: what to store beside the arrays; JSON.
      keep_last: 1 or more.

    Raises:
      ValueError: `keep_last` is less than 1.
    """
    if keep_last < 1:
      raise ValueError(f"checkpoint.keep_last is {keep_last}, expected 1 or more")
    policies = ocp.checkpoint_managers
    self._facts = facts
    self._manager = ocp.CheckpointManager(
      (workdir / FOLDER).absolute(),
      item_names=_ITEMS,
      options=ocp.CheckpointManagerOptions(
        best_fn=_score,  # without it the score is not written
        preservation_policy=policies.AnyPreservationPolicy(
          [
            policies.LatestN(keep_last),
            policies.BestN(
              get_metric_fn=_score,
              n=1,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
        cleanup_tmp_directories=True,
      ),
    )

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *exc_info: object) -> None:
    # Left-overs are removed in the background. Nothing public waits for that, and a program that
    # ends before it is done prints a traceback.
    self._manager._maybe_await_cleanup_tmp_directory()
    self._manager.wait_until_finished()
    self._manager.close()

  @property
  def latest(self) -> int | None:
    """Step of the newest complete checkpoint."""
    return self._manager.latest_step()

  def path(self, step: int) -> pathlib.Path:
    """Folder of a checkpoint."""
    return pathlib.Path(self._manager.directory) / str(step)

  def save(self, state: TrainState, loader: dict[str, int], *, score: float | None = None) -> None:
    """Starts writing; returns when the arrays have been copied off the devices.

    Args:
      state: to save; may be donated afterwards.
      loader: position in the data, `Loader.state()`.
      score: of the validation at this step; larger is better.
    """
    step = int(state.step)
    items = ocp.args.Composite(
      variables=ocp.args.StandardSave(state.variables),
      training=ocp.args.StandardSave(_training(state)),
      loader=ocp.args.JsonSave(loader),
      facts=ocp.args.JsonSave(self._facts),
    )
    metrics = {} if score is None else {_SCORE: score}
    self._manager.save(step, args=items, metrics=metrics)

  def restore(self, state: TrainState) -> tuple[TrainState, dict[str, int]]:
    """The newest state, in the shapes and shardings of `state`, and the position in the data.

    Raises:
      ValueError: the checkpoint holds a network without a run, as `export` writes it.
    """
    if not (self.path(self.latest) / "training").is_dir():
      raise ValueError(
        f"{self.path(self.latest)} holds weights alone, no run to go on with; name it in "
        "config.init_from and choose another --workdir"
      )
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
    items = ocp.args.Composite(
      variables=ocp.args.StandardRestore(abstract.variables),
      training=ocp.args.StandardRestore(_training(abstract)),
      loader=ocp.args.JsonRestore(),
    )
    restored = self._manager.restore(self.latest, args=items)
    return TrainState(**restored["variables"], **restored["training"]), restored["loader"]


def _score(metrics: dict[str, float]) -> float:
  return metrics.get(_SCORE, -math.inf)


def _training(state: TrainState) -> dict[str, Any]:
  return {"step": state.step, "opt_state": state.opt_state}


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


def load(path: str | pathlib.Path, sharding: jax.sharding.Sharding | None = None) -> Loaded:
  """Loads a network for use.

  Args:
    path: a workdir, whose best checkpoint is taken (the newest if none has a score), or one
      checkpoint.
    sharding: where to put the arrays; the first device by default.

  Raises:
    FileNotFoundError: there is no checkpoint.
  """
  folder = find(path)
  checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler(*_ITEMS))
  facts = checkpointer.restore(folder, ocp.args.Composite(facts=ocp.args.JsonRestore()))["facts"]
  config = ConfigDict(facts["config"])
  model = build_model(**config.model)
  sharding = sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    jax.eval_shape(lambda: init_variables(model, seed=0)),
  )
  items = ocp.args.Composite(variables=ocp.args.StandardRestore(abstract))
  variables = checkpointer.restore(folder, items)["variables"]
  return Loaded(config, variables, int(folder.name), facts["dataset"], folder)


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
    raise ValueError(f"{folder} exists and is not empty; name another folder")
  items = ocp.args.Composite(
    variables=ocp.args.StandardSave(variables), facts=ocp.args.JsonSave(facts)
  )
  with ocp.CheckpointManager(folder / FOLDER, item_names=_ITEMS) as manager:
    manager.save(0, args=items)
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
  with ocp.CheckpointManager(
    root,
    item_names=_ITEMS,
    options=ocp.CheckpointManagerOptions(best_fn=_score, read_only=True),
  ) as manager:
    step = manager.best_step()
    step = manager.latest_step() if step is None else step
  if step is None:
    raise FileNotFoundError(f"{root} holds no complete checkpoint")
  return root / str(step)
