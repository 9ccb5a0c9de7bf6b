"""One process that reads damaged files, a case after the other: a plan on stdin -> lines of JSON.

`{"begin": [kind, number]}` before a case, so that whoever watches knows which one ended the process
or hangs, and `{"end": ...}` with what came of it. JAX starts once, for the kind that needs it.
"""

import contextlib
import io
import json
import os
import pathlib
import random
import resource
import shutil
import sys
import time
import traceback
from typing import Any

from absl import flags, logging

from hrnet_jax.errors import ABOUT_INPUT, TRACEBACK, describe
from tests.fuzz.kinds import KINDS
from tests.helpers.hostile import judge

_CHANGED = "changed"  # file with the name of the damaged one
SECONDS, MEBIBYTES = 10.0, 1024.0  # that a case may take


def make_case(
  intact: pathlib.Path, victims: list, folder: pathlib.Path, rng: random.Random
) -> None:
  """Copies a folder of intact files, and damages one."""
  shutil.copytree(intact, folder)
  path, mutation = rng.choice(victims)
  others = [x for x, _ in victims if x.suffix == path.suffix and x.stat().st_size < 2**20]
  data = mutation(path.read_bytes(), rng, rng.choice(others or [path]).read_bytes())
  changed = folder / path.relative_to(intact)
  changed.write_bytes(data)
  (folder / _CHANGED).write_text(str(changed))


def read(kind: str, folder: pathlib.Path) -> tuple[str, str]:
  """Reads a folder as a command does.

  Returns:
    `read`, `refused` or `failed`, and the message or what is wrong with it.
  """
  out, err = io.StringIO(), io.StringIO()
  try:
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      status = KINDS[kind].read(folder)
  except ABOUT_INPUT as error:
    status = 1
    err.write(describe("hrnet", error))
  except BaseException:
    return "failed", traceback.format_exc()
  return judge(status, out.getvalue() + err.getvalue())


def main() -> None:
  """Runs the cases of a plan: those from a number on, for some time, or the numbers given."""
  row = json.load(sys.stdin)
  # What the commands print is caught; the lines of the protocol have a stream of their own.
  stream = os.fdopen(os.dup(1), "w", buffering=1)
  os.dup2(2, 1)
  os.environ.pop(TRACEBACK, None)
  flags.FLAGS.mark_as_parsed()
  logging.set_verbosity(logging.FATAL)
  kind, folder = row["kind"], pathlib.Path(row["folder"])
  intact = folder / "intact"
  intact.mkdir(parents=True)
  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    victims = KINDS[kind].make(intact)
  _require_intact(kind, intact, victims, folder / "case")
  for number in row["numbers"] or range(row["first"], 10**9):
    _say(stream, begin=[kind, number])
    case = folder / "case"
    found = _run(kind, intact, victims, case, row["seed"], number)
    if found[0] == "failed":
      shutil.copytree(case, f"{row['kept']}_{number}", dirs_exist_ok=True)
    _say(stream, end=[kind, number, *found])
    if time.time() > row["until"]:
      break
  _say(stream, done=True)


def _require_intact(kind: str, intact: pathlib.Path, victims: list, case: pathlib.Path) -> None:
  """What is not damaged has to be read; that also imports all that is needed."""
  shutil.copytree(intact, case)
  (case / _CHANGED).write_text(str(case / victims[0][0].relative_to(intact)))
  found = read(kind, case)
  assert found[0] == "read", found


def _run(
  kind: str, intact: pathlib.Path, victims: list, case: pathlib.Path, seed: int, number: int
) -> tuple[str, str, float, float]:
  """Outcome, text, seconds, and MiB by which the process grew beyond all before."""
  shutil.rmtree(case, ignore_errors=True)
  make_case(intact, victims, case, random.Random(f"{seed} {kind} {number}"))
  before, used, start = _peak(), _used(), time.monotonic()
  outcome, text = read(kind, case)
  seconds, peak = time.monotonic() - start, _peak()
  grown = peak - used if peak > before else 0.0
  if outcome != "failed" and (seconds > SECONDS or grown > MEBIBYTES):
    outcome, text = "failed", f"{seconds:.1f} s, {grown:.0f} MiB: {text}"
  return outcome, text, round(seconds, 3), round(grown, 1)


def _peak() -> float:
  """MiB that this process has had in memory at most."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _used() -> float:
  """MiB that this process has in memory."""
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
  return pages * resource.getpagesize() / 2**20


def _say(stream: io.TextIOBase, **values: Any) -> None:
  stream.write(json.dumps(values) + "\n")
  stream.flush()


if __name__ == "__main__":
  main()
