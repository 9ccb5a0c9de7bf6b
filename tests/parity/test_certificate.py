"""The certificate: it passes on the same function, names the stage of another, and says so."""

from collections.abc import Callable
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.parity import certificate, report
from hrnet_jax.parity.comparison import comparison_of

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = """
import ml_collections

def get_config():
  config = ml_collections.ConfigDict()
  config.model = {model}
  return config
"""


@pytest.fixture(scope="module")
def state_dict(toy: dict[str, Any], random_state_dict: Callable) -> dict[str, np.ndarray]:
  """Weights for the toy."""
  return random_state_dict(reference(toy))


def reference(options: dict[str, Any]) -> Any:
  """The PyTorch network; skips the test where PyTorch is not installed."""
  pytest.importorskip("torch")
  from hrnet_jax.parity import torch_hrnet

  model = hrnet_jax.build_model(**options)
  count, up = model.head.num_outputs, str(model.backbone.upsample)
  return torch_hrnet.build(model.task, model.backbone.config, count, upsample=up)


def certify(options: dict[str, Any], weights: Any, **how: Any) -> dict[str, Any]:
  return certificate.certify(options, weights, size=(64, 96), **{"dtypes": ["float32"], **how})


@pytest.mark.torch
@pytest.mark.slow
def test_passes_on_the_same_function(
  toy: dict[str, Any], state_dict: dict[str, np.ndarray]
) -> None:
  result = certify(toy, state_dict, dtypes=("float32", "bfloat16"))
  assert result["passed"]
  kinds = [(c["dtype"], c["images"]) for c in result["comparisons"]]
  assert kinds == [
    (dtype, [2, *size, 3]) for size in [(64, 96), (61, 91)] for dtype in ("float32", "bfloat16")
  ]
  full, half, odd, _ = result["comparisons"]
  shapes = {d["part"]: tuple(d["shape"]) for d in odd["differences"]}
  assert shapes["stage4.3"] == (2, 2, 3, 32)
  assert shapes["enlarged"] == (2, 61, 91, 3)
  assert list(shapes)[:2] == ["stem", "stage1"]
  assert max(d["relative"] for d in full["differences"]) < 2e-5
  assert all(1e-3 < d["relative"] < 0.25 for d in half["differences"])
  assert full["decisions"] == {"count": 2 * 64 * 96, "equal": 2 * 64 * 96}
  assert result["flags"]["bn_momentum"] == result["flags"]["bn_momentum_torch"] == 0.01
  tensors = {k: x for k, x in state_dict.items() if x.ndim}
  learned = [x.size for k, x in tensors.items() if "running" not in k]
  assert result["tensors"] == {
    "in_file": len(state_dict),
    "used": len(tensors),
    "parameters": sum(learned),
    "running_statistics": sum(x.size for x in tensors.values()) - sum(learned),
  }
  assert json.loads(json.dumps(result)) is not None


@pytest.mark.torch
@pytest.mark.parametrize("trained_with", ["nearest", "bilinear_aligned"])
def test_a_wrong_interpolation_fails_at_the_first_exchange(
  trained_with: str, toy: dict[str, Any], state_dict: dict[str, np.ndarray]
) -> None:
  """Stage 2 exchanges first; its coarse branch is not interpolated and agrees."""
  result = certify(toy, state_dict, upsample=trained_with)
  assert not result["passed"]
  for comparison in result["comparisons"]:
    assert comparison["starts_at"] == "stage2.0"
    parts = {d["part"]: d for d in comparison["differences"]}
    assert parts["stage2.0"]["relative"] > 0.05
    assert parts["stage2.1"]["passed"]
    assert comparison["decisions"]["equal"] < comparison["decisions"]["count"]


@pytest.mark.torch
@pytest.mark.parametrize(
  ("name", "starts_at"),
  [
    ("conv2.weight", "stem"),
    ("layer1.0.bn2.running_var", "stage1"),
    ("stage3.0.branches.1.0.conv2.weight", "stage3.0"),
    ("stage4.0.fuse_layers.1.0.0.1.bias", "stage4.1"),
    ("last_layer.3.bias", "outputs"),
  ],
)
def test_one_other_tensor_fails_where_it_acts(
  name: str, starts_at: str, toy: dict[str, Any], state_dict: dict[str, np.ndarray]
) -> None:
  changed = state_dict | {name: state_dict[name] * np.float32(1.01)}
  variables = hrnet_jax.convert.from_torch(hrnet_jax.build_model(**toy), changed)
  result = certify(toy, state_dict, variables=variables)
  assert {c["starts_at"] for c in result["comparisons"]} == {starts_at}
  text = report.render(result)
  assert "# Parity with PyTorch: FAILED" in text
  assert f"float32, 64 x 96: {starts_at} is the first part beyond 0.0001." in text


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("task", ["landmarks", "pose", "classification"])
def test_other_tasks_have_the_interpolation_of_their_reference(
  task: str, toy: dict[str, Any], random_state_dict: Callable
) -> None:
  key = "num_classes" if task == "classification" else "num_landmarks"
  sizes = {k: v for k, v in toy.items() if k not in ("task", "num_classes", "upsample")}
  options = {"task": task, key: 8, **sizes}
  weights = random_state_dict(reference(options))
  result = certify(options, weights)
  assert result["passed"]
  assert len(result["comparisons"]) == (2 if task == "landmarks" else 1)
  found = result["comparisons"][0]["decisions"]
  assert found["equal"] == found["count"] == (2 if task == "classification" else 16)
  wrong = "nearest" if task == "landmarks" else "bilinear"
  result = certify({**options, "upsample": wrong}, weights)
  assert result["comparisons"][0]["starts_at"] == "stage2.0"
  assert result["flags"]["upsample"] == wrong
  assert result["flags"]["upsample_torch"] != wrong


def test_decisions_by_hand() -> None:
  """Two heat maps of 2 x 3: the second one's best position is 1 row and 2 columns off."""
  theirs = np.zeros((1, 2, 3, 2), np.float32)
  ours = theirs.copy()
  theirs[0, 1, 1, 0] = ours[0, 1, 1, 0] = 1
  theirs[0, 0, 0, 1] = ours[0, 1, 2, 1] = 1
  found = comparison_of("pose").decide(ours, theirs)
  assert found == {"count": 2, "equal": 1, "furthest": 2}
  a = np.array([[9, 8, 7, 6, 5, 4, 0], [1, 2, 3, 4, 5, 6, 7]], np.float32)
  b = np.array([[8, 9, 7, 6, 5, 4, 0], [6, 2, 3, 4, 5, 1, 7]], np.float32)
  found = comparison_of("classification").decide(a, b)
  assert found == {"count": 2, "equal": 1, "equal_top5": 1}


def test_a_task_without_a_network_in_pytorch_is_named() -> None:
  with pytest.raises(
    ValueError, match="no network in PyTorch to compare with for task 'detection'"
  ):
    comparison_of("detection")


def test_differences_by_hand() -> None:
  """Values -1 and 1 have standard deviation 1; what is not a number never passes."""
  theirs = np.array([[-1.0, 1.0]], np.float32)
  d = certificate.difference("stem", theirs + np.float32(0.25), theirs, 0.25)
  assert (d.largest, d.relative, d.passed) == (0.25, 0.25, True)
  assert not certificate.difference("stem", theirs + np.float32(0.25), theirs, 0.2).passed
  assert not certificate.difference("stem", theirs * np.float32("nan"), theirs, 1).passed


def test_sizes() -> None:
  assert certificate.image_sizes((64, 128), {"bilinear"}) == [(64, 128), (61, 123)]
  assert certificate.image_sizes((64, 128), {"nearest"}) == [(64, 128)]
  with pytest.raises(ValueError, match=r"100x128: .* multiples of 32"):
    certificate.image_sizes((100, 128), {"nearest"})
  with pytest.raises(ValueError, match="too small"):
    certificate.image_sizes((32, 128), {"bilinear"})


@pytest.mark.torch
def test_weights_and_options_that_do_not_fit(
  toy: dict[str, Any], state_dict: dict[str, np.ndarray]
) -> None:
  less = {k: v for k, v in state_dict.items() if k != "bn1.bias"}
  with pytest.raises(ValueError, match=r"1 missing: bn1.bias \(64,\)"):
    certify(toy, less)
  with pytest.raises(ValueError, match="representation 'v1' cannot be compared"):
    certify({**toy, "representation": "v1"}, state_dict)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is there")
def test_says_what_to_install(toy: dict[str, Any]) -> None:
  with pytest.raises(ValueError, match=r"pip install 'torch>=2\.10'"):
    certify(toy, {})


@pytest.mark.torch
@pytest.mark.slow
def test_command(
  toy: dict[str, Any], state_dict: dict[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
  """0 where the networks agree; 1 where they do not, or on bad input; 2 on wrong usage."""
  import torch

  (tmp_path / "config.py").write_text(CONFIG.format(model=toy))
  weights = {f"model.{k}": torch.from_numpy(np.array(x)) for k, x in state_dict.items()}
  torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "toy.pth.tar")

  def run(*more: str, file: str = "toy.pth.tar") -> subprocess.CompletedProcess:
    options = [f"--config={tmp_path}/config.py", f"--torch={tmp_path}/{file}", *more]
    line = [sys.executable, "-m", "hrnet_jax.parity", *options]
    return subprocess.run(line, cwd=ROOT, env=os.environ, capture_output=True, text=True)

  size = ("--height=64", "--width=64")
  done = run(*size, f"--output={tmp_path}/out")
  assert done.returncode == 0, done.stderr
  assert "Parity with PyTorch: passed" in done.stdout
  found = json.loads((tmp_path / "out" / "parity.json").read_text())
  assert found["passed"]
  assert len(found["file"]["sha256"]) == 64
  assert {"jax", "torch", "python", "hrnet_jax"} <= set(found["versions"])
  assert (tmp_path / "out" / "parity.md").read_text() == done.stdout

  done = run(*size, "--upsample=nearest")
  assert done.returncode == 1, done.stderr
  assert "stage2.0 is the first part beyond 0.0001" in done.stdout

  for status, bad, message in [
    (1, run(file="none.pth"), "none.pth: no such file"),
    (1, run("--config.model.num_classes=4"), "of another shape"),
    (1, run("--config.model.depht=4"), "no key"),
    (2, run("--height=64"), "--height and --width go together"),
    (2, run("--upsample=cubic"), "upsample"),
  ]:
    assert bad.returncode == status, bad.stderr
    assert message in bad.stderr
    assert not bad.stdout


@pytest.mark.torch
@pytest.mark.slow
def test_images_of_other_channels(toy: dict[str, Any], random_state_dict: Callable) -> None:
  pytest.importorskip("torch")
  from hrnet_jax.parity import torch_hrnet

  options = {**toy, "channels": 5}
  model = hrnet_jax.build_model(**options)
  network = torch_hrnet.build(model.task, model.backbone.config, 3, upsample="bilinear", channels=5)
  result = certify(options, random_state_dict(network))
  assert result["passed"]
  assert [c["images"][-1] for c in result["comparisons"]] == [5, 5]
