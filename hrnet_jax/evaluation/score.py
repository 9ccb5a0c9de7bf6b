"""Scores a checkpoint on the evaluation split: config and workdir -> table, files and pictures."""

import json
import math
import pathlib
from typing import Any

import jax
from tensorboardX import SummaryWriter

from hrnet_jax import registry
from hrnet_jax.checkpoint import networks, versions
from hrnet_jax.checkpoint.legacy import ABSENT
from hrnet_jax.data.inputs import open_dataset
from hrnet_jax.data.text import as_csv
from hrnet_jax.distributed import sharding
from hrnet_jax.errors import UserError
from hrnet_jax.evaluation import compare, results, setup
from hrnet_jax.evaluation.evaluate import Evaluation, evaluate
from hrnet_jax.files import write_whole
from hrnet_jax.run_log.log import info
from hrnet_jax.tasks.interface import COMPARISON_NAMES
from hrnet_jax.visualize.bars import comparison_bars
from hrnet_jax.visualize.sheet import write_png

FOLDER, COMPARISON = "eval", "comparison"
Path = str | pathlib.Path


def score(
  config: Any,
  workdir: Path,
  path: Path | None = None,
  *,
  export: Path | None = None,
  against: Path | None = None,
) -> dict[str, Any]:
  """Evaluates one checkpoint and leaves the results in `workdir/eval`.

  Args:
    config: see `configs/`; its model must be the checkpoint's. `eval.protocol`, if there is one,
      says how images are tested.
    workdir: of the run; made if `path` is given.
    path: a checkpoint or the workdir of another run; the best of `workdir` by default.
    export: a folder for result files in the data set's own form, see `results`.
    against: a second checkpoint; what differs goes to `workdir/eval/comparison`.

  Returns:
    The task's report.

  Raises:
    FileNotFoundError: no checkpoint. ValueError: config and checkpoint do not fit together.
  """
  mesh = sharding.make_mesh(config.mesh)
  sharding.check_batch(mesh, config.eval.batch_size, "eval.batch_size")
  loaded = [_load(config, x, mesh) for x in (path or workdir, against) if x]
  dataset = open_dataset(config)
  for x in loaded:
    _check_names(x, dataset)
  task = registry.build_task(config, dataset)
  testing = setup.build(config, task, dataset, mesh)
  files = _absolute(export) if export else None
  writer = results.open_writer(config.model.task, files, dataset, task) if files else None
  placed = [testing.place(x.variables_for(task.model)) for x in loaded]
  with testing.batches() as batches:
    result = evaluate(
      task,
      testing.step,
      placed[0],
      batches,
      num_pictures=config.eval.pictures,
      num_worst=config.eval.pictures,
      consume=writer.add if writer else None,
    )
  if writer:
    writer.finish(result.totals)
  folder = _absolute(workdir) / FOLDER
  facts = {"checkpoint": str(loaded[0].path), "step": loaded[0].step, "data": dataset.name}
  facts |= {"split": config.data.eval_split, "testing": testing.text}
  facts |= {"fingerprint": dataset.fingerprint}
  source = dataset.source(config.data.eval_split)
  _write(folder, facts, result, source)
  if jax.process_index() == 0:
    print(task.table(result.report))
    print(f"checkpoint  {loaded[0].path}\ntested      {testing.text}\nresults     {folder}")
    if files:
      print(f"exported    {files}")
  if against:
    with testing.batches() as batches:
      both = compare.compare(
        task,
        testing.step,
        (placed[0], placed[1]),
        batches,
        num_pictures=max(config.eval.pictures, 1),
      )
    _write_comparison(folder / COMPARISON, both, [str(x.path) for x in loaded])
  return result.report


def _load(config: Any, path: Path, mesh: Any) -> networks.Loaded:
  loaded = networks.load(path, sharding.replicated(mesh))
  _check_model(config.model.to_dict(), loaded)
  return loaded


def _check_model(model: dict[str, Any], loaded: networks.Loaded) -> None:
  """Values that do not change what the weights mean may differ."""
  free = ("dtype", "bn_momentum", "bn_group_size", "init", "scan_layers", "remat")
  # A key that one of them lacks has the value that its absence means.
  absent = {k.removeprefix("model."): v for k, v in ABSENT.items() if k.startswith("model.")}
  model, trained = absent | model, absent | loaded.config.model.to_dict()
  unknown = sorted(trained.keys() - model.keys())
  if unknown and versions.is_newer(loaded.facts):
    keys = [f"model.{key}" for key in unknown]
    raise UserError(versions.unknown(loaded.path, loaded.facts, keys))
  keys = sorted((model.keys() | trained.keys()) - set(free))
  if lines := [
    f"  model.{key}: {trained.get(key)!r} in the checkpoint, {model.get(key)!r} in the config"
    for key in keys
    if json.dumps(trained.get(key)) != json.dumps(model.get(key))
  ]:
    raise UserError(f"{loaded.path} holds another model:\n" + "\n".join(lines))


def _check_names(loaded: networks.Loaded, dataset: Any) -> None:
  """Scores of a network that was trained with the same classes in another order mean nothing.

  Raises:
    ValueError: the names are the same, their order is not.
  """
  for key in ("class_names", "landmark_names"):
    trained, here = list(loaded.dataset.get(key) or ()), list(getattr(dataset, key))
    if not trained or not here or trained == here or all(map(str.isdecimal, trained)):
      continue  # converted weights have numbers for names
    first = next((i for i, x in enumerate(zip(trained, here, strict=False)) if x[0] != x[1]), None)
    if first is None:  # one has more
      info(
        f"warning: {loaded.path} was trained with {len(trained)} {key}, but {dataset.name} has "
        f"{len(here)}"
      )
      continue
    differ = (
      f"{loaded.path} was trained with {trained[first]!r} as number {first}, but {dataset.name} "
      f"has {here[first]!r} there"
    )
    if sorted(trained) == sorted(here):
      raise UserError(f"{differ}; prepare the data with the names in the order of the checkpoint")
    info(f"warning: {differ}; scores stand under the names of {dataset.name}")


def _write(folder: pathlib.Path, facts: dict[str, Any], result: Evaluation, source: Any) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  for kind in ("pictures", "worst"):
    _write_pictures(folder / kind, getattr(result, kind))
  if jax.process_index():
    return
  write_whole(folder / "metrics.json", json.dumps(facts | result.report, indent=2) + "\n")
  _write_pictures(folder, result.charts)
  _write_examples(folder / "examples.csv", result.per_example_score, source)
  with SummaryWriter(str(folder / "tensorboard")) as board:
    for name, value in result.report.items():
      if isinstance(value, float | int):
        board.add_scalar(f"test/{name}", value, facts["step"])
    for group, pictures in (("charts", result.charts), ("worst", result.worst)):
      for name, picture in pictures.items():
        board.add_image(f"{group}/{name}", picture, facts["step"], dataformats="HWC")


def _write_pictures(folder: pathlib.Path, pictures: dict[Any, Any]) -> None:
  if pictures:
    folder.mkdir(parents=True, exist_ok=True)
  for name, picture in pictures.items():
    stem = f"{name:05d}" if isinstance(name, int) else name
    write_png(folder / f"{stem}.png", picture)


def _write_examples(path: pathlib.Path, quality: dict[int, float], source: Any) -> None:
  """A line for each example, the worst first; those without truth at the end."""
  order = sorted(quality, key=lambda i: (math.isnan(quality[i]), quality[i], i))
  rows = ([i, source[i]["name"], f"{quality[i]:.6f}"] for i in order)
  write_whole(path, as_csv([["index", "name", "quality"], *rows]))


def _write_comparison(
  folder: pathlib.Path, both: compare.Comparison, checkpoints: list[str]
) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  _write_pictures(folder, both.pictures)
  if jax.process_index():
    return
  first, second = both.reports
  for name, values in first.items():
    if isinstance(values, dict) and all(isinstance(x, float) for x in values.values()):
      title = f"{name.replace('_', ' ')}, in %"
      columns = [list(values.values()), list(second[name].values())]
      write_png(
        folder / f"{name}.png",
        comparison_bars(*columns, list(values), names=COMPARISON_NAMES, title=title),
      )
  text = compare.table(both)
  where = "\n".join(
    f"{name:<6} {path}" for name, path in zip(COMPARISON_NAMES, checkpoints, strict=True)
  )
  write_whole(folder / "comparison.txt", f"{where}\n\n{text}\n")
  print(f"\n{where}\n{text}\ncomparison  {folder}")


def _absolute(path: Path) -> pathlib.Path:
  return pathlib.Path(path).expanduser().absolute()
