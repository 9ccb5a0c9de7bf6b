"""Makes every call of the system fail, one at a time, while the package writes; a table of it.

  python -m tests.faults                                  all of it, in a few minutes
  python -m tests.faults --every=50                       some of it, in seconds
  python -m tests.faults --kinds=data --only=replacing    one operation
  python -m tests.faults --page=docs/reliability.md       fills the tables of the page

At each writing, renaming, bringing to the disk, removing, opening and making of a folder there are
the errors ENOSPC, EIO, ESTALE, EACCES and EINTR, a short write, a disk that is full from then on,
storage that is gone from then on, and death before the call or inside the write. After each, the
old or the new must be there as a whole, the failure said, and the next command must work and leave
nothing behind; but for preparing data, single errors that pass (EIO, ESTALE, EINTR) must be waited
out. The status is 1 where that fails.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.report import fill
from hrnet_jax import markdown
from tests.faults import library
from tests.faults.worker import KINDS
from tests.helpers import environment

Rows = list[dict[str, Any]]
_COLUMNS = (
  "operation",
  "call",
  "points",
  "tries",
  "went on",
  "old there",
  "new there",
  "in part",
  "failed",
)


def main() -> int:
  """Runs the command; 1 where something failed."""
  parser = argparse.ArgumentParser(
    prog="python -m tests.faults",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
  add("--only", default="", help="operations with this in their names")
  add("--every", type=int, default=1, help="make one fault of so many, spread over all points")
  add("--output", type=pathlib.Path, help="Markdown file for the tables")
  add("--page", type=pathlib.Path, help="Markdown page with places for the tables")
  add("--json", type=pathlib.Path, help="file for the rows with all failures")
  add("--jobs", type=int, default=2, help="processes at a time")
  args = parser.parse_args()
  if reason := library.missing():
    parser.error(reason)
  rows = run(args.kinds.split(","), every=args.every, only=args.only, jobs=args.jobs)
  made = {"faults": table(rows)}
  if args.json:
    args.json.write_text(json.dumps(rows, indent=1) + "\n")
  if args.output:
    args.output.write_text(made["faults"] + "\n")
  if args.page:
    args.page.write_text(fill(args.page.read_text(), made))
  print(made["faults"])
  failures = [f"{row['operation']}: {x}" for row in rows for x in row["failures"]]
  tries = sum(row["tries"] for row in rows)
  print(f"\n{tries} faults, {len(failures)} failures", *failures, sep="\n")
  return bool(failures)


def run(kinds: list[str], *, every: int = 1, only: str = "", jobs: int = 2) -> Rows:
  """What came of the faults in all operations of some kinds.

  Raises:
    RuntimeError: a process ended by itself, or hung.
  """
  library.build()
  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    return [row for rows in pool.map(lambda x: _kind(x, every, only), kinds) for row in rows]


def _kind(kind: str, every: int, only: str) -> Rows:
  env = environment.ONE_THREAD | library.environment()
  env |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": environment.xla_flags(devices=1)}
  with tempfile.TemporaryDirectory() as folder:
    result = pathlib.Path(folder) / "rows.json"
    line = [sys.executable, "-m", "tests.faults.worker", kind, f"--every={every}"]
    done = subprocess.run(
      [*line, f"--only={only}", f"--result={result}"], cwd=environment.ROOT, env=env, check=False
    )
    if done.returncode:
      raise RuntimeError(f"{kind}: the process ended with {done.returncode}")
    return json.loads(result.read_text())["rows"]


def table(rows: Rows) -> str:
  """One line for each operation and family of calls, with the sum at the end."""
  lines, before = [], ""
  for row in rows:
    counts = [row["outcomes"].get(x, 0) for x in ("done", "old", "new", "part", "failed")]
    name = row["operation"] if row["operation"] != before else ""
    before = row["operation"]
    lines.append((name, f"`{row['call']}`", row["points"], row["tries"], *counts))
  sums = [sum(line[i] for line in lines) for i in range(2, len(_COLUMNS))]
  return markdown.table(_COLUMNS, [*lines, ("all", "", *sums)])


if __name__ == "__main__":
  os.chdir(environment.ROOT)
  sys.exit(main())
