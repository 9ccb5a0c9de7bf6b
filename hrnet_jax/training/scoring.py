"""Scores a checkpoint on the evaluation split: config and workdir -> table, JSON and pictures."""

import json
import pathlib
from typing import Any

import jax

from hrnet_jax import visualize
from hrnet_jax.data.inputs import Inputs, open_dataset
from hrnet_jax.tasks import registry
from hrnet_jax.training import checkpoint, sharding
from hrnet_jax.training.evaluate import evaluate
from hrnet_jax.training.step import make_eval_step

FOLDER = "eval"


def score(
  config: Any, workdir: str | pathlib.Path, path: str | pathlib.Path | None = None
) -> dict[str, Any]:
  """Evaluates one checkpoint and leaves the results in `workdir/eval`.

  Args:
    config: see `configs/`; its model must be the checkpoint's.
    workdir: of the run; made if `path` is given.
    path: a checkpoint or the workdir of another run; the best of `workdir` by default.

  Returns:
    The task's report.

  Raises:
    FileNotFoundError: no checkpoint. ValueError: config and checkpoint do not fit together.
  """
  mesh = sharding.make_mesh(config.mesh)
  sharding.check_batch(mesh, config.eval.batch_size, "eval.batch_size")
  loaded = checkpoint.load(path or workdir, sharding.replicated(mesh))
  _check_model(config.model.to_dict(), loaded)
  dataset = open_dataset(config)
  task = registry.build(config, dataset)
  inputs = Inputs(config, dataset, jax.process_index(), jax.process_count())
  with inputs.eval(height_multiple=sharding.height_multiple(mesh)) as batches:
    result = evaluate(
      task,
      make_eval_step(task, mesh),
      loaded.variables,
      batches,
      mesh,
      num_pictures=config.eval.pictures,
    )
  if jax.process_index() == 0:
    folder = pathlib.Path(workdir).expanduser().absolute() / FOLDER
    where = {"checkpoint": str(loaded.path), "step": loaded.step}
    where |= {"data": dataset.name, "split": config.data.eval_split}
    _write(folder, where | {"fingerprint": dataset.fingerprint} | result.report, result.pictures)
    print(task.table(result.report))
    print(f"checkpoint  {loaded.path}\nresults     {folder}")
  return result.report


def _check_model(model: dict[str, Any], loaded: checkpoint.Loaded) -> None:
  """Values that do not change what the weights mean may differ."""
  free = ("dtype", "bn_momentum", "init")
  trained = loaded.config.model.to_dict()
  keys = sorted((model.keys() | trained.keys()) - set(free))
  if lines := [
    f"  model.{key}: {trained.get(key)!r} in the checkpoint, {model.get(key)!r} in the config"
    for key in keys
    if json.dumps(trained.get(key)) != json.dumps(model.get(key))
  ]:
    raise ValueError(f"{loaded.path} holds another model:\n" + "\n".join(lines))


def _write(folder: pathlib.Path, metrics: dict[str, Any], pictures: dict[int, Any]) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
  pictures_folder = folder / "pictures"
  pictures_folder.mkdir(exist_ok=True)
  for index, picture in pictures.items():
    visualize.write_png(pictures_folder / f"{index:05d}.png", picture)
