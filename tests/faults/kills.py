"""Kills a run of two processes with workers at random moments, and looks what it ends with.

  python -m tests.faults.kills --kills=100 --seed=0

Both processes, or one and then the other, get SIGKILL while they import, compile, train, save and
validate; then the same command is started again. Runs that end before all kills are done are
followed by others. Each has to end with the parameters and the rows of metrics of a run that was
left alone, and no kill may leave a process or shared memory behind.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from tests.faults import marked
from tests.helpers import environment, pods, toy

PROCESSES, WORKERS, STEPS = 2, 2, 12
OPTIONS = (
  f"--config.train.steps={STEPS}",
  f"--config.data.workers={WORKERS}",
  "--config.checkpoint.every_steps=2",
  "--config.eval.every_epochs=6",
)
# Where a process is killed, and after how many seconds at most from there.
MOMENTS = {"start": 6.0, "steps": 1.0, "save": 0.05, "validation": 0.3}
PATIENCE = 20.0  # seconds for workers to end after their parent, on a busy machine
_LONGEST = 300.0  # of a start that ends by itself


@dataclasses.dataclass
class Outcome:
  """Counts of a series of kills.

  Attributes:
    kills: rounds in which something was killed.
    moments: how many of them at which moment.
    chains: runs that were brought to their end.
    orphans: processes that outlived a kill by `PATIENCE`.
    orphans_mib: their memory, all together.
    shared_memory: names left in /dev/shm after a kill.
    left: what was left by each kill, for people.
    failures: what else went wrong, such as another result.
    seconds: in all.
  """

  kills: int = 0
  moments: dict[str, int] = dataclasses.field(default_factory=dict)
  chains: int = 0
  orphans: int = 0
  orphans_mib: float = 0.0
  shared_memory: int = 0
  left: list[str] = dataclasses.field(default_factory=list)
  failures: list[str] = dataclasses.field(default_factory=list)
  seconds: float = 0.0

  def __str__(self) -> str:
    return (
      f"{self.kills} kills ({', '.join(f'{n} {x}' for x, n in sorted(self.moments.items()))}), "
      f"{self.chains} runs to the end, {len(self.failures)} failures, {self.orphans} orphans with "
      f"{self.orphans_mib:.0f} MiB, {self.shared_memory} left in shared memory, "
      f"{self.seconds:.0f} s"
    )


class Chain:
  """One run that is killed and started again until it has ended."""

  def __init__(self, data: pathlib.Path, folder: pathlib.Path, options: tuple[str, ...] = OPTIONS):
    """Writes to `folder`, which is made; `data` holds the toy's data set."""
    folder.mkdir(parents=True)
    self.validated: set[int] = set()  # steps after which there is a validation
    self.workdir = folder / "run"
    self._data, self._folder, self._options = data, folder, options
    self._mark, self._names = secrets.token_hex(8), set()
    self._started: list[subprocess.Popen] = []

  def start(self) -> None:
    """Starts the two processes; what they say goes to files."""
    line, env = toy.command("train.py", self._data, self.workdir, *self._options)
    address = f"--coordinator_address=127.0.0.1:{pods.free_port()}"
    self._started = []
    for i in range(PROCESSES):
      with (self._folder / f"said_{i}.txt").open("w") as said:
        self._started.append(
          subprocess.Popen(
            [*line, address, f"--num_processes={PROCESSES}", f"--process_id={i}"],
            env={**env, marked.VARIABLE: self._mark},
            cwd=toy.ROOT,
            stdout=said,
            stderr=subprocess.STDOUT,
          )
        )

  @property
  def running(self) -> bool:
    """Whether one of the processes is."""
    self._names |= marked.shared_memory(marked.processes(self._mark))
    return any(x.poll() is None for x in self._started)

  def wait(self) -> list[str]:
    """Waits for the end; what went wrong."""
    until = time.monotonic() + _LONGEST
    while self.running:
      if time.monotonic() > until:
        self.kill(range(PROCESSES))
        return [f"still running after {_LONGEST:.0f} s: {self.said()}"]
      time.sleep(0.1)
    return [
      f"process {i} ended with {x.returncode}: {self.said(i)}"
      for i, x in enumerate(self._started)
      if x.returncode
    ]

  def said(self, process: int = 0) -> str:
    """The last words of a process."""
    return (self._folder / f"said_{process}.txt").read_text()[-1500:]

  def until(self, moment: str, rng: random.Random) -> bool:
    """Waits for a moment to kill; whether the processes still run then."""
    before = pods.logged(self.workdir)

    def come() -> bool:
      if moment == "save":
        return any(self.workdir.glob("checkpoints/*tmp*"))
      now = pods.logged(self.workdir)
      return now != before and (moment == "steps" or (now and now[-1] in self.validated))

    while moment != "start" and self.running and not come():
      time.sleep(0.003)
    end = time.monotonic() + rng.uniform(0.0, MOMENTS[moment])
    while self.running and time.monotonic() < end:
      time.sleep(0.01)
    return self.running

  def kill(self, victims: range | list[int], pause: float = 0.0) -> None:
    """Kills processes one after the other, then those that are left."""
    for i in [*victims, *range(PROCESSES)]:
      self._started[i].send_signal(signal.SIGKILL)
      if pause and i == victims[0]:
        time.sleep(pause)
    for x in self._started:
      x.wait()

  def count_left(self, outcome: Outcome) -> None:
    """Adds what a kill has left behind, and removes it."""
    left = marked.wait_until_gone(self._mark, PATIENCE)
    outcome.orphans += len(left)
    outcome.orphans_mib += marked.memory(left)
    self._names |= marked.shared_memory(left)
    names = marked.left_in_shared_memory(self._names)
    outcome.shared_memory += len(names)
    if left or names:
      lines = [*map(marked.command, left), *sorted(names)[:3]]
      outcome.left.append(f"{len(left)} processes, {len(names)} names: {'; '.join(lines)}")
    marked.end(left)
    for name in names:
      (pathlib.Path("/dev/shm") / name).unlink(missing_ok=True)
    self._names.clear()

  def rows(self) -> list[dict[str, object]]:
    """The log without what depends on the clock."""
    lines = (self.workdir / "metrics.jsonl").read_text().splitlines()
    return [
      {key: x for key, x in json.loads(line).items() if not _is_of_the_clock(key)} for line in lines
    ]


def run(kills: int, seed: int, data: pathlib.Path, folder: pathlib.Path) -> Outcome:
  """Kills so often; see the module.

  Args:
    kills: rounds.
    seed: of the moments and victims.
    data: folder with the toy's data set.
    folder: empty, for the runs.
  """
  outcome, rng, began = Outcome(), random.Random(seed), time.monotonic()
  straight = Chain(data, folder / "straight")
  straight.start()
  outcome.failures += straight.wait()
  expected = _result(straight)
  validated = {row["step"] for row in expected[1] if row["split"] == "eval"}
  while outcome.kills < kills:
    chain = Chain(data, folder / f"chain_{outcome.chains}")
    chain.validated = validated
    chain.start()
    while outcome.kills < kills:
      moment = rng.choice(list(MOMENTS))
      if not chain.until(moment, rng):
        break
      victims = rng.choice(([0, 1], [1, 0]))
      chain.kill(victims, rng.choice((0.0, 0.0, rng.uniform(0.0, 1.0))))
      outcome.kills += 1
      outcome.moments[moment] = outcome.moments.get(moment, 0) + 1
      chain.count_left(outcome)
      chain.start()
    outcome.failures += chain.wait()
    chain.count_left(outcome)
    outcome.chains += 1
    outcome.failures += _differences(_result(chain), expected, chain.workdir)
  outcome.seconds = time.monotonic() - began
  return outcome


def _result(chain: Chain) -> tuple[dict[str, np.ndarray], list[dict[str, object]]]:
  state, position = pods.final_state(chain.workdir)
  return {**pods.by_path(state), "position": np.array(position["next_batch"])}, chain.rows()


def _differences(found: tuple, expected: tuple, where: pathlib.Path) -> list[str]:
  (state, rows), (state_alone, rows_alone) = found, expected
  differ = [x for x in state_alone if state[x].tobytes() != state_alone[x].tobytes()]
  failures = [f"{where}: {len(differ)} arrays differ, {differ[0]} first"] if differ else []
  if rows != rows_alone:
    pairs = enumerate(zip(rows, rows_alone, strict=False))
    at = next((i for i, (x, y) in pairs if x != y), min(len(rows), len(rows_alone)))
    failures.append(
      f"{where}: {len(rows)} rows of metrics instead of {len(rows_alone)}; row {at + 1} is "
      f"{rows[at] if at < len(rows) else None}"
    )
  return failures


def _is_of_the_clock(key: str) -> bool:
  return key in ("time", "images/s")


def main() -> int:
  """Runs the command; 1 where something was left or differs."""
  parser = argparse.ArgumentParser(
    prog="python -m tests.faults.kills",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--kills", type=int, default=100)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--json", type=pathlib.Path, help="file for the counts")
  args = parser.parse_args()
  os.environ["JAX_PLATFORMS"] = "cpu"
  environment.use_compilation_cache()
  with tempfile.TemporaryDirectory(prefix="hrnet_kills_") as folder:
    data = pathlib.Path(folder) / "data"
    toy.prepare(data)
    outcome = run(args.kills, args.seed, data, pathlib.Path(folder) / "runs")
  text = json.dumps(dataclasses.asdict(outcome), indent=1)
  if args.json:
    args.json.write_text(text + "\n")
  print(f"{text}\n{outcome}")
  return bool(outcome.failures or outcome.orphans or outcome.shared_memory)


if __name__ == "__main__":
  sys.exit(main())
