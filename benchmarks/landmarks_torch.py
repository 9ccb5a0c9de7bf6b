"""Trains a landmark config in PyTorch, to compare with `train.py`: config -> NME over time (JSON).

    python -m benchmarks.landmarks_torch --config=configs/landmarks/face68.py \
      --seconds=1200 --output=torch.jsonl

Batches, initial weights, learning rates, decoding and metrics are ours; network, gradients and the
optimizer are PyTorch's, eager and in channels-last layout. Validation is as often as the config
says and its time counts, as that of `train.py` does. Needs the extra `torch`.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import pathlib
import time
from typing import Any

from absl import app, flags
import jax
import jax.numpy as jnp
from ml_collections import config_flags
import numpy as np

from benchmarks import harness
from hrnet_jax import convert, registry
from hrnet_jax.checkpoint import train_state
from hrnet_jax.data.inputs import Inputs, open_dataset
from hrnet_jax.distributed import runtime
from hrnet_jax.evaluation.evaluate import Scored, evaluate
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.tasks.landmarks import task as landmarks
from hrnet_jax.training import optimizer as optim
from hrnet_jax.training.plan import make_plan

Say = Callable[[Mapping[str, Any]], None]


def define_flags() -> None:
  """Defines the command's flags."""
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
  flags.DEFINE_string("output", None, "A file for the JSON lines, which are also printed.")
  flags.DEFINE_integer("seconds", 1200, "Time for training and validation.", lower_bound=1)
  flags.DEFINE_integer("steps", 0, "Stop after these steps; 0 is the config's number.")
  flags.DEFINE_integer("threads", 2, "Of PyTorch.", lower_bound=1)
  flags.mark_flags_as_required(["config"])


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  del argv
  f = flags.FLAGS
  harness.use_cores(f.threads)
  runtime.set_up()
  path = pathlib.Path(f.output) if f.output else None
  if path:
    path.write_text("")

  def say(line: Mapping[str, Any]) -> None:
    text = json.dumps(line)
    print(text, flush=True)
    if path:
      with path.open("a") as file:
        file.write(text + "\n")

  train(f.config, seconds=f.seconds, threads=f.threads, steps=f.steps, say=say)


def train(config: Any, *, seconds: float, threads: int, steps: int, say: Say) -> None:
  """Trains until the time is over or the config's last step.

  Args:
    config: of the task `landmarks`, with the optimizer `adam`.
    seconds: for training and validation; the last validation is made when they are over.
    threads: of PyTorch.
    steps: stop after these; 0 is the config's number. The schedule stays the config's.
    say: takes a line of figures.

  Raises:
    ValueError: another task or optimizer. ImportError: PyTorch is missing.
  """
  if (config.model.task, config.optimizer.name) != ("landmarks", "adam"):
    raise ValueError(
      f"trains landmarks with adam, got {config.model.task!r} with {config.optimizer.name!r}"
    )
  import torch

  torch.set_num_threads(threads)
  dataset = open_dataset(config)
  task, plan = landmarks.build(config, dataset), make_plan(config, dataset)
  schedule, tx = optim.build(plan.steps, steps_per_epoch=plan.steps_per_epoch, **config.optimizer)
  network = build_network(config, initial_weights(task, tx, config.seed))
  optimizer = torch.optim.Adam(network.parameters(), weight_decay=config.optimizer.weight_decay)
  targets = jax.jit(landmarks.TARGETS[task.targets], static_argnums=(1, 2))
  testing = EvalStep(dataclasses.replace(task, model=Adapter(network)))
  inputs, last = Inputs(config, dataset, registry.task_of(config)), steps or plan.steps
  say({"machine": harness.machine(threads, {"torch": torch.__version__}), "steps": plan.steps})
  start, losses = time.perf_counter(), []
  with inputs.train() as batches:
    for step in range(1, last + 1):
      batch = next(batches)
      optimizer.param_groups[0]["lr"] = float(schedule(step - 1))
      losses.append(update(network, optimizer, batch, targets, task.sigma))
      over = step == last or time.perf_counter() - start > seconds
      if not (over or plan.evaluates(step)):
        continue
      with inputs.eval() as validation:
        report = evaluate(task, testing, {}, validation).report
      taken = {"step": step, "epoch": plan.epoch(step), "seconds": time.perf_counter() - start}
      say(taken | {"training_loss": float(np.mean(losses))} | report)
      losses.clear()
      if over:
        return


def initial_weights(task: landmarks.Landmarks, tx: Any, seed: int) -> dict[str, np.ndarray]:
  """Those with which `train.py` begins, under the names of the reference."""
  device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  variables = train_state.init_state(task.model, tx, seed, device).variables
  return convert.to_torch(task.model, jax.device_get(variables))


def build_network(config: Any, weights: Mapping[str, np.ndarray]) -> Any:
  """The network in PyTorch, in channels-last layout."""
  import torch

  from hrnet_jax.parity import torch_hrnet

  model = config.model
  options = {"upsample": model.upsample, "bn_momentum": model.bn_momentum}
  network = torch_hrnet.build("landmarks", model.variant, model.num_landmarks, **options)
  torch_hrnet.load(network, weights)
  return network.to(memory_format=torch.channels_last)


def update(
  network: Any,
  optimizer: Any,
  batch: Mapping[str, np.ndarray],
  targets: Callable[..., jax.Array],
  sigma: float,
) -> float:
  """One step; returns the loss."""
  import torch

  network.train()
  outputs = network(_to_torch(np.asarray(Normalize()(batch["image"]))))
  size = tuple(outputs.shape[2:])
  wanted = _to_torch(np.asarray(targets(jnp.asarray(batch["heatmap_points"]), size, sigma)))
  loss = torch.nn.functional.mse_loss(outputs, wanted)
  optimizer.zero_grad(set_to_none=True)
  loss.backward()
  optimizer.step()
  return float(loss.detach())


class Adapter:
  """A PyTorch network behind the interface of ours: `(B, H, W, 3) -> (B, h, w, L)`."""

  def __init__(self, network: Any):
    self._network = network

  def apply(self, variables: Any, images: jax.Array, *, train: bool) -> jax.Array:
    """Looks at normalised images; only for testing."""
    import torch

    if train or variables:
      raise ValueError("this network is tested with its own weights")
    self._network.eval()
    with torch.inference_mode():
      outputs = self._network(_to_torch(np.asarray(images)))
    return jnp.asarray(outputs.permute(0, 2, 3, 1).contiguous().numpy())


class EvalStep:
  """Our decoding and metrics behind another network; see `training.evaluate.Step`."""

  shared = True

  def __init__(self, task: landmarks.Landmarks):
    """Takes a task around an `Adapter`."""
    self._task, self._score = task, jax.jit(self._measure)

  def __call__(self, variables: Any, batch: Mapping[str, np.ndarray]) -> Scored:
    """Scores a batch."""
    outputs = self._task.outputs(variables, Normalize()(batch["image"]))
    numbers = {key: value for key, value in batch.items() if value.dtype.kind != "U"}
    return Scored(*jax.device_get(self._score(outputs, numbers)))

  def example(self, batch: Mapping[str, np.ndarray], row: int, prediction: Any) -> tuple[Any, Any]:
    """See `Step`."""
    return prediction, {key: value[row] for key, value in batch.items()}

  def _measure(self, outputs: jax.Array, batch: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    predictions = self._task.predict(outputs, batch["image"].shape[1:3])
    return (
      self._task.metric_sums(outputs, batch),
      predictions,
      self._task.per_example_score(outputs, batch),
    )


def _to_torch(x: np.ndarray) -> Any:
  """`(B, H, W, C)` as a tensor `(B, C, H, W)` in channels-last layout."""
  import torch

  return torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)


if __name__ == "__main__":
  define_flags()
  app.run(main)
