"""Processes that do not agree, runs that share a folder, damaged data, Ctrl-C: one line each."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from hrnet_jax.data import prepared
from tests.helpers import pods, toy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("interruptible")]

SHORT = ("--config.train.steps=6", "--config.checkpoint.every_steps=3")
LONG = (
  "--config.train.steps=4000",
  "--config.checkpoint.every_steps=1000",
  "--config.eval.every_epochs=4000",
)
SECONDS = 60  # far less than JAX's own limits; the machine may be busy


def pair(data, workdir, *options, own=None):
  """Status and output of two processes that do not last long."""
  started = pods.start("train.py", data, workdir, *options, processes=2, devices=1, own=own)
  return pods.finish(started, timeout=200)


def said(text: str) -> list[str]:
  return [line for line in text.splitlines() if line.startswith("hrnet train: ")]


@pytest.mark.parametrize(
  ("flag", "difference"),
  [
    ("--config.optimizer.learning_rate=0.1", "optimizer.learning_rate 0.1, process 0 has 0.05"),
    ("--config.seed=7", "seed 7, process 0 has 0"),
    ("--config.train.batch_size=16", "train.batch_size 16, process 0 has 8"),
  ],
)
def test_processes_that_differ_end_together_with_the_same_line(data, tmp_path, flag, difference):
  done = pair(data, tmp_path / "run", *SHORT, own={1: [flag]})
  assert [status for status, _ in done] == [1, 1], done
  lines = [said(text) for _, text in done]
  assert lines[0] == lines[1]
  assert lines[0][0].startswith(
    f"hrnet train: the processes of this job differ: process 1 has {difference}; "
  )
  assert "Traceback" not in done[0][1] + done[1][1]
  assert not (tmp_path / "run").exists()


def test_other_data_is_a_difference(data, tmp_path):
  shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("image_folder*"))
  photo = next((tmp_path / "data" / "source" / "images" / "train").iterdir())
  label = tmp_path / "data" / "source" / "labels" / "train" / photo.name
  for path in (photo, label):
    path.rename(path.with_name(f"z{path.name}"))
  prepared.prepare(toy.NAME, tmp_path / "data", source=tmp_path / "data" / "source")
  own = {1: [f"--config.data.data_dir={tmp_path / 'data'}"]}
  done = pair(data, tmp_path / "run", *SHORT, own=own)
  assert [status for status, _ in done] == [1, 1], done
  assert said(done[0][1]) == said(done[1][1])
  assert "process 1 has data set's fingerprint" in done[0][1]


def test_a_process_without_its_data_takes_the_other_with_it(data, tmp_path):
  own = {1: [f"--config.data.data_dir={tmp_path}"]}
  began = time.monotonic()
  done = pair(data, tmp_path / "run", *SHORT, own=own)
  assert [status for status, _ in done] == [1, 1], done
  assert "is not prepared" in done[1][1]
  assert "hrnet train: process 1 has ended: " in done[0][1]
  assert "is not prepared" in done[0][1]
  assert time.monotonic() - began < SECONDS


def test_a_resumed_run_of_which_one_process_differs(data, tmp_path):
  pods.run("train.py", data, tmp_path, *SHORT, processes=2, devices=1)
  began = time.monotonic()
  options = ("--config.train.steps=9", "--config.checkpoint.every_steps=3")
  options = (*options, "--allow_changes=train.steps")
  done = pair(data, tmp_path, *options, own={1: ["--config.seed=7"]})
  assert [status for status, _ in done] == [1, 1], done
  assert said(done[0][1]) == said(done[1][1])
  assert "process 1 has seed 7, process 0 has 0" in done[0][1]
  assert time.monotonic() - began < SECONDS
  pods.run("train.py", data, tmp_path, *options, processes=2, devices=1)
  assert pods.saved(tmp_path)[-1] == 9


def test_another_work_folder_is_a_difference(data, tmp_path):
  done = pair(data, tmp_path / "a", *SHORT, own={1: [f"--workdir={tmp_path / 'b'}"]})
  assert [status for status, _ in done] == [1, 1], done
  assert said(done[0][1]) == said(done[1][1])
  assert f"process 1 has work folder {tmp_path / 'b'} on " in done[0][1]
  assert not (tmp_path / "b").exists()


def test_the_second_of_two_runs_in_a_folder_is_refused(data, tmp_path):
  (first,) = pods.start("train.py", data, tmp_path, *LONG, processes=1, devices=1)
  until_step(tmp_path, first, 3)
  done = pair(data, tmp_path, *LONG)
  assert [status for status, _ in done] == [1, 1], done
  assert said(done[0][1]) == said(done[1][1])
  (line,) = said(done[0][1])
  assert f"{tmp_path} is in use: process {first.pid} on " in line
  assert "Traceback" not in done[0][1] + done[1][1]
  first.kill()
  first.communicate()
  done = pods.finish([restarted(data, tmp_path)])
  assert done[0][0] == 0, done


def restarted(data, workdir) -> subprocess.Popen:
  """A restart loop's next start, which ends soon."""
  (process,) = pods.start("train.py", data, workdir, *LONG, processes=1, devices=1)
  until_step(workdir, process, max(pods.logged(workdir)) + 2)
  process.send_signal(signal.SIGTERM)
  return process


def test_of_two_runs_that_start_at_once_one_trains(data, tmp_path):
  started = [
    pods.start("train.py", data, tmp_path, *SHORT, processes=1, devices=1)[0] for _ in "ab"
  ]
  done = sorted(pods.finish(started))
  assert [status for status, _ in done] == [0, 1], done
  assert f"{tmp_path} is in use: process " in done[1][1]
  assert pods.logged(tmp_path) == list(range(1, 7))


def until_step(workdir: pathlib.Path, process: subprocess.Popen, step: int) -> None:
  deadline = time.monotonic() + 200
  while max(pods.logged(workdir), default=0) < step:
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.02)


def test_an_interrupt_ends_a_run_with_a_checkpoint(data, tmp_path):
  (process,) = pods.start("train.py", data, tmp_path, *LONG, processes=1, devices=1)
  until_step(tmp_path, process, 3)
  process.send_signal(signal.SIGINT)
  ((status, text),) = pods.finish([process])
  step = pods.saved(tmp_path)[-1]
  assert status == 130, text
  assert step == pods.logged(tmp_path)[-1]
  last = (
    f"hrnet train: interrupted; step {step} is saved; the same command goes on from step {step}"
  )
  assert text.splitlines()[-1] == last
  assert "Traceback" not in text


def test_an_interrupt_of_one_process_ends_all_of_them(data, tmp_path):
  started = pods.start("train.py", data, tmp_path, *LONG, processes=2, devices=1)
  until_step(tmp_path, started[0], 3)
  started[1].send_signal(signal.SIGINT)
  done = pods.finish(started)
  assert [status for status, _ in done] == [130, 130], done
  step = pods.saved(tmp_path)[-1]
  assert said(done[0][1])[-1].endswith(f"the same command goes on from step {step}")
  assert not [line for line in said(done[1][1]) if "interrupted" in line]
  assert "Traceback" not in done[0][1] + done[1][1]


def test_the_second_interrupt_does_not_wait(data, tmp_path):
  (process,) = pods.start("train.py", data, tmp_path, *LONG, processes=1, devices=1)
  until_step(tmp_path, process, 3)
  os.kill(process.pid, signal.SIGSTOP)  # so that both are there when it goes on
  os.kill(process.pid, signal.SIGINT)
  os.kill(process.pid, signal.SIGCONT)
  time.sleep(0.7)
  os.kill(process.pid, signal.SIGINT)
  ((status, text),) = pods.finish([process])
  assert status == 130, text
  assert "Traceback" not in text


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5, 4.0, 6.0])
def test_an_interrupt_at_any_time_is_one_line(data, tmp_path, seconds):
  (process,) = pods.start("train.py", data, tmp_path, *LONG, processes=1, devices=1)
  time.sleep(seconds)
  process.send_signal(signal.SIGINT)
  ((status, text),) = pods.finish([process])
  assert status == 130, text
  assert "Traceback" not in text
  assert len(said(text)) == 1, text


@pytest.mark.parametrize("processes", [1, 2])
def test_damaged_data_ends_a_run_with_what_it_had_trained(data, tmp_path, processes):
  shutil.copytree(data, tmp_path / "data")
  records = next((tmp_path / "data").rglob("*train*array_record*"))
  content = bytearray(records.read_bytes())
  content[len(content) // 2] ^= 255
  records.write_bytes(content)
  # The record is in the sixth batch, in the second half.
  options = (
    "--config.train.batch_size=2",
    "--config.checkpoint.every_steps=1000",
    "--config.seed=10",
  )
  started = pods.start(
    "train.py", tmp_path / "data", tmp_path / "run", *options, processes=processes, devices=1
  )
  done = pods.finish(started)
  assert [status for status, _ in done] == [1] * processes, done
  for _, text in done:
    assert "record 10 of train is damaged" in said(text)[-1]
    assert "Traceback" not in text
  assert pods.saved(tmp_path / "run") == [5]
  assert pods.logged(tmp_path / "run") == [1, 2, 3, 4, 5]


def test_the_owner_is_in_the_folder(data, tmp_path):
  pods.run("train.py", data, tmp_path, *SHORT, processes=1, devices=1)
  (record,) = (tmp_path / ".owner").iterdir()
  assert json.loads(record.read_text())["released"] is True
