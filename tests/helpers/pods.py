"""Runs of the toy in several processes on this machine."""

from collections.abc import Mapping, Sequence
import json
import pathlib
import socket
import subprocess
import time

import jax
import numpy as np

import hrnet_jax
from hrnet_jax.checkpoint import manager
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.training import optimizer
from tests.helpers import toy

# float64, because the toy amplifies rounding a hundredfold with each step.
OPTIONS = (
  "--config.model.dtype=float64",
  "--config.train.steps=12",
  "--config.checkpoint.every_steps=3",
)


def free_port() -> int:
  """A port that nobody listens at."""
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def start(
  script: str,
  data: pathlib.Path,
  workdir: pathlib.Path,
  *options: str,
  processes: int,
  devices: int,
  own: Mapping[int, Sequence[str]] | None = None,
) -> list[subprocess.Popen]:
  """Starts the processes of a job, each with simulated devices of its own.

  Args:
    script: of the checkout.
    data: folder of prepared data sets.
    workdir: of the run.
    options: flags of all processes.
    processes: how many there are.
    devices: of each.
    own: further flags of single processes.
  """
  line, env = toy.command(script, data, workdir, *options, devices=devices)
  address = f"--coordinator_address=127.0.0.1:{free_port()}"
  several = [address, f"--num_processes={processes}"] if processes > 1 else []
  return [
    subprocess.Popen(
      [*line, *several, *([f"--process_id={i}"] if several else []), *(own or {}).get(i, ())],
      env=env,
      cwd=toy.ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for i in range(processes)
  ]


def finish(started: list[subprocess.Popen], timeout: float = 400) -> list[tuple[int, str]]:
  """Exit status and output of each, once all have ended."""
  return [(p.returncode, text) for p in started for text in [p.communicate(timeout=timeout)[0]]]


def run(*args: object, **kwargs: int) -> list[tuple[int, str]]:
  """Starts a job, waits for its end and makes sure that it was a good one."""
  done = finish(start(*args, **kwargs))
  for status, text in done:
    assert status == 0, text
  return done


def wait_for_step(workdir: pathlib.Path, step: int, started: list[subprocess.Popen]) -> None:
  """Returns when the log has the step and a checkpoint is there."""
  deadline = time.monotonic() + 300
  while not (saved(workdir) and max(logged(workdir), default=0) >= step):
    assert all(p.poll() is None for p in started), [p.communicate()[0] for p in started]
    assert time.monotonic() < deadline, "no such step was logged in time"
    time.sleep(0.005)


def logged(workdir: pathlib.Path) -> list[int]:
  """Training steps in the order of the log; a line that is still being written does not count."""
  path, steps = workdir / "metrics.jsonl", []
  for line in path.read_text().splitlines() if path.exists() else []:
    try:
      entry = json.loads(line)
    except json.JSONDecodeError:
      break
    steps += [entry["step"]] if entry["split"] == "train" else []
  return steps


def saved(workdir: pathlib.Path) -> list[int]:
  """Steps of the complete checkpoints."""
  return sorted(int(p.name) for p in workdir.glob("checkpoints/*") if p.name.isdigit())


def final_state(workdir: pathlib.Path) -> tuple[TrainState, dict[str, int]]:
  """Everything in the newest checkpoint of the toy, and the position in the data."""
  config = json.loads((workdir / "config.json").read_text())
  _, tx = optimizer.build(config["train"]["steps"], **config["optimizer"])
  mesh = toy.make_mesh(1)
  state = toy.make_state(hrnet_jax.build_model(**config["model"]), tx, mesh)
  with manager.Checkpoints(workdir, facts={}) as saver:
    return saver.restore(state, mesh)


def by_path(state: TrainState) -> dict[str, np.ndarray]:
  """The leaves of a state."""
  leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
  return {jax.tree_util.keystr(path): x for path, x in leaves}
