"""This project as a contender: inference and train step, loader, training loop and preparation.

Images go in as uint8 and are normalised in the program, as `predict` and `train.py` do. Modules
that inference does not need are imported where they are used, because their memory would count for
it.
"""

import collections
from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import itertools
import json
import pathlib
import tempfile
import time
from typing import Any

import jax
import numpy as np

from benchmarks import cases
from benchmarks.worker import Contender, timed
import hrnet_jax
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import runtime, sharding
from hrnet_jax.ops.normalize import IMAGENET
from hrnet_jax.training.setup import make_setup
from hrnet_jax.training.step import make_train_step

CAMVID = "camvid"
_DRAINED = 24  # batches that may lie ready when a round begins; more than the loaders keep
_LINES = 4  # of the log in a round
# JAX's events: a program was looked for among those compiled before; it was there.
_ASKED = "/jax/compilation_cache/compile_requests_use_cache"
_FOUND = "/jax/compilation_cache/cache_hits"
_FOLDERS = {"image": ("", ".jpg"), "label": ("annot", ".png")}


def inference(config: Mapping[str, Any], folder: str, *, answer: str, folded: bool) -> Contender:
  """The network's outputs for uint8 images of the host.

  Args:
    config: values of a case's config.
    folder: with the arrays of the comparison.
    answer: a file for the outputs.
    folded: whether the norms are folded into the convolutions, as `predict` does.
  """
  model = cases.build_network(cases.from_json(config))
  variables = hrnet_jax.convert.from_torch(model, cases.read(folder, cases.WEIGHTS))
  if folded:
    model, variables = hrnet_jax.fold_batchnorm(model, variables)
  weights, images = jax.device_put(variables), cases.read(folder, cases.INPUTS)["image"]
  network = jax.jit(lambda v, x: model.apply(v, IMAGENET(x), train=False))
  with _first_call() as facts:
    outputs = jax.block_until_ready(network(weights, images))
  np.save(pathlib.Path(folder) / answer, np.asarray(outputs))
  del outputs, variables
  return Contender(facts, timed(lambda: jax.block_until_ready(network(weights, images))))


def training(config: Mapping[str, Any], folder: str, *, steps: int) -> Contender:
  """The train step of `train.py`, on a batch that lies on the device.

  Args:
    config, folder: as `inference`.
    steps: whose losses are reported, the first one included.
  """
  from hrnet_jax.preflight import fake_data

  config = cases.from_json(config)
  setup = make_setup(config, fake_data.open_dataset(config)[0], jax.devices()[:1])
  mesh = setup.mesh
  task = dataclasses.replace(setup.task, model=cases.build_network(config))
  train_step = make_train_step(task, setup.tx, mesh, seed=config.seed)
  weights = cases.read(folder, cases.WEIGHTS)
  variables = hrnet_jax.convert.from_torch(task.model, weights)
  arrays = cases.read(folder, cases.INPUTS)
  arrays.pop("targets", None)  # the step draws its own
  batch = sharding.to_global(arrays, mesh)
  opt_state = jax.jit(setup.tx.init)(variables["params"])  # as `init_state`
  state = TrainState(jax.numpy.int32(0), opt_state=opt_state, **variables)
  # All of it, or the program would not take the state that it returns.
  state = jax.device_put(state, sharding.replicated(mesh))
  with _first_call() as facts:
    run = _Training(runtime.compiled(train_step, state, batch), state, batch)
    del variables, weights, opt_state, state, batch
    losses = [run()]
  losses += [run() for _ in range(steps - 1)]
  return Contender({**facts, "losses": losses}, timed(run))


@contextlib.contextmanager
def _first_call() -> Iterator[dict[str, float]]:
  """Facts of what is called inside: its seconds, and how many programs were compiled for it."""
  counts: collections.Counter[str] = collections.Counter()
  jax.monitoring.register_event_listener(lambda event, **_: counts.update([event]))
  facts: dict[str, float] = {}
  start = time.perf_counter()
  yield facts
  facts["first_call_seconds"] = time.perf_counter() - start
  facts["programs_compiled"] = counts[_ASKED] - counts[_FOUND]


class _Training:
  """A step that goes on from the state it left."""

  def __init__(self, step: Callable[..., Any], state: TrainState, batch: Mapping[str, jax.Array]):
    self._step, self._state, self._batch = step, state, batch

  def __call__(self) -> float:
    self._state, scalars = self._step(self._state, self._batch)
    return float(scalars["loss"])


def write_files(data_dir: str | None, folder: str) -> Contender:
  """Writes the records of CamVid as files, in the folders in which it comes."""
  from hrnet_jax.data import prepared

  dataset = prepared.open_dataset(CAMVID, data_dir)
  for split in dataset.splits():
    for ending, _ in _FOLDERS.values():
      (pathlib.Path(folder) / f"{split}{ending}").mkdir(parents=True)
    for record in dataset.source(split):
      for key, (ending, suffix) in _FOLDERS.items():
        path = pathlib.Path(folder) / f"{split}{ending}" / f"{record['name']}{suffix}"
        path.write_bytes(record[key])
  return Contender({}, lambda calls: 0.0)


def camvid_config(
  data_dir: str | None, crop: tuple[int, int] | None, batch_size: int | None
) -> Any:
  """The experiment on CamVid; `crop` and `batch_size` replace its own unless None."""
  config = cases.dataset_config(CAMVID)
  config.data.data_dir = data_dir or ""
  if crop:
    config.transform.train.crop_size = tuple(crop)
    config.transform.train.base_size = crop[1]
  if batch_size:
    config.train.batch_size = config.eval.batch_size = batch_size
  return config


def loader(*, workers: int, threads: int | None = None, **of_config: Any) -> Contender:
  """Training batches, read by `train.py`'s loader.

  Args:
    workers: processes.
    threads: without workers; None is the config's number.
    **of_config: see `camvid_config`.
  """
  config = camvid_config(**of_config)
  config.data.workers = workers
  config.data.threads = config.data.threads if threads is None else threads
  batches = _inputs(config).train()
  next(batches)
  return Contender({"batch_size": config.train.batch_size}, read_from(batches))


def read_from(batches: Any) -> Callable[[int], float]:
  """A contender's `run` that reads batches, those left out that lay ready."""

  def run(calls: int) -> float:
    for _ in range(_DRAINED):
      next(batches)
    start = time.perf_counter()
    for _ in range(calls):
      next(batches)
    return (time.perf_counter() - start) / calls

  return run


def step(**of_config: Any) -> Contender:
  """The loop's train step alone, on one batch on the device; arguments as `camvid_config`."""
  from hrnet_jax.run_log.running_mean import RunningMean

  runtime.set_up()
  config = camvid_config(**of_config)
  setup = make_setup(config, _inputs(config).dataset)
  state = setup.init_state()
  with setup.train_batches(0) as batches:
    batch = sharding.to_global(next(batches), setup.mesh)
  train_step = runtime.compiled(setup.train_step, state, batch)
  holder, numbers = [train_step(state, batch)[0]], itertools.count(1)

  def run(calls: int) -> float:
    jax.block_until_ready(holder)
    mean = RunningMean(config.train.batch_size)
    for _ in range(calls):
      holder[0], scalars = train_step(holder[0], batch)
      mean.add(next(numbers), scalars)
    return mean.read()[1]

  return Contender({"batch_size": config.train.batch_size}, run)


def loop(*, folder: str, **of_config: Any) -> Contender:
  """`train.py` itself: seconds of a step as its log has them.

  A round is a run of its own. The first lines of its log are left out, because they hold the
  compilation, and batches that were read in the meantime.

  Args:
    folder: for the runs.
    **of_config: see `camvid_config`.
  """
  from hrnet_jax.training import loop as training_loop

  runtime.set_up()
  config = camvid_config(**of_config)
  config.eval.examples, config.eval.pictures = config.eval.batch_size, 0
  config.train.epochs, config.eval.every_epochs, config.checkpoint.every_steps = 0, 10**6, 10**6

  def run(calls: int) -> float:
    config.train.log_every = max(1, calls // _LINES)
    config.train.steps = calls + config.train.log_every
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
      training_loop.train(config, pathlib.Path(workdir) / "run")
      lines = (pathlib.Path(workdir) / "run/metrics.jsonl").read_text().splitlines()
    logged = [line for line in map(json.loads, lines) if line["split"] == "train"]
    seconds = [config.train.batch_size / line["images/s"] for line in logged[1:]]
    return sum(seconds) / len(seconds)

  return Contender({"batch_size": config.train.batch_size}, run)


def preparation(source: str, data_dir: str, threads: int) -> Contender:
  """`prepare` of the files of `write_files`; a round makes the whole data set anew."""
  from hrnet_jax.data import prepared

  dataset, _ = prepared.prepare(CAMVID, data_dir, source=source, workers=threads)

  def work() -> None:
    prepared.prepare(CAMVID, data_dir, source=source, workers=threads, overwrite=True)

  return Contender({"images": sum(dataset.splits().values())}, timed(work))


def _inputs(config: Any) -> Any:
  """The batches of a config, from the prepared data set."""
  from hrnet_jax import registry
  from hrnet_jax.data.inputs import Inputs, open_dataset

  return Inputs(config, open_dataset(config), registry.task_of(config))
