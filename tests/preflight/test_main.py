"""The command, in processes of its own: the real train step, compiled for simulated devices."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import jax
import pytest

from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.cli.preflight import parse_bytes
from hrnet_jax.models import summary
from hrnet_jax.models.network import build_model
from tests.helpers import commands, environment, toy

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None, reason="needs the package libtpu"
)
CPUS = "--topology=cpu:8"


def run(
  tmp_path: pathlib.Path, *options: str, config: str = toy.CONFIG
) -> subprocess.CompletedProcess:
  command = [sys.executable, "-m", "hrnet_jax.preflight", f"--config={config}", *options]
  env = {**os.environ, "HRNET_JAX_DATA": str(tmp_path / "none")}
  # Little optimisation; the number of devices is up to the command.
  env["XLA_FLAGS"] = environment.xla_flags(*environment.QUICK)
  return subprocess.run(
    command, env=env, cwd=toy.ROOT, capture_output=True, text=True, timeout=300, check=False
  )


@pytest.fixture(scope="module")
def too_large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
  """The toy on eight devices of one MiB each: the process and its report."""
  folder = tmp_path_factory.mktemp("preflight")
  file = folder / "report.json"
  done = run(folder, "--topology=cpu:8", "--memory=1MiB", f"--json={file}")
  return done, json.loads(file.read_text())


@pytest.mark.slow
def test_what_does_not_fit_exits_with_1(too_large: tuple[Any, dict[str, Any]]) -> None:
  done, report = too_large
  assert done.returncode == 1
  assert report["verdict"]["fits"] is False
  assert "does not fit: needs " in done.stdout
  assert "--config.model.dtype=bfloat16" in done.stdout
  assert "compiling" in done.stdout
  assert "shapes are of a made-up example" in done.stdout
  assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_bytes_by_kind_are_those_of_the_network(too_large: tuple[Any, dict[str, Any]]) -> None:
  _, report = too_large
  model = build_model(**toy.MODEL)
  variables = jax.eval_shape(lambda: init_variables(model, 0))
  parameters, statistics = (
    sum(x.size for x in jax.tree.leaves(variables[kind])) for kind in ("params", "batch_stats")
  )
  memory = report["memory"]
  assert report["parameters"] == parameters
  assert memory["parameters"] == 4 * parameters
  assert memory["optimizer state"] == 4 * (parameters + 1)  # momentum, and a count of steps
  assert memory["batch statistics"] == 4 * statistics
  assert memory["batch"] == 64 * 64 * 3 + 64 * 64  # one of eight examples
  assert memory["other arguments"] == 4  # the number of the step
  assert memory["results beside the state"] < 10_000  # scalars: the donated state is not doubled
  assert sum(memory.values()) == report["verdict"]["needed"]
  assert memory["temporaries"] > 0


@pytest.mark.slow
def test_work_agrees_with_a_count_by_hand(too_large: tuple[Any, dict[str, Any]]) -> None:
  _, report = too_large
  parameters, macs = summary.count(build_model(**toy.MODEL), (64, 64))
  # Forward and the two gradients, two operations each; the first layer has one gradient, and the
  # gradients of resizing are products that the count of the network does not have.
  assert 5.5 * macs < report["flops"] < 7 * macs
  sums = next(c for c in report["collectives"] if c["kind"] == "all-reduce")
  # Gradients, the statistics of the forward pass, and a few scalars.
  expected = 4 * parameters + report["memory"]["batch statistics"]
  assert expected <= sums["bytes"] < expected + 100
  assert sums["sent"] == pytest.approx(sums["bytes"] * 2 * 7 / 8, abs=1)


MISTAKES = {
  "unknown topology 'v9:4x4'; known: cpu:8": ("--topology=v9:4x4",),
  "train.batch_size is 12, not a multiple of 8": (CPUS, "--config.train.batch_size=12"),
  "does not cover the 8 devices": (CPUS, "--config.mesh.space=3"),
  "use a multiple of 256": (CPUS, "--config.mesh.space=8"),
  "--memory is 'lots', expected a number and a unit": (CPUS, "--memory=lots"),
  "the config has no key 'modle'": (CPUS, "--config.modle.width=4"),
}


def test_mistakes_are_messages(tmp_path: pathlib.Path) -> None:
  lines = [["preflight", f"--config={toy.CONFIG}", *options] for options in MISTAKES.values()]
  done = commands.together(*lines, devices=8, HRNET_JAX_DATA=tmp_path / "none")
  for message, each in zip(MISTAKES, done, strict=True):
    assert each.returncode == 1
    assert message in each.stderr
    assert "Traceback" not in each.stderr


@needs_libtpu
@pytest.mark.slow
def test_a_tpu_compiler_that_refuses_is_a_verdict(tmp_path: pathlib.Path) -> None:
  file = tmp_path / "report.json"
  size = ("--config.transform.train.crop_size=(4096, 4096)", "--config.train.batch_size=64")
  done = run(tmp_path, "--topology=v5e:1x1", *size, f"--json={file}")
  assert done.returncode == 1, done.stderr
  report = json.loads(file.read_text())
  assert report["verdict"]["fits"] is False
  assert report["verdict"]["needed"] > 100 * 2**30
  assert report["memory"]["batch"] == 64 * 4096 * 4096 * 4
  assert "of 15.75 GiB a device; try" in done.stdout


@needs_libtpu
@pytest.mark.slow
def test_a_tpu_compiler_lays_arguments_out_as_we_read_it(tmp_path: pathlib.Path) -> None:
  file = tmp_path / "report.json"
  done = run(tmp_path, "--topology=v5e:2x2", f"--json={file}")
  assert done.returncode == 0, done.stderr
  report = json.loads(file.read_text())
  memory = report["memory"]
  assert 0 < memory["other arguments"] < 4096  # the number of the step, and no difference
  assert memory["parameters"] > 4 * report["parameters"]  # tiles of 8 x 128 hold narrow arrays
  assert memory["program"] > 0
  assert set(report["seconds_at_least"]) == {"arithmetic", "memory", "network"}
  assert "images/s" in done.stdout
  assert "fits: needs" in done.stdout


@pytest.mark.parametrize(
  ("text", "size"), [("16GiB", 16 * 2**30), ("1.5 GiB", 3 * 2**29), ("100MB", 10**8)]
)
def test_amounts_of_memory(text: str, size: int) -> None:
  assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["16", "GiB", "-1GiB", "0GiB", "1e3GiB"])
def test_wrong_amounts_of_memory(text: str) -> None:
  with pytest.raises(ValueError, match="expected a number and a unit"):
    parse_bytes(text)
