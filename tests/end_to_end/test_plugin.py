"""A task from a package outside this one is trained, resumed, tested, shown photos and exported.

The package is `tests/plugins/disc_counting`: a network with one input channel and a head of its
own, a data set, transforms, scores. Nothing in `hrnet_jax` knows of it; its config names it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from tests.helpers import environment

pytestmark = pytest.mark.slow

ROOT = environment.ROOT
PLUGINS = ROOT / "tests" / "plugins"
CONFIG = f"--config={PLUGINS / 'disc_counting' / 'config.py'}"


def run(*line: object, data: pathlib.Path) -> str:
  """Runs a command of the package with the plug-in on the path."""
  variables = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGINS)]),
    "HRNET_JAX_DATA": str(data),
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": environment.xla_flags(*environment.QUICK, devices=1),
  }
  done = subprocess.run(
    [sys.executable, "-m", "hrnet_jax", *map(str, line)],
    cwd=data.parent,
    env=variables,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout + done.stderr


def losses(workdir: pathlib.Path) -> dict[int, float]:
  lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
  return {x["step"]: x["loss"] for x in lines if x["split"] == "train"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A trained run in `run`, with its data set in `data`."""
  folder = tmp_path_factory.mktemp("plugin")
  run("train", CONFIG, f"--workdir={folder / 'run'}", data=folder / "data")
  return folder


def test_it_learns(folder: pathlib.Path) -> None:
  found = losses(folder / "run")
  assert sorted(found) == [10, 20, 30, 40]
  assert found[40] < 0.5 * found[10]


def test_a_run_goes_on_to_the_same_bits(folder: pathlib.Path) -> None:
  again = folder / "again"
  shutil.copytree(folder / "run", again)
  shutil.rmtree(again / "checkpoints" / "40")
  text = run("train", CONFIG, f"--workdir={again}", data=folder / "data")
  assert "going on from step 20" in text
  assert losses(again) == losses(folder / "run")


def test_it_is_evaluated_with_result_files(folder: pathlib.Path) -> None:
  options = [f"--workdir={folder / 'run'}", f"--export={folder / 'results'}"]
  assert "mean error" in run("eval", CONFIG, *options, data=folder / "data")
  report = json.loads((folder / "run" / "eval" / "metrics.json").read_text())
  rows = (folder / "results" / "counts.csv").read_text().splitlines()
  truth = [1 + index % 4 for index in range(12)]
  found = [float(row.split(",")[1]) for row in rows]
  assert report["error"] == pytest.approx(np.abs(np.subtract(found, truth)).mean(), abs=1e-3)


def test_photos_are_counted_as_in_evaluation(folder: pathlib.Path) -> None:
  """A picture of the data set, written as a photo, gets the count that evaluation gave it."""
  sys.path.insert(0, str(PLUGINS))
  try:
    from disc_counting.discs import Disc, Discs

    record = Discs.record(None, Disc("val", 3))
  finally:
    sys.path.remove(str(PLUGINS))
  (folder / "photos").mkdir()
  Image.fromarray(record["image"][..., 0]).save(folder / "photos" / "a.png")
  options = [f"--input={folder / 'photos'}", f"--output={folder / 'counted'}"]
  run("predict", f"--checkpoint={folder / 'run'}", *options, data=folder / "data")
  (row,) = (
    x
    for x in (folder / "results" / "counts.csv").read_text().splitlines()
    if x.startswith("val_3,")
  )
  count = float((folder / "counted" / "a_count.txt").read_text())
  assert count == pytest.approx(float(row.split(",")[1]), abs=2e-3)


def test_it_is_exported(folder: pathlib.Path) -> None:
  path = folder / "discs.jaxexport"
  options = [f"--checkpoint={folder / 'run'}", f"--output={path}", "--platforms=cpu"]
  run("export", *options, data=folder / "data")
  facts = json.loads(path.with_suffix(".json").read_text())
  assert facts["task"] == "disc_counting"
  assert facts["input"]["shape"].endswith("32, 32, 1)")


def test_an_unknown_plugin_is_named(folder: pathlib.Path) -> None:
  from hrnet_jax import registry

  with pytest.raises(ValueError, match="there is no module 'no_such_plugin'"):
    registry.load_plugins(("no_such_plugin",))
  with pytest.raises(ValueError, match="has neither SPEC nor SPECS"):
    registry.load_plugins(("json",))
