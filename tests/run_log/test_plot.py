"""The command that draws runs: what it reads, the picture, and its messages."""

import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.run_log import plot
from hrnet_jax.visualize.palette import FIRST, SECOND

ROOT = pathlib.Path(__file__).parents[2]


def log(folder: pathlib.Path, entries: list[dict], tail: str = "") -> pathlib.Path:
  folder.mkdir(parents=True)
  text = "".join(json.dumps(entry) + "\n" for entry in entries) + tail
  (folder / plot.METRICS).write_text(text)
  return folder


@pytest.fixture
def runs(tmp_path):
  """Two runs; the second was killed in the middle of a line."""
  entries = [
    {"step": step, "split": split, "time": 1.5, "loss": 1 / step, "by_class": {"a": 1.0}}
    | ({"mean_iou": 0.01 * step} if split == "eval" else {})
    for step in (10, 20, 30)
    for split in ("train", "eval")
  ]
  return [log(tmp_path / "one", entries), log(tmp_path / "two", entries[:4], '{"step": 30, "sp')]


def run(*arguments):
  command = [sys.executable, "-m", "hrnet_jax.plot", *map(str, arguments)]
  return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_reads_steps_and_values_of_evaluations_or_of_a_split(runs):
  assert plot.read(runs, ["mean_iou"], None) == {
    "one": ([10, 20, 30], pytest.approx([0.1, 0.2, 0.3])),
    "two": ([10, 20], pytest.approx([0.1, 0.2])),
  }
  both = plot.read(runs[1:], ["loss", "mean_iou"], "eval")
  assert list(both) == ["two, loss", "two, mean_iou"]
  assert plot.read(runs[1:], ["loss"], "train") == {"two": ([10, 20], [0.1, 0.05])}


def test_reads_the_log_of_a_run(golden, tmp_path):
  with zipfile.ZipFile(golden / "old_runs" / "segmentation.zip") as archive:
    archive.extract("run/metrics.jsonl", tmp_path)
  ((name, (steps, values)),) = plot.read([tmp_path / "run"], ["mean_iou"], None).items()
  assert (name, steps) == ("run", [4])
  assert 0 <= values[0] <= 1
  losses = plot.read([tmp_path / "run"], ["loss"], "train")["run"]
  assert losses[0] == [1, 2, 3, 4]
  with pytest.raises(ValueError, match="miou"):
    plot.read([tmp_path / "run"], ["miou"], None)


def test_runs_with_the_same_name_are_told_apart(runs, tmp_path):
  other = log(tmp_path / "deeper/one", [{"step": 1, "split": "eval", "mean_iou": 0.5}])
  assert list(plot.read([runs[0], other, runs[1]], ["mean_iou"], None)) == [
    str(runs[0]),
    str(other),
    "two",
  ]


def test_command_draws_a_line_for_each_run(runs, tmp_path):
  output = tmp_path / "curves.png"
  workdirs = ",".join(map(str, runs))
  done = run(f"--workdirs={workdirs}", "--figures=mean_iou", f"--output={output}")
  assert (done.returncode, done.stdout) == (0, f"2 curves: {output}\n")
  picture = np.asarray(Image.open(output))
  first, second = ((picture == colour).all(-1) for colour in (FIRST, SECOND))
  assert min(first.sum(), second.sum()) > 200
  height = [np.flatnonzero(drawn.any(1))[0] for drawn in (first, second)]
  assert height[0] < height[1] - 100  # 0.3 is far above 0.2


def test_command_says_what_is_wrong(runs, tmp_path):
  output = tmp_path / "curves.png"
  done = run(f"--workdirs={runs[0]}", "--figures=AP", f"--output={output}")
  assert done.returncode == 1
  wanted = (
    f"hrnet plot: {runs[0]}/metrics.jsonl: no 'AP' of evaluations; there are: loss, mean_iou\n"
  )
  assert done.stderr == wanted
  with pytest.raises(ValueError, match="no 'loss' of split 'test'; there are: none"):
    plot.read(runs, ["loss"], "test")
  missing = run(f"--workdirs={tmp_path / 'no'}", "--figures=loss", f"--output={output}")
  assert missing.returncode == 1
  assert str(tmp_path / "no/metrics.jsonl") in missing.stderr
  assert not output.exists()


def test_numbers_that_no_chart_can_show(tmp_path):
  """They leave gaps; truth values are no numbers, and where there is nothing else it is said."""
  values = ["1.5", "1" + "0" * 400, "-1e308", "1e400", "NaN", "true", "2"]
  lines = [f'{{"step": {i}, "split": "eval", "x": {x}}}\n' for i, x in enumerate(values)]
  folder = log(tmp_path / "a", [], "".join(lines))
  steps, found = plot.read([folder], ["x"], None)["a"]
  assert steps == [0, 1, 2, 3, 4, 6]
  np.testing.assert_array_equal(found, [1.5, np.inf, np.inf, np.inf, np.nan, 2])
  assert plot.draw([folder], ["x"], tmp_path / "a.png") == 1
  truth = log(tmp_path / "b", [{"step": 1, "split": "eval", "x": True}])
  with pytest.raises(ValueError, match=r"no 'x' of evaluations; there are: none"):
    plot.read([truth], ["x"], None)
