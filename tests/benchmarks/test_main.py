"""The command's refusals, and its words about a part that cannot run."""

import json
import os
import pathlib

import pytest

from benchmarks import __main__ as command


@pytest.fixture(autouse=True)
def _no_restriction(monkeypatch: pytest.MonkeyPatch) -> None:
  """The command restricts its process to a few cores, which is not that of the tests."""
  monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: None)


@pytest.mark.parametrize(
  ("flag", "known"),
  [("--models=w19", "w18_small_v1, w18"), ("--modes=eval", "inference, training")],
)
def test_unknown_names_are_refused_with_those_there_are(flag: str, known: str) -> None:
  name, _, value = flag.partition("=")
  with pytest.raises(SystemExit, match=rf"^error: {name} has '{value}'; known: {known}"):
    command.main([flag])


def test_more_threads_than_cores_are_refused() -> None:
  with pytest.raises(SystemExit, match=r"^error: 4096 threads were asked for"):
    command.main(["--parts=prepare", "--threads=4096"])


def test_a_part_without_its_data_is_left_out(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
  output = tmp_path / "new/result.json"
  command.main(["--parts=prepare", "--threads=1", f"--data_dir={tmp_path}", f"--output={output}"])
  said = capsys.readouterr().out
  assert "prepare\n\nNot measured: the data set camvid is not prepared" in said
  result = json.loads(output.read_text())
  assert result["left_out"] == {"prepare": "the data set camvid is not prepared"}
  assert result["machine"]["threads"] == 1
