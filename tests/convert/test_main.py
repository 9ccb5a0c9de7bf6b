"""The command: a file becomes a checkpoint that everything takes, and a file again."""

from collections.abc import Callable
import json
import os
import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.checkpoint import networks
from hrnet_jax.convert import checkpoints, origin, read_state_dict
from tests.helpers.toy import CONFIG, NAME, NUM_CLASSES, ROOT, get_config


@pytest.fixture
def config(tmp_path: pathlib.Path) -> ml_collections.ConfigDict:
  """The toy experiment, its data not prepared."""
  config = get_config()
  config.data.data_dir = str(tmp_path / "no_data")
  return config


@pytest.fixture
def file(weights: Callable, tmp_path: pathlib.Path) -> pathlib.Path:
  """Weights of the toy network as the reference's training leaves them."""
  path = tmp_path / "best.npz"
  tensors = {f"model.{name}": x for name, x in weights("segmentation").items()}
  np.savez(path, **tensors, **{"loss.criterion.weight": np.ones(3, np.float32)})
  return path


def test_there_and_back(
  config: ml_collections.ConfigDict,
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture,
) -> None:
  path = checkpoints.from_file(config, file, tmp_path / "out")
  assert path == tmp_path / "out" / "checkpoints" / "0"
  said = capsys.readouterr().out
  assert "for segmentation" in said
  assert f"classes get numbers for names: {NAME} is not prepared here" in said
  assert "initialised" not in said
  assert "not used" not in said
  before = read_state_dict(file)
  for back in (tmp_path / "back.npz", tmp_path / "back.safetensors"):
    checkpoints.to_file(tmp_path / "out", back)
    after = read_state_dict(back)
    assert set(before) == set(after)
    for name, value in before.items():
      np.testing.assert_array_equal(after[name], value, err_msg=name)


def test_the_result_is_a_checkpoint(
  config: ml_collections.ConfigDict, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  checkpoints.from_file(config, file, tmp_path / "out")
  loaded = networks.load(tmp_path / "out")
  assert loaded.step == 0
  assert loaded.config.model.num_classes == NUM_CLASSES
  assert loaded.dataset["class_names"] == ["class 0", "class 1", "class 2"]
  assert len({tuple(colour) for colour in loaded.dataset["palette"]}) == 3
  report = json.loads((tmp_path / "out" / checkpoints.REPORT).read_text())
  assert report["initialised"] == report["unused"] == []
  assert len(report["sha256"]) == 64
  assert report["hrnet_jax"] == hrnet_jax.__version__


def test_parts_are_initialised_by_the_seed_and_listed(
  config: ml_collections.ConfigDict,
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture,
) -> None:
  config.model.num_classes = 5
  with pytest.raises(ValueError, match=r"2 of another shape: last_layer\.3"):
    checkpoints.from_file(config, file, tmp_path / "a")
  assert not (tmp_path / "a").exists()
  for name in ("a", "b"):
    checkpoints.from_file(config, file, tmp_path / name, reinit=["head/classify"])
  said = capsys.readouterr().out
  assert "initialised: head/classify (2)\n" in said
  assert "  params/head/classify/kernel\n" in said
  assert "not used: 2 tensors of the file\n  last_layer.3.bias\n  last_layer.3.weight\n" in said
  a, b = (networks.load(tmp_path / name).variables["params"]["head"] for name in ("a", "b"))
  assert np.asarray(a["classify"]["kernel"]).std() > 0
  np.testing.assert_array_equal(a["classify"]["kernel"], b["classify"]["kernel"])
  mix = read_state_dict(file)["last_layer.0.weight"]
  np.testing.assert_array_equal(a["mix"]["conv"]["kernel"][0, 0], mix[:, :, 0, 0].T)


def test_abn_is_explicit_and_suspected(
  config: ml_collections.ConfigDict,
  weights: Callable,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture,
) -> None:
  tensors = {k: v for k, v in weights("segmentation").items() if not origin.is_counter(k)}
  tensors["bn1.weight"] = -tensors["bn1.weight"]
  np.savez(tmp_path / "a.npz", **tensors)
  checkpoints.from_file(config, tmp_path / "a.npz", tmp_path / "plain")
  assert "note: this file may need --abn: 64 of" in capsys.readouterr().out
  checkpoints.from_file(config, tmp_path / "a.npz", tmp_path / "abn", abn=True)
  assert "--abn: every norm scales by |weight| + 1e-5" in capsys.readouterr().out
  plain, abn = (
    np.asarray(loaded.variables["params"]["backbone"]["stem_1"]["bn"]["scale"])
    for loaded in (networks.load(tmp_path / name) for name in ("plain", "abn"))
  )
  np.testing.assert_array_equal(plain, tensors["bn1.weight"])
  np.testing.assert_allclose(abn, 1e-5 - tensors["bn1.weight"], rtol=1e-6)


def test_nothing_is_overwritten(
  config: ml_collections.ConfigDict, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (tmp_path / "out").mkdir()
  (tmp_path / "out" / "mine.txt").touch()
  with pytest.raises(ValueError, match="exists and is not empty; name another folder"):
    checkpoints.from_file(config, file, tmp_path / "out")


def run(*options: object) -> subprocess.CompletedProcess:
  line = [sys.executable, "-m", "hrnet_jax.convert", *map(str, options)]
  env = {**os.environ, "HRNET_JAX_DATA": "/nowhere"}
  return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_command(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
  out, config = tmp_path / "out", f"--config={CONFIG}"
  done = run(config, f"--torch={file}", f"--output={out}", "--config.model.num_classes=4")
  assert done.returncode == 1
  assert "last_layer.3.weight: (3, 60, 1, 1), expected (4, 60, 1, 1)" in done.stderr
  assert "Traceback" not in done.stderr
  done = run(config, f"--torch={file}", f"--output={out}")
  assert done.returncode == 0, done.stderr
  assert done.stdout.rstrip().endswith(f"checkpoint: {out}")
  done = run(f"--checkpoint={out}", f"--to_torch={tmp_path / 'new.npz'}")
  assert done.returncode == 0, done.stderr
  assert (tmp_path / "new.npz").is_file()
  done = run(config, f"--torch={file}")
  assert done.returncode != 0
  assert "give --config, --torch and --output" in done.stderr + done.stdout
