"""The export command: programs that run without this package, and what stops it."""

from collections.abc import Callable
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.checkpoint import networks
from hrnet_jax.cli.main import main
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.export import artefact, program
from hrnet_jax.ops.normalize import Normalize
from tests.export.conftest import CONFIGS, FACTS, SIZE, squares
from tests.helpers import environment

# By task: the options, how many shapes they leave to be checked, and what to predict from.
CASES = {
  "segmentation": ((), 2, {"images": squares((2, 45, 70, 3))}),
  "classification": (
    ("--batch_size=3", "--size=32x64"),
    1,
    {"images": squares((3, 32, 64, 3))},
  ),
  "detection": (
    ("--batch_size=2",),
    1,
    {"images": squares((2, 64, 96, 3)), "size": np.float32([[64, 96], [40, 90]])},
  ),
  "landmarks": (("--batch_size=2",), 1, {"images": squares((2, SIZE, SIZE, 3))}),
}
# All that a program needs; prints what it loaded besides.
READER = """
import sys
from jax import export
import numpy as np
folder, *tasks = sys.argv[1:]
for task in tasks:
  with open(f"{folder}/{task}.jaxexport", "rb") as file:
    network = export.deserialize(bytearray(file.read()))
  found = network.call(*np.load(f"{folder}/{task}_inputs.npz").values())
  found = found if isinstance(found, dict) else {"": found}
  np.savez(f"{folder}/{task}.npz", **found)
print([x for x in ("hrnet_jax", "flax", "orbax", "ml_collections") if x in sys.modules])
"""


def expected(folder: pathlib.Path, images: np.ndarray, **inputs: np.ndarray) -> dict:
  """Predictions of the network as it was trained, of images padded as the predict command does."""
  loaded = networks.load(folder)
  task = registry.build_task(loaded.config, DatasetInfo.from_dict(loaded.dataset))
  height, width = images.shape[1:3]
  padded = np.pad(images, ((0, 0), (0, -height % 32), (0, -width % 32), (0, 0)))

  def predict(variables: dict, padded: jax.Array) -> dict:
    found = task.predict(task.outputs(variables, Normalize()(padded), **inputs), padded.shape[1:3])
    return found if isinstance(found, dict) else {"": found}

  compiled = jax.jit(predict, compiler_options={"xla_backend_optimization_level": 0})
  found = {k: np.asarray(v) for k, v in compiled(loaded.variables, padded).items()}
  if padded.shape != images.shape:
    found = {k: v[:, :height, :width] for k, v in found.items()}
  return found


def run(folder: pathlib.Path, output: pathlib.Path, *options: str) -> int:
  return main(["export", f"--checkpoint={folder}", f"--output={output}", *options])


@pytest.mark.slow
def test_programs_run_without_this_package(
  stored: Callable, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  for task, (options, checks, inputs) in CASES.items():
    assert run(stored(task), tmp_path / f"{task}.jaxexport", *options) == 0
    said = capsys.readouterr().out
    assert "step 0" in said
    assert said.count("checked on images") == checks
    assert f"export.deserialize(bytearray(open('{tmp_path}/{task}.jaxexport', 'rb')" in said
    assert f"predictions = network.call({', '.join(inputs)})" in said
    assert "It is a program: load only files that you trust." in said
    np.savez(tmp_path / f"{task}_inputs.npz", **inputs)
  done = subprocess.run(
    [sys.executable, "-I", "-c", READER, str(tmp_path), *CASES],
    capture_output=True,
    text=True,
    timeout=300,
    env={**os.environ, "XLA_FLAGS": environment.xla_flags(*environment.QUICK)},
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == "[]"
  for task, (_, _, inputs) in CASES.items():
    found, want = np.load(tmp_path / f"{task}.npz"), expected(stored(task), **inputs)
    assert set(found) == set(want)
    for key, value in want.items():
      assert found[key].dtype == value.dtype
      near = 1e-3 if key == "boxes" else 1e-4  # boxes are in pixels
      np.testing.assert_allclose(found[key], value, atol=near, err_msg=f"{task} {key}")
      tells = value.all() if key == "valid" else len(np.unique(value)) > 1
      assert tells, f"{task} {key}"


def test_the_json_says_what_the_program_takes_and_gives(
  stored: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(artefact.check, "check", lambda data, made: [])  # tested above
  assert run(stored("segmentation"), tmp_path, "--outputs=raw", "--platforms=cpu,tpu") == 0
  assert sorted(p.name for p in tmp_path.iterdir()) == ["network.jaxexport", "network.json"]
  facts = json.loads((tmp_path / "network.json").read_text())
  program_file = (tmp_path / "network.jaxexport").read_bytes()
  assert facts["sha256"] == hashlib.sha256(program_file).hexdigest()
  assert facts["data"] == FACTS["segmentation"] | {"name": "toy_segmentation", "fingerprint": "0f"}
  assert facts["model"]["upsample"] == "bilinear_aligned"
  assert facts["input"]["shape"] == "(b, h, w, 3)"
  assert facts["input"]["normalisation"]["mean"] == [0.485, 0.456, 0.406]
  side = "8*floordiv({} + 31, 32)"
  assert facts["output"] == [
    {
      "place": "",
      "dtype": "float32",
      "shape": f"(b, {side.format('h')}, {side.format('w')}, 3)",
    }
  ]
  assert facts["platforms"] == ["cpu", "tpu"]
  assert set(facts["versions"]) == {"hrnet_jax", "jax", "flax"}


def test_a_program_that_differs_is_not_written(
  stored: Callable,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture,
) -> None:
  fold = program.fold_batchnorm

  def careless(model, variables):
    model, less = fold(model, variables)
    stem = less["params"]["backbone"]["stem_1"]["conv"]
    stem["bias"] = stem["bias"] + 0.01
    return model, less

  monkeypatch.setattr(program, "fold_batchnorm", careless)
  options = ("--size=32x32", "--batch_size=1")
  assert run(stored("segmentation"), tmp_path / "out", *options) == 1
  said = capsys.readouterr()
  assert said.out.count("checked on images (1, 32, 32, 3)") == 1
  assert "nothing was written: the folded network is off by" in said.err
  assert not (tmp_path / "out").exists()


def test_what_is_there_is_kept(
  stored: Callable, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  (tmp_path / "network.json").write_text("mine")
  assert run(stored("segmentation"), tmp_path) == 1
  assert "network.json is there already; give --overwrite" in capsys.readouterr().err
  assert artefact.target(tmp_path, overwrite=True) == tmp_path / "network.jaxexport"
  assert artefact.target(tmp_path / "new", overwrite=False).parent == tmp_path / "new"
  assert artefact.target(tmp_path / "a.bin", overwrite=False) == tmp_path / "a.bin"
  with pytest.raises(ValueError, match=r"would be the JSON file; name it \*\.jaxexport"):
    artefact.target(tmp_path / "a.json", overwrite=False)
  (tmp_path / "network.jaxexport").mkdir()
  with pytest.raises(ValueError, match="is there already"):
    artefact.target(tmp_path, overwrite=True)
  assert (tmp_path / "network.json").read_text() == "mine"


@pytest.mark.parametrize(
  ("option", "message"),
  [
    ("--size=512", "'512' is no size; expected HEIGHTxWIDTH"),
    ("--size=0x32", "'0x32' is no size"),
    ("--batch_size=-1", "'-1' is not a number of images, or 0 for any"),
    ("--platforms=cpu,gpu", "unknown platform 'gpu'; known: cpu, cuda, tpu, rocm"),
    ("--outputs=pictures", "invalid choice: 'pictures'"),
  ],
)
def test_options_that_mean_nothing_are_refused(
  option: str, message: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  with pytest.raises(SystemExit):
    run(tmp_path, tmp_path / "out", option)
  assert message in capsys.readouterr().err


def test_a_program_says_what_it_takes_besides_images(
  stored: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(artefact.check, "check", lambda data, made: [])  # tested above
  assert run(stored("detection"), tmp_path, "--outputs=raw", "--platforms=cpu,tpu") == 0
  facts = json.loads((tmp_path / "network.json").read_text())
  assert facts["input"]["shape"] == "(b, 64, 96, 3)"
  (size,) = facts["further_inputs"]
  assert size.pop("meaning").startswith("height and width of each image without its padding")
  assert size == {"name": "size", "dtype": "float32", "shape": "(b, 2)"}
  places = {x["place"]: x["shape"] for x in facts["output"]}
  assert places["['detections']['boxes']"] == "(b, 10, 4)"
  assert places["['masks']"] == "(b, 10, 28, 28)"


def test_a_folder_without_a_checkpoint_is_named(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  assert run(tmp_path, tmp_path / "out") == 1
  assert "holds no checkpoint" in capsys.readouterr().err
  assert not (tmp_path / "out").exists()


def test_every_task_has_a_program() -> None:
  assert (
    set(registry.task_names("export_sizes")) == set(registry.task_names("task")) == set(CONFIGS)
  )
  assert {f.name for f in dataclasses.fields(program.Sizes)} >= {"usual", "text"}
