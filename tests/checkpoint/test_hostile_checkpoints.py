"""Checkpoints that are forged or damaged: `hrnet predict` refuses them in one line."""

import json
import pathlib
import shutil
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from hrnet_jax.checkpoint import handlers
from hrnet_jax.errors import UserError
from tests.helpers import commands, hostile, states, toy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run's folder with step 0, and a photo beside it."""
  return toy.export_network_and_photo(tmp_path_factory.mktemp("whole"))


def unknown_key(facts: dict[str, Any]) -> None:
  facts["config"]["model"]["attention"] = 4


def without_dataset(facts: dict[str, Any]) -> None:
  del facts["dataset"]


def without_model(facts: dict[str, Any]) -> None:
  del facts["config"]["model"]


def wide(facts: dict[str, Any]) -> None:
  facts["config"]["model"]["width"] = 10**6


def text_for_width(facts: dict[str, Any]) -> None:
  facts["config"]["model"]["width"] = "4; rm"


def list_for_config(facts: dict[str, Any]) -> None:
  facts["config"] = ["model"]


def colours_of_text(facts: dict[str, Any]) -> None:
  facts["dataset"] = 7


FORGED = (
  unknown_key, without_dataset, without_model, wide, text_for_width, list_for_config,
  colours_of_text,
)  # fmt: skip


def refusal(folder: pathlib.Path, whole: pathlib.Path) -> str:
  with hostile.bounded():
    done = commands.here(
      "predict", f"--checkpoint={folder}", f"--input={whole / 'photo.png'}",
      f"--output={folder.parent / 'out'}",
    )  # fmt: skip
  outcome, text = hostile.judge(done.returncode, done.stdout + done.stderr)
  assert outcome == "refused", text
  assert done.stderr.splitlines()[-1].startswith("hrnet predict: ") or "\n  " in done.stderr
  return done.stderr


@pytest.mark.parametrize("forge", FORGED)
def test_forged_facts(tmp_path: pathlib.Path, whole: pathlib.Path, forge: Any) -> None:
  """As checkpoints of earlier versions are, without digests."""
  shutil.copytree(whole / "run", tmp_path / "run")
  step = tmp_path / "run/checkpoints/0"
  states.as_format_1(step, digests=False)
  facts = json.loads((step / "facts/metadata").read_text())
  forge(facts)
  (step / "facts/metadata").write_text(json.dumps(facts))
  assert str(step) in refusal(tmp_path / "run", whole)


CONTENTS = {
  "nested": b"[" * 10**6,
  "cut off": b'{"config": {',
  "not text": b"\xff\xfe\xff",
  "empty": b"",
  "changed": None,
}


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("item", ["facts", "digests"])
def test_damaged_facts(tmp_path: pathlib.Path, whole: pathlib.Path, kind: str, item: str) -> None:
  shutil.copytree(whole / "run", tmp_path / "run")
  file = tmp_path / f"run/checkpoints/0/{item}/metadata"
  data = CONTENTS[kind]
  file.write_bytes(file.read_bytes().replace(b"1", b"2") if data is None else data)
  assert "damaged" in refusal(tmp_path / "run", whole)


def test_a_copy_with_a_name(tmp_path: pathlib.Path, whole: pathlib.Path) -> None:
  shutil.copytree(whole / "run/checkpoints/0", tmp_path / "best")
  assert "called by their step" in refusal(tmp_path / "best", whole)


def test_arrays_that_cannot_be_read_are_said_once(
  tmp_path: pathlib.Path, whole: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
  """Those under way when the first fails do not report to an event loop that is closed."""
  shutil.copytree(whole / "run", tmp_path / "run")
  step = tmp_path / "run/checkpoints/0"
  for file in (step / "variables").rglob("d/*"):
    file.write_bytes(file.read_bytes()[::-1])
  for expected in (None, {"params": {"lost": np.zeros(3)}}):
    for _ in range(5):
      with pytest.raises(UserError, match="damaged"):
        handlers.read(step, {"variables": expected})
  time.sleep(0.1)  # for threads of the storage library
  captured = capfd.readouterr()
  assert "Traceback" not in captured.out + captured.err


def test_arrays_that_were_written_from_devices(tmp_path: pathlib.Path) -> None:
  """As by versions that did not copy them first."""
  tree = {"params": {"w": np.arange(3, dtype=np.float32)}}
  with ocp.CheckpointManager(tmp_path, item_names=handlers.NAMES) as manager:
    saved = ocp.args.StandardSave(jax.tree.map(jnp.asarray, tree))
    manager.save(0, args=ocp.args.Composite(variables=saved))
    manager.wait_until_finished()
  for expected in (None, tree):
    found = handlers.read(tmp_path / "0", {"variables": expected})["variables"]["params"]["w"]
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, tree["params"]["w"])
