"""A score has a digest of its own; its damage costs nothing but the score."""

import json
import pathlib

import pytest

from hrnet_jax import files
from hrnet_jax.checkpoint import networks, scores
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import Checkpoints
from tests.helpers import states
from tests.helpers.states import FACTS, small_at


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
  """A workdir whose first checkpoint of three is the best."""
  states.save(tmp_path, {1: 0.9, 2: 0.3, 3: 0.2}, make=small_at)
  return tmp_path


def file_of(run: pathlib.Path, step: int) -> pathlib.Path:
  return run / "checkpoints" / str(step) / "metrics" / "metrics"


def test_the_file_says_score_and_step(run: pathlib.Path) -> None:
  content = json.loads(file_of(run, 2).read_text())
  assert content.keys() == {"score", "step", "digest"}
  assert (content["score"], content["step"]) == (0.3, 2)
  assert scores.read(file_of(run, 2).parents[1]) == 0.3


DAMAGES = {
  "empty": lambda text: "",
  "cut off": lambda text: text[:9],
  "edited": lambda text: text.replace("0.9", "0.99"),
  "no digest": lambda text: '{"score": 0.99}',
  "of another step": lambda text: scores.content(4, 0.99),
  "nested": lambda text: "[" * 100_000,
  "a list": lambda text: "[]",
  "text": lambda text: text.replace("0.9", '"0.9"'),
}


@pytest.mark.parametrize("kind", [*DAMAGES, "lost"])
def test_damage_counts_as_no_score_and_blocks_nothing(
  run: pathlib.Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
  path = file_of(run, 1)
  if kind == "lost":
    path.unlink()
  else:
    path.write_text(DAMAGES[kind](path.read_text()))
  with pytest.raises(Damaged):
    scores.read(path.parents[1])
  assert networks.load(run).step == networks.load(run).step == 2
  said = capsys.readouterr().err
  assert said.count(f"the score of {path.parents[1]} does not count: ") == 1
  assert len(said.splitlines()) == 1
  with Checkpoints(run, facts=FACTS) as saver:
    state, _ = saver.restore(small_at(0), states.toy.make_mesh(1))
    states.assert_same_bits(state, small_at(3))
    saver.save(small_at(4), {"next_batch": 40}, score=0.1)
  assert states.steps(run) == [2, 3, 4]


def test_a_damaged_score_can_be_replaced(run: pathlib.Path) -> None:
  file_of(run, 3).write_text("")
  with Checkpoints(run, facts=FACTS) as saver:
    saver.add_score(3, 0.95)
  assert networks.find(run).name == "3"


def test_scores_of_earlier_versions_count(run: pathlib.Path) -> None:
  for step in (1, 2, 3):
    states.as_format_1(run / "checkpoints" / str(step))
  assert networks.find(run).name == "1"
  file_of(run, 1).unlink()
  assert networks.find(run).name == "2"


def test_no_number_is_no_score(tmp_path: pathlib.Path) -> None:
  states.save(tmp_path, {1: float("nan"), 2: 0.1, 3: None}, make=small_at)
  assert networks.find(tmp_path).name == "2"


def test_what_cannot_be_read_now_is_kept(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  read = pathlib.Path.read_bytes

  def fail(path: pathlib.Path) -> bytes:
    if path == file_of(run, 1):
      raise OSError(5, "Input/output error")
    return read(path)

  monkeypatch.setattr(files, "PATIENCE", 0.05)
  monkeypatch.setattr(pathlib.Path, "read_bytes", fail)
  with Checkpoints(run, facts=FACTS) as saver:
    saver.save(small_at(4), {"next_batch": 40})
    saver.save(small_at(5), {"next_batch": 50})
  assert states.steps(run) == [1, 2, 4, 5]
  assert "checkpoints/1 does not count: [Errno 5] Input/output error" in capsys.readouterr().err
