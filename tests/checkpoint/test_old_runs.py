"""Runs that were begun before the package had its present form go on to the same end."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any
import zipfile

from flax import traverse_util
import jaxlib
import numpy as np
import pytest

from hrnet_jax.checkpoint import checksums, networks
from hrnet_jax.checkpoint.workdir import open_workdir
from hrnet_jax.data import prepared
from tests.helpers import old_runs, toy
from tests.helpers.processor import has_avx512

pytestmark = pytest.mark.optimised

OTHER_PROCESSOR = 1e-5  # relative; rounding of two steps
# A bias in front of a norm has no gradient but rounding, which Adam scales up to a whole step.
ONLY_ROUNDING = ("head/mix/conv/bias", "head/mix/bn/mean")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segmentation", "landmarks"])
def test_goes_on_to_the_same_end(
  name: str, golden: pathlib.Path, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  with zipfile.ZipFile(golden / "old_runs" / f"{name}.zip") as archive:
    archive.extractall(tmp_path)
  made = json.loads((tmp_path / "made.json").read_text())
  same_data = _take_data(tmp_path / "run", data)
  if not same_data and name == "landmarks":
    pytest.skip("the JPEG encoder here makes other scenes than the one of the old run")
  _resume(name, tmp_path / "run", data)
  losses, variables = _end_of(tmp_path / "run")
  with np.load(tmp_path / "after.npz") as file:
    after = dict(file)
  assert variables.keys() == after.keys()
  if _can_be_exact(made):
    assert losses == made["losses"]
    for key, expected in after.items():
      np.testing.assert_array_equal(variables[key], expected, err_msg=key)
  else:
    np.testing.assert_allclose(losses, made["losses"], rtol=OTHER_PROCESSOR)
    assert _distance(variables, after) < OTHER_PROCESSOR


def _distance(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
  """Norm of what differs in all tensors together, by the norm of them."""
  keys = [key for key in expected if not key.endswith(ONLY_ROUNDING)]
  ours, theirs = (np.concatenate([x[key].ravel() for key in keys]) for x in (found, expected))
  return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def _take_data(run: pathlib.Path, data: pathlib.Path) -> bool:
  """Prepares the run's data; False, and another fingerprint, if encoders make other files of it."""
  manifest = json.loads((run / "manifest.json").read_text())
  dataset, _ = prepared.prepare(
    manifest["dataset"]["name"], data, source=data / "source" if _is_toy(manifest) else None
  )
  same = dataset.fingerprint == manifest["dataset"]["fingerprint"]
  manifest["dataset"]["fingerprint"] = dataset.fingerprint
  (run / "manifest.json").write_text(json.dumps(manifest))
  facts, digests = (run / "checkpoints" / "2" / x / "metadata" for x in ("facts", "digests"))
  content = json.loads(facts.read_text())
  content["dataset"]["fingerprint"] = dataset.fingerprint
  facts.write_text(json.dumps(content))
  written = json.loads(digests.read_text()) | checksums.digests({"facts": content})
  digests.write_text(json.dumps(written))
  return same


def _is_toy(manifest: dict[str, Any]) -> bool:
  return manifest["dataset"]["name"] == toy.NAME


def _resume(name: str, run: pathlib.Path, data: pathlib.Path) -> None:
  given = os.environ.get("XLA_FLAGS", "").split()
  env = {
    **os.environ,
    "HRNET_JAX_DATA": str(data),
    "HRNET_JAX_CPU_CONVOLUTION": "xla",  # as there was when they were begun
    "XLA_FLAGS": " ".join(x for x in given if "device_count" not in x),
  }
  line = [sys.executable, "-m", "tests.helpers.old_runs", name, str(run)]
  done = subprocess.run(line, env=env, cwd=toy.ROOT, capture_output=True, text=True, timeout=600)
  assert not done.returncode, done.stderr
  assert "going on from step 2" in done.stderr


def _end_of(run: pathlib.Path) -> tuple[list[float], dict[str, np.ndarray]]:
  entries = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
  losses = [x["loss"] for x in entries if x["split"] == "train"]
  variables = networks.load(run / "checkpoints" / "4").variables
  leaves = traverse_util.flatten_dict(variables, sep="/")
  return losses, {key: np.asarray(x) for key, x in leaves.items()}


def _can_be_exact(made: dict[str, Any]) -> bool:
  """Whether this machine computes as the one that the fixture was made on."""
  return (
    jaxlib.__version__ == made["jaxlib"]
    and has_avx512() == made["avx512f"]
    and os.cpu_count() == made["cpus"]
  )


@pytest.mark.parametrize("name", ["ocr", "classification", "detection"])
def test_belongs_to_the_config_of_today(
  name: str, golden: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  stored = (golden / "old_runs" / f"{name}_config.json").read_text()
  dataset = {"name": name, "fingerprint": "1"}
  (tmp_path / "checkpoints" / "2").mkdir(parents=True)
  (tmp_path / "config.json").write_text(stored)
  (tmp_path / "manifest.json").write_text(json.dumps({"dataset": dataset}))
  config = old_runs.RUNS[name]().to_dict()
  open_workdir(tmp_path, config, dataset)
  config["model"]["bn_momentum"] = 0.2
  with pytest.raises(ValueError, match=r"another config:\n  config.model.bn_momentum: .*\n[^ ]"):
    open_workdir(tmp_path, config, dataset)
