"""This project's side of `camvid`, in the rivals' processes: loader, step, loop and preparation."""

import importlib
import itertools
import json
import pathlib
import tempfile
import time
from typing import Any

import jax

from benchmarks import apart, camvid
from hrnet_jax import registry
from hrnet_jax.checkpoint.train_state import init_state
from hrnet_jax.data import prepared
from hrnet_jax.data.inputs import Inputs, open_dataset
from hrnet_jax.distributed import runtime, sharding
from hrnet_jax.run_log.running_mean import Meter
from hrnet_jax.training import loop as training_loop
from hrnet_jax.training.setup import make_mesh, make_setup

DRAINED = 24  # batches that may lie ready when a turn begins; more than the loaders keep
_LINES = 4  # of the log in a turn
_FOLDERS = {"image": ("", ".jpg"), "label": ("annot", ".png")}


def write_files(data_dir: str | None, folder: str) -> apart.Rival:
  """Writes the records as files, in the folders in which CamVid comes."""
  dataset = prepared.open_dataset("camvid", data_dir)
  for split in dataset.splits():
    for ending, _ in _FOLDERS.values():
      (pathlib.Path(folder) / f"{split}{ending}").mkdir(parents=True)
    for record in dataset.source(split):
      for key, (ending, suffix) in _FOLDERS.items():
        path = pathlib.Path(folder) / f"{split}{ending}" / f"{record['name']}{suffix}"
        path.write_bytes(record[key])
  return apart.Rival({}, lambda calls: 0.0)


def make_config(data_dir: str | None, crop: tuple[int, int] | None, batch_size: int | None) -> Any:
  """The experiment `camvid.CONFIG`; `crop` and `batch_size` replace its own unless None."""
  module = camvid.CONFIG.removesuffix(".py").replace("/", ".")
  config = importlib.import_module(module).get_config()
  config.data.data_dir = data_dir or ""
  if crop:
    config.transform.train.crop_size = tuple(crop)
    config.transform.train.base_size = crop[1]
  if batch_size:
    config.train.batch_size = config.eval.batch_size = batch_size
  return config


def loader(
  data_dir: str | None,
  crop: tuple[int, int] | None,
  batch_size: int | None,
  *,
  workers: int,
  threads: int | None = None,
) -> apart.Rival:
  """Training batches, read by `train.py`'s loader.

  Args:
    data_dir, crop, batch_size: see `make_config`.
    workers: processes.
    threads: without workers; None is the config's number.
  """
  config = make_config(data_dir, crop, batch_size)
  config.data.workers = workers
  config.data.threads = config.data.threads if threads is None else threads
  batches = Inputs(config, open_dataset(config), registry.task_of(config)).train()
  next(batches)
  return apart.Rival({"batch_size": config.train.batch_size}, read_from(batches))


def read_from(batches: Any) -> Any:
  """A rival's `turn` that reads batches, those left out that lay ready."""

  def turn(calls: int) -> float:
    for _ in range(DRAINED):
      next(batches)
    start = time.perf_counter()
    for _ in range(calls):
      next(batches)
    return (time.perf_counter() - start) / calls

  return turn


def step(data_dir: str | None, crop: tuple[int, int] | None, batch_size: int | None) -> apart.Rival:
  """The loop's train step alone, on one batch on the device; arguments as `make_config`."""
  runtime.set_up()
  config = make_config(data_dir, crop, batch_size)
  dataset, mesh = open_dataset(config), make_mesh(config)
  recipe = make_setup(config, dataset, mesh)
  state = init_state(recipe.task.model, recipe.tx, config.seed, sharding.replicated(mesh))
  with Inputs(config, dataset, registry.task_of(config)).train() as batches:
    batch = sharding.to_global(next(batches), mesh)
  train_step = runtime.compiled(recipe.step, state, batch)
  holder, numbers = [train_step(state, batch)[0]], itertools.count(1)

  def turn(calls: int) -> float:
    jax.block_until_ready(holder)
    meter = Meter(config.train.batch_size)
    for _ in range(calls):
      holder[0], scalars = train_step(holder[0], batch)
      meter.add(next(numbers), scalars)
    return meter.read()[1]

  return apart.Rival({"batch_size": config.train.batch_size}, turn)


def loop(
  data_dir: str | None, crop: tuple[int, int] | None, batch_size: int | None, folder: str
) -> apart.Rival:
  """`train.py` itself: seconds of a step as its log has them.

  A turn is a run of its own. The first lines of its log are left out, because they hold the
  compilation, and batches that were read in the meantime.

  Args:
    data_dir, crop, batch_size: see `make_config`.
    folder: for the runs.
  """
  runtime.set_up()
  config = make_config(data_dir, crop, batch_size)
  config.eval.examples, config.eval.pictures = config.eval.batch_size, 0
  config.train.epochs, config.eval.every_epochs, config.checkpoint.every_steps = 0, 10**6, 10**6

  def turn(calls: int) -> float:
    config.train.log_every = max(1, calls // _LINES)
    config.train.steps = calls + config.train.log_every
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
      training_loop.train(config, pathlib.Path(workdir) / "run")
      lines = (pathlib.Path(workdir) / "run/metrics.jsonl").read_text().splitlines()
    logged = [line for line in map(json.loads, lines) if line["split"] == "train"]
    seconds = [config.train.batch_size / line["images/s"] for line in logged[1:]]
    return sum(seconds) / len(seconds)

  return apart.Rival({"batch_size": config.train.batch_size}, turn)


def preparation(source: str, data_dir: str, threads: int) -> apart.Rival:
  """`prepare` of the files of `write_files`; a turn makes the whole data set anew."""
  dataset, _ = prepared.prepare("camvid", data_dir, source=source, workers=threads)

  def work() -> None:
    prepared.prepare("camvid", data_dir, source=source, workers=threads, overwrite=True)

  return apart.Rival({"images": sum(dataset.splits().values())}, apart.timed(work))
