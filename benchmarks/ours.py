"""This project as a rival: `case, folder of arrays -> inference and train step`.

Images go in as uint8 and are normalised in the program, as `predict` and `train.py` do.
"""

from collections.abc import Callable, Mapping
import pathlib
import time
from typing import Any

import jax
import numpy as np

from benchmarks import apart, cases
import hrnet_jax
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import runtime, sharding
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.classification.task import Classification
from hrnet_jax.tasks.landmarks.task import Landmarks
from hrnet_jax.tasks.segmentation.task import Segmentation
from hrnet_jax.training import optimizer
from hrnet_jax.training.step import make_train_step


def inference(case: Mapping[str, Any], folder: str, *, answer: str, folded: bool) -> apart.Rival:
  """The network's outputs for uint8 images of the host.

  Args:
    case: values of a `Case`.
    folder: with the arrays of `cases.write`.
    answer: a file for the outputs.
    folded: whether the norms are folded into the convolutions, as `predict` does.
  """
  case = cases.Case(**case)
  model, variables = _network(case, folder)
  if folded:
    model, variables = hrnet_jax.fold_batchnorm(model, variables)
  weights, images = jax.device_put(variables), cases.read(folder, cases.INPUTS)["image"]
  network = jax.jit(lambda v, x: model.apply(v, Normalize()(x), train=False))
  start = time.perf_counter()
  outputs = jax.block_until_ready(network(weights, images))
  facts = {"first_call_seconds": time.perf_counter() - start}
  np.save(pathlib.Path(folder) / answer, np.asarray(outputs))
  del outputs, variables
  return apart.Rival(facts, apart.timed(lambda: jax.block_until_ready(network(weights, images))))


def training(case: Mapping[str, Any], folder: str, *, steps: int) -> apart.Rival:
  """The train step of `train.py`, on a batch that lies on the device.

  Args:
    case, folder: as `inference`.
    steps: whose losses are reported, the first one included.
  """
  case = cases.Case(**case)
  model, variables = _network(case, folder)
  mesh = sharding.make_mesh({"data": 1, "space": 1}, jax.devices()[:1])
  _, tx = optimizer.build(
    1,
    name="sgd",
    learning_rate=cases.LEARNING_RATE,
    momentum=cases.MOMENTUM,
    weight_decay=cases.WEIGHT_DECAY,
    schedule={"name": "constant"},
  )
  arrays = cases.read(folder, cases.INPUTS)
  arrays.pop("targets", None)  # ours are drawn by the step
  batch = sharding.to_global(arrays, mesh)
  state = TrainState(jax.numpy.int32(0), opt_state=tx.init(variables["params"]), **variables)
  # All of it, or the program would not take the state that it returns.
  state = jax.device_put(state, sharding.replicated(mesh))
  start = time.perf_counter()
  step = runtime.compiled(make_train_step(_task(case, model), tx, mesh, seed=0), state, batch)
  run = _Training(step, state, batch)
  del variables, state, batch
  losses = [run()]
  seconds = time.perf_counter() - start
  losses += [run() for _ in range(steps - 1)]
  return apart.Rival({"first_call_seconds": seconds, "losses": losses}, apart.timed(run))


class _Training:
  """A step that goes on from the state it left."""

  def __init__(self, step: Callable[..., Any], state: TrainState, batch: Mapping[str, jax.Array]):
    self._step, self._state, self._batch = step, state, batch

  def __call__(self) -> float:
    self._state, scalars = self._step(self._state, self._batch)
    return float(scalars["loss"])


def _network(case: cases.Case, folder: str) -> tuple[Any, dict[str, Any]]:
  model = hrnet_jax.build_model(**case.model)
  return model, hrnet_jax.convert.from_torch(model, cases.read(folder, cases.WEIGHTS))


def _task(case: cases.Case, model: Any) -> Any:
  """The task that a config would build."""
  count = case.outputs
  if case.task == "landmarks":
    return Landmarks(model=model, num_landmarks=count, sigma=cases.SIGMA, targets="rounded")
  names = tuple(map(str, range(count)))
  if case.task == "classification":
    return Classification(model=model, num_classes=count, class_names=names)
  return Segmentation(
    model=model,
    num_classes=count,
    upsample=Resize(cases.UPSAMPLE),
    class_names=names,
    palette=((0, 0, 0),) * count,
    ignore=cases.IGNORE,
  )
