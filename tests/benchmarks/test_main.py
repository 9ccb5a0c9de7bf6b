"""The command's refusals, and what it says of a part that cannot run."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess:
  command = [sys.executable, "-m", "benchmarks", *arguments]
  return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
  ("flag", "known"),
  [("--models=w19", "w18_small_v1, w18"), ("--modes=eval", "inference, training")],
)
def test_unknown_names_are_refused_with_those_there_are(flag: str, known: str) -> None:
  done = run(flag)
  assert done.returncode == 1
  name, _, value = flag.partition("=")
  assert f"error: {name} has {value!r}; known: {known}" in done.stderr
  assert "Traceback" not in done.stderr


def test_more_threads_than_cores_are_refused() -> None:
  done = run("--parts=prepare", "--threads=4096")
  assert done.returncode == 1
  assert "error: 4096 threads were asked for" in done.stderr


def test_a_part_without_its_data_is_left_out(tmp_path: pathlib.Path) -> None:
  output = tmp_path / "new/result.json"
  done = run("--parts=prepare", "--threads=1", f"--data_dir={tmp_path}", f"--output={output}")
  assert done.returncode == 0, done.stderr
  assert "prepare\n\nNot measured: the data set camvid is not prepared" in done.stdout
  result = json.loads(output.read_text())
  assert result["left_out"] == {"prepare": "the data set camvid is not prepared"}
  assert result["machine"]["threads"] == 1
