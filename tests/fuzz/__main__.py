"""Damages files of every kind at random and looks how they are read: well, or refused in a line.

  python -m tests.fuzz                           the same cases for as long as the machine is
  python -m tests.fuzz --seconds=3600 --seed=7   others, for longer
  python -m tests.fuzz --kinds=COCO --case=123   one case again

A traceback, a crash, more than 10 seconds or a GiB of memory is a failure; its files are kept.
"""

import argparse
import collections
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import SECONDS

ROOT = pathlib.Path(__file__).parents[2]
_START_SECONDS = 60.0  # of a process
_WORKERS = 2
_SHOWN = 1500  # characters of a failure
_MOST_FAILURES = 20


class Watch:
  """Runs the cases of some kinds in processes, one at a time, and starts another where one ends."""

  def __init__(self, seed: int, kept: pathlib.Path, numbers: list[int]):
    self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
    self.slowest: dict[str, float] = collections.defaultdict(float)
    self.largest: dict[str, float] = collections.defaultdict(float)
    self.failures: list[str] = []
    self._seed, self._kept, self._numbers = seed, kept, numbers

  def run(self, kind: str, seconds: float) -> None:
    """Cases of one kind, for so many seconds."""
    until, first = time.monotonic() + seconds, 0
    # Processes that crash again and again are not started again and again.
    while first is not None and len(self.failures) < _MOST_FAILURES:
      left = max(0.1, until - time.monotonic())
      with tempfile.TemporaryDirectory(prefix="hrnet_fuzz_") as folder:
        first = self._process(kind, pathlib.Path(folder), first, left)
      if time.monotonic() > until or self._numbers:
        return

  def _process(self, kind: str, folder: pathlib.Path, first: int, seconds: float) -> int | None:
    """One process; the number of the case after the one that ended it, None if none did."""
    until = time.time() + seconds  # which begins with the start of the process
    plan = {"kind": kind, "folder": str(folder), "first": first, "until": until}
    self._kept.mkdir(parents=True, exist_ok=True)
    kept = self._kept / f"{kind.replace(' ', '_')}_{self._seed}"
    plan |= {"seed": self._seed, "numbers": self._numbers, "kept": str(kept)}
    log = folder / "log"
    with log.open("wb") as errors:
      process = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONFAULTHANDLER": "1"},
      )  # fmt: skip
    process.stdin.write(json.dumps(plan).encode())
    process.stdin.close()
    case, number, limits = folder / "case", None, [_START_SECONDS]
    try:
      for line in _lines(process.stdout, limits):
        told = json.loads(line)
        if "done" in told:
          return None
        if "begin" in told:
          number, limits[0] = told["begin"][1], 2 * SECONDS
        else:
          self._note(*told["end"], kept)
          limits[0] = _START_SECONDS
      reason = f"ended the process, status {process.wait()}"
    except TimeoutError:
      reason = f"still reading after {limits[0]:.0f} s" if number is not None else "does not begin"
    finally:
      process.kill()
      process.wait()
    text = log.read_text(errors="replace")
    place = pathlib.Path(f"{kept}_{number}")
    shutil.rmtree(place, ignore_errors=True)
    if case.is_dir():
      shutil.move(case, place)
    self._fail(kind, number, place, f"{reason}\n{text}")
    return None if number is None else number + 1

  def _note(self, kind, number, outcome, text, seconds, grown, kept) -> None:
    self.slowest[kind] = max(self.slowest[kind], seconds)
    self.largest[kind] = max(self.largest[kind], grown)
    if outcome == "failed":
      self._fail(kind, number, f"{kept}_{number}", text)
    else:
      self.counts[kind, outcome] += 1

  def _fail(self, kind, number, place, text) -> None:
    self.counts[kind, "failed"] += 1
    again = f"--seed={self._seed} --kinds='{kind}' --case={number}"
    self.failures.append(f"{kind}: {again}, files in {place}\n{text[-_SHOWN:]}")


def _lines(stream, limits):
  """Lines of a process as they come; TimeoutError where the next takes longer than `limits[0]`."""
  waiting = b""
  while True:
    if not select.select([stream], [], [], limits[0])[0]:
      raise TimeoutError
    data = os.read(stream.fileno(), 2**16)
    if not data:
      return
    *lines, waiting = (waiting + data).split(b"\n")
    yield from lines


def main() -> int:
  """Runs the program; returns its status."""
  parser = argparse.ArgumentParser(
    prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument("--seconds", type=float, default=90, help="in all; 90 by default")
  parser.add_argument("--seed", type=int, default=0, help="of the cases; 0 by default")
  parser.add_argument("--kinds", default="", help=f"of {', '.join(KINDS)}; all by default")
  parser.add_argument("--case", type=int, action="append", default=[], help="one case alone")
  parser.add_argument("--kept", default=str(ROOT / "runs/fuzz"), help="files of cases that failed")
  args = parser.parse_args()
  kinds = args.kinds.split(",") if args.kinds else list(KINDS)
  try:
    import torch  # noqa: F401
  except ImportError:
    print("PyTorch is not installed, so its files are left out")
    kinds = [kind for kind in kinds if kind != "PyTorch"]
  watch = Watch(args.seed, pathlib.Path(args.kept), args.case)
  shares = sum(KINDS[kind].share for kind in kinds)
  queue = sorted(kinds, key=lambda kind: -KINDS[kind].share)
  lock = threading.Lock()

  def work() -> None:
    while True:
      with lock:
        if not queue:
          return
        kind = queue.pop(0)
      watch.run(kind, args.seconds * _WORKERS * KINDS[kind].share / shares)

  threads = [threading.Thread(target=work) for _ in range(_WORKERS)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  print(f"{'kind':<22}{'read':>8}{'refused':>9}{'failed':>8}{'slowest':>10}{'memory':>10}")
  for kind in kinds:
    read, refused, failed = (watch.counts[kind, x] for x in ("read", "refused", "failed"))
    print(
      f"{kind:<22}{read:>8}{refused:>9}{failed:>8}{watch.slowest[kind]:>8.2f} s"
      f"{watch.largest[kind]:>6.0f} MiB"
    )
  for text in watch.failures:
    print(f"\n{text}")
  return 1 if watch.failures else 0


if __name__ == "__main__":
  sys.exit(main())
