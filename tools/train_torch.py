"""Trains a config of heat maps in PyTorch, to compare with `hrnet train`: -> scores over time.

    python -m tools.train_torch --config=CONFIG --seconds=1200 --output=torch.jsonl

Batches, initial weights, learning rates and metrics are this project's; network, gradients and the
optimizer are PyTorch's, eager and in channels-last layout. Validation is as often as the config
says and its time counts, as that of `hrnet train` does. The config's optimizer has to be `adam`,
and its targets heat maps. Needs the extra `torch`.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
import json
import operator
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks import torch_side, worker
from hrnet_jax import convert, registry
from hrnet_jax.checkpoint import train_state
from hrnet_jax.cli import arguments
from hrnet_jax.data.inputs import Inputs, open_dataset
from hrnet_jax.distributed import runtime
from hrnet_jax.errors import UserError
from hrnet_jax.ops import targets
from hrnet_jax.parity import torch_hrnet
from hrnet_jax.training import optimizer as optim
from hrnet_jax.training.plan import make_plan

TARGETS = {"gaussian": targets.gaussian_targets, "rounded": targets.rounded_targets}
LAYOUT = "channels_last"
Log = Callable[[Mapping[str, Any]], None]


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  arguments.add_config(parser)
  add = parser.add_argument
  add("--output", type=pathlib.Path, help="a file for the JSON lines, which are also printed")
  add("--seconds", type=arguments.positive, default=1200, help="for training and validation")
  add("--steps", type=arguments.count, default=0, help="stop after these; 0 is the config's number")
  add("--threads", type=arguments.positive, default=2, help="of PyTorch")
  args = arguments.parse(parser, None, required=["config"])
  worker.use_cores(args.threads)
  torch.set_num_threads(args.threads)
  runtime.set_up()

  def log(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)
    if args.output:
      with args.output.open("a") as file:
        file.write(json.dumps(line) + "\n")

  train(args.config, seconds=args.seconds, steps=args.steps, log=log)


def train(config: Any, *, seconds: float, steps: int, log: Log) -> None:
  """Trains until the time is over or the config's last step.

  Args:
    config: the experiment.
    seconds: for training and validation; the last validation is made when they are over.
    steps: stop after these; 0 is the config's number. The schedule stays the config's.
    log: takes a line of figures.

  Raises:
    UserError: other targets or another optimizer.
  """
  if config.optimizer.name != "adam" or config.loss.get("targets") not in TARGETS:
    raise UserError("optimizer.name has to be adam, and loss.targets one of heat maps")
  dataset = open_dataset(config)
  task, plan = registry.build_task(config, dataset), make_plan(config, dataset)
  schedule, tx = optim.build(plan.steps, steps_per_epoch=plan.steps_per_epoch, **config.optimizer)
  network = torch_side.build(config, bn_momentum=config.model.bn_momentum)
  torch_hrnet.load(network, initial_weights(task.model, tx, config.seed))
  network.to(memory_format=torch_side.FORMATS[LAYOUT])
  optimizer = torch.optim.Adam(network.parameters(), weight_decay=config.optimizer.weight_decay)
  score = jax.jit(task.metric_sums)
  inputs, last = Inputs(config, dataset, registry.task_of(config)), steps or plan.steps
  start, losses = time.perf_counter(), []
  with inputs.train() as batches:
    for step in range(1, last + 1):
      optimizer.param_groups[0]["lr"] = float(schedule(step - 1))
      losses.append(update(config, network, optimizer, next(batches)))
      over = step == last or time.perf_counter() - start > seconds
      if not (over or plan.evaluates(step)):
        continue
      with inputs.eval() as validation:
        report = task.report(validate(network, score, validation))
      taken = {"step": step, "epoch": plan.epoch(step), "seconds": time.perf_counter() - start}
      log(taken | {"training_loss": float(np.mean(losses))} | report)
      losses.clear()
      if over:
        return


def initial_weights(model: Any, tx: Any, seed: int) -> dict[str, np.ndarray]:
  """Those with which `hrnet train` begins, under the names of the reference."""
  device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  variables = train_state.init_state(model, tx, seed, device).variables
  return convert.to_torch(model, jax.device_get(variables))


def update(config: Any, network: Any, optimizer: Any, batch: Mapping[str, np.ndarray]) -> float:
  """One step; returns the loss.

  Raises:
    UserError: the data set has missing landmarks, whose maps the loss here would count.
  """
  if "annotated" in batch:
    raise UserError(f"{config.data.name} has missing landmarks; take a data set without")
  outputs = network.train()(torch_side.to_tensor(batch["image"], LAYOUT))
  draw, size = TARGETS[config.loss.targets], tuple(outputs.shape[2:])
  maps = np.array(draw(jnp.asarray(batch["heatmap_points"]), size, config.loss.sigma))
  truth = torch.from_numpy(maps).permute(0, 3, 1, 2)
  loss = torch_side.measure_loss(config, outputs, truth)
  optimizer.zero_grad(set_to_none=True)
  loss.backward()
  optimizer.step()
  return float(loss.detach())


def validate(
  network: Any, score: Callable[..., Any], batches: Iterable[Mapping[str, np.ndarray]]
) -> Any:
  """Sums of the task's metrics over the validation split.

  Args:
    network: in PyTorch; the mirrored image is not looked at.
    score: outputs `(B, h, w, L)` and a batch -> the sums.
    batches: of the whole split.
  """
  network.eval()
  total = None
  for batch in batches:
    with torch.inference_mode():
      outputs = network(torch_side.to_tensor(batch["image"], LAYOUT)).permute(0, 2, 3, 1)
    numbers = {key: value for key, value in batch.items() if value.dtype.kind != "U"}
    sums = jax.device_get(score(jnp.asarray(outputs.contiguous().numpy()), numbers))
    total = sums if total is None else jax.tree.map(operator.add, total, sums)
  return total


if __name__ == "__main__":
  main()
