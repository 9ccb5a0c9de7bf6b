"""Several processes train as one, die together, and go on with any other number of them."""

import json
import random
import shutil
import signal

import jax
import numpy as np
import pytest

from tests.helpers import pods, toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def float64():
  """Allowed in the runs that are started; see `pods.OPTIONS`."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("JAX_ENABLE_X64", "1")
    yield


@pytest.fixture(scope="module")
def straight(tmp_path_factory, data):
  """Workdir of two processes with four devices each that were not disturbed."""
  workdir = tmp_path_factory.mktemp("straight")
  pods.run("train.py", data, workdir, *pods.OPTIONS, processes=2, devices=4)
  return workdir


@pytest.fixture(scope="module")
def killed(tmp_path_factory, data):
  """Workdir of such a job after one of its processes was killed, and how the other one ended."""
  workdir = tmp_path_factory.mktemp("killed")
  started = pods.start("train.py", data, workdir, *pods.OPTIONS, processes=2, devices=4)
  victim = random.randrange(2)
  pods.wait_for_step(workdir, random.randrange(4, 9), started)
  started[victim].send_signal(signal.SIGKILL)
  done = pods.finish(started, timeout=180)
  assert done[victim][0] == -signal.SIGKILL
  return workdir, done[1 - victim]


def test_two_processes_are_one_run(straight):
  manifest = json.loads((straight / "manifest.json").read_text())
  assert manifest["devices"]["processes"] == 2
  assert manifest["devices"]["count"] == 8
  assert pods.logged(straight) == list(range(1, 13))
  assert pods.saved(straight) == [9, 12]
  last = json.loads((straight / "metrics.jsonl").read_text().splitlines()[-1])
  assert last["pixels"] == toy.NUM_VAL * 64 * 63  # each of ten examples once, in batches of eight


def test_the_other_process_does_not_wait_for_ever(killed):
  workdir, (status, _) = killed
  assert status != 0
  assert pods.saved(workdir)
  assert pods.saved(workdir)[-1] < 12


@pytest.mark.parametrize(("processes", "devices"), [(2, 4), (1, 1), (4, 2)])
def test_any_number_of_processes_goes_on(straight, killed, data, tmp_path, processes, devices):
  workdir = tmp_path / "run"
  shutil.copytree(killed[0], workdir)
  first = pods.saved(workdir)[-1]
  done = pods.run("train.py", data, workdir, *pods.OPTIONS, processes=processes, devices=devices)
  assert f"going on from step {first}" in done[0][1]
  with jax.enable_x64(True):
    expected, position = pods.final_state(straight)
    state, where = pods.final_state(workdir)
  state, expected = pods.by_path(state), pods.by_path(expected)
  assert where == position == {"next_batch": 12}
  assert state.keys() == expected.keys()
  for name, value in state.items():
    if processes == 2:
      np.testing.assert_array_equal(value, expected[name], err_msg=name)
    else:
      np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-5, err_msg=name)


def test_sigterm_to_one_process_stops_all_at_one_step(straight, data, tmp_path):
  started = pods.start("train.py", data, tmp_path, *pods.OPTIONS, processes=2, devices=2)
  pods.wait_for_step(tmp_path, 4, started)
  started[1].send_signal(signal.SIGTERM)
  done = pods.finish(started)
  assert [status for status, _ in done] == [0, 0], done
  last = pods.saved(tmp_path)[-1]
  assert f"SIGTERM: saving step {last}" in done[0][1]
  assert last == pods.logged(tmp_path)[-1] < 12


def test_one_image_over_two_processes(data, tmp_path):
  """Every process has a part of the height of every image, and reads the same examples."""
  losses = []
  for processes, devices, space in ((2, 1, 2), (1, 1, 1)):
    workdir = tmp_path / str(processes)
    options = (*pods.OPTIONS, f"--config.mesh.space={space}", "--config.train.steps=2")
    pods.run("train.py", data, workdir, *options, processes=processes, devices=devices)
    entries = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    losses.append([e["loss"] for e in entries if e["split"] == "train"])
    assert len(losses[-1]) == 2
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
