"""LineWriter, terminal and TensorBoard, and what a run that goes on drops."""

import json
import sys

import jax
import numpy as np
import pytest

from hrnet_jax.run_log.log import Log, info, read_entries


def entries(workdir) -> list[dict]:
  return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def events(workdir) -> bytes:
  return b"".join(p.read_bytes() for p in sorted((workdir / "tensorboard").iterdir()))


def test_every_line_is_json_with_step_and_split(tmp_path, capsys):
  with Log(tmp_path, first=0, last=10) as log:
    log.progress(5, {"loss": 0.5, "lr": 0.1}, 65.0)
    log.scalars(5, "eval", {"mean_iou": 0.25, "iou": {"road": 0.5, "car": 0.0}})
    assert len(entries(tmp_path)) == 2  # at once, not when the run ends
  train, evaluation = entries(tmp_path)
  assert train.pop("time") == pytest.approx(evaluation.pop("time"), abs=60)
  assert train == {"step": 5, "split": "train", "loss": 0.5, "lr": 0.1}
  assert evaluation["iou"] == {"road": 0.5, "car": 0.0}
  assert evaluation["split"] == "eval"
  assert capsys.readouterr().err == "step 5/10  loss 0.5  lr 0.1  ETA 0:01:05\n"


def test_tensorboard_has_scalars_by_class_and_pictures(tmp_path):
  with Log(tmp_path, first=0, last=10) as log:
    log.progress(5, {"loss": 0.5}, 0.0)
    log.scalars(5, "eval", {"iou": {"road": 0.5}})
    log.pictures(5, "predictions", {3: np.zeros((4, 6, 3), np.uint8)})
  content = events(tmp_path)
  for tag in (b"train/loss", b"eval/iou/road", b"predictions/3", b"\x89PNG"):
    assert tag in content


def test_messages_go_to_standard_error(tmp_path, capsys):
  with Log(tmp_path, first=0, last=10):
    info("hello")
  assert capsys.readouterr() == ("", "hello\n")


def test_a_terminal_gets_one_bar(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
  with Log(tmp_path, first=3, last=10) as log:
    log.progress(7, {"loss": 0.25}, 1.0)
    info("hello")
  said = capsys.readouterr().err
  assert "hello" in said
  assert "7/10" in said
  assert "loss 0.25" in said
  assert "ETA" not in said
  assert len(entries(tmp_path)) == 1


def test_steps_that_come_again_are_dropped_with_the_line_that_was_cut(tmp_path):
  lines = [json.dumps({"step": s, "split": "train", "loss": s / 10}) for s in (1, 2, 3, 4)]
  lines.insert(2, json.dumps({"step": 2, "split": "eval"}))
  (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 2, "spl')
  with Log(tmp_path, first=2, last=10) as log:
    log.scalars(3, "train", {"loss": 7.0})
  kept = [(e["step"], e["split"]) for e in entries(tmp_path)]
  assert kept == [(1, "train"), (2, "train"), (2, "eval"), (3, "train")]
  assert entries(tmp_path)[-1]["loss"] == 7.0
  assert not (tmp_path / "metrics.tmp").exists()


def test_a_fresh_start_drops_everything(tmp_path):
  (tmp_path / "metrics.jsonl").write_text('{"step": 1, "split": "train"}\n')
  with Log(tmp_path, first=0, last=10):
    pass
  assert entries(tmp_path) == []


def test_other_processes_are_silent(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(jax, "process_index", lambda: 1)
  with Log(tmp_path, first=0, last=10) as log:
    info("hello")
    log.progress(1, {"loss": 1.0}, 1.0)
    log.pictures(1, "predictions", {0: np.zeros((4, 6, 3), np.uint8)})
  assert list(tmp_path.iterdir()) == []
  assert capsys.readouterr() == ("", "")


def test_damaged_lines_are_left_out_and_counted(tmp_path, capsys):
  good = '{"step": 1, "split": "train", "loss": 2.0}'
  steps = ('"a"', "true", "-1", "1" + "0" * 400, "1e400")
  lines = [good, "\xff\xfe", "[" * 100_000, "3", '{"step": 1, "split": ["train"]}', good]
  lines += [f'{{"step": {step}, "split": "train"}}' for step in steps]
  (tmp_path / "metrics.jsonl").write_bytes("\n".join(lines).encode("latin-1"))
  assert read_entries(tmp_path / "metrics.jsonl") == [json.loads(good)] * 2
  assert "metrics.jsonl: 9 damaged lines are left out" in capsys.readouterr().err
  with Log(tmp_path, first=1, last=2):
    pass
  assert entries(tmp_path) == [json.loads(good)] * 2


def test_a_validation_that_comes_again_has_one_line(tmp_path):
  """It was made up for, and the process ended before its score was stored."""
  with Log(tmp_path, first=0, last=10) as log:
    for step in (1, 2):
      log.scalars(step, "train", {"loss": 0.5})
      log.scalars(step, "eval", {"mean_iou": 0.25})
  for due in (False, True):
    with Log(tmp_path, first=2, last=10, validation_due=due):
      kept = [(x["step"], x["split"]) for x in entries(tmp_path)]
    assert kept == [(1, "train"), (1, "eval"), (2, "train")] + ([] if due else [(2, "eval")])
