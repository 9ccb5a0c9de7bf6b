"""Whatever happens to a run, the same command ends with the bits of one that was left alone.

$HRNET_JAX_CHAOS_ROUNDS asks for more rounds than the short form has, with faults at random.
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.helpers import pods, toy

pytestmark = pytest.mark.slow

STEPS = 120
OPTIONS = (
  f"--config.train.steps={STEPS}",
  "--config.checkpoint.every_steps=4",
  "--config.checkpoint.retry_seconds=0.2",
  "--config.optimizer.learning_rate=1e-3",
)
ROUNDS = int(os.environ.get("HRNET_JAX_CHAOS_ROUNDS", "0"))


@pytest.fixture(scope="module")
def straight(tmp_path_factory, data):
  """Workdir of a run that was left alone."""
  workdir = tmp_path_factory.mktemp("straight")
  pods.run("train.py", data, workdir, *OPTIONS, processes=1, devices=1)
  return workdir


@pytest.fixture
def disk(tmp_path):
  """A folder with room for few checkpoints, and a function that fills and frees it.

  A small file system of its own where this user may make one; otherwise a limit on the files of
  the process, which the storage library reports much as it does a full disk.
  """
  folder = tmp_path / "disk"
  folder.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "none", str(folder)]
  mounted = os.geteuid() == 0 and not subprocess.run(mount, capture_output=True).returncode

  @contextlib.contextmanager
  def full(process):
    ballast = folder / "ballast"
    if not mounted:
      before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
      yield
      resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
      return
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
      while True:
        file.write(bytes(4096))
    yield
    ballast.unlink()

  yield folder, full
  if mounted:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Chaos:
  """One run that things happen to."""

  def __init__(self, data, workdir, full, output):
    self.data, self.workdir, self.full, self.output = data, workdir, full, output
    self.random = random.Random()

  def start(self):
    line, env = toy.command("tests/helpers/slow_storage.py", self.data, self.workdir, *OPTIONS)
    with self.output.open("w") as file:  # a pipe that nobody empties would stop the process
      return subprocess.Popen(line, env=env, cwd=toy.ROOT, stdout=file, stderr=subprocess.STDOUT)

  @property
  def said(self) -> str:
    return self.output.read_text()

  def until(self, condition, process, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
      assert process.poll() is None or process.returncode == 0, self.said[-3000:]
      assert time.monotonic() < deadline, self.said[-3000:]
      if process.poll() == 0:
        return
      time.sleep(0.01)

  def run_some_steps(self, process):
    begin = max(pods.logged(self.workdir), default=0)
    self.until(lambda: "going on from step" in self.said or "from scratch" in self.said, process)
    self.until(
      lambda: (
        pods.saved(self.workdir)
        and max(pods.logged(self.workdir), default=0) >= begin + self.random.randrange(1, 12)
      ),
      process,
    )

  def end(self, process, number):
    process.send_signal(number)
    process.wait(timeout=120)

  def killed(self):
    process = self.start()
    self.run_some_steps(process)
    self.end(process, signal.SIGKILL)

  def killed_inside_a_save(self):
    process = self.start()
    self.run_some_steps(process)
    self.until(lambda: list(self.workdir.glob("checkpoints/*tmp*")), process)
    self.end(process, signal.SIGKILL)

  def terminated(self):
    process = self.start()
    self.run_some_steps(process)
    self.end(process, signal.SIGTERM)
    assert process.returncode == 0, self.said[-3000:]
    assert pods.saved(self.workdir)[-1] == pods.logged(self.workdir)[-1]

  def place(self, content):
    """Somewhere among the weights; the last tenth of a file is what nobody reads any more."""
    return self.random.randrange(len(content) // 2)

  def truncated(self):
    self.damage(lambda content: content[: self.place(content)])

  def bit_flipped(self):
    def flip(content):
      at = self.place(content)
      return content[:at] + bytes([content[at] ^ 1 << self.random.randrange(8)]) + content[at + 1 :]

    self.damage(flip)

  def damage(self, change):
    """Changes one of the files that hold the weights of the newest checkpoint."""
    while len(pods.saved(self.workdir)) < 2:
      self.killed()
    newest = self.workdir / "checkpoints" / str(pods.saved(self.workdir)[-1])
    files = sorted((newest / "variables" / "ocdbt.process_0" / "d").iterdir())
    file = max(files, key=lambda path: path.stat().st_size)
    file.write_bytes(change(file.read_bytes()))
    process = self.start()
    self.run_some_steps(process)
    self.end(process, signal.SIGKILL)
    assert f"{newest} is damaged" in self.said, self.said[-3000:]
    assert list((self.workdir / "damaged").iterdir())

  def disk_full(self):
    process = self.start()
    self.run_some_steps(process)
    with self.full(process):
      self.until(lambda: "could not be written" in self.said, process)
      step = max(pods.logged(self.workdir), default=0)
    newest = pods.saved(self.workdir)[-1]
    self.until(lambda: pods.saved(self.workdir)[-1] > newest, process)  # it tried again
    self.until(lambda: max(pods.logged(self.workdir)) > step, process)
    self.end(process, signal.SIGKILL)


FAULTS = (
  Chaos.killed,
  Chaos.killed_inside_a_save,
  Chaos.bit_flipped,
  Chaos.disk_full,
  Chaos.truncated,
  Chaos.terminated,
)


def test_nothing_is_lost(straight, data, disk, tmp_path):
  folder, full = disk
  chaos = Chaos(data, folder / "run", full, tmp_path / "output.txt")
  more = [chaos.random.choice(FAULTS) for _ in range(max(ROUNDS - len(FAULTS), 0))]
  for fault in [*FAULTS, *more]:
    fault(chaos)
    assert pods.saved(chaos.workdir)
  process = chaos.start()
  assert process.wait(timeout=300) == 0, chaos.said[-3000:]
  expected, position = pods.final_state(straight)
  state, where = pods.final_state(chaos.workdir)
  state, expected = pods.by_path(state), pods.by_path(expected)
  assert where == position == {"next_batch": STEPS}
  assert state.keys() == expected.keys()
  for name, value in state.items():
    np.testing.assert_array_equal(value, expected[name], err_msg=name)
  steps = pods.logged(chaos.workdir)
  assert sorted(set(steps)) == steps
  assert steps[-1] == STEPS
