"""Every fault at every point of an operation, and what came of it."""

from collections.abc import Iterator
import contextlib
import dataclasses
import faulthandler
import io
import pathlib
import random
import shutil
import sys
import time

from tests.faults import library
from tests.faults.library import Fault
from tests.faults.operation import NEW, OLD, PART, Operation, age, steady, tree

KILLED, POWER_CUT = "killed", "power cut"
# How it ended: as if nothing had been, or else, and where it was said, with what was there then.
DONE, FAILED = "done", "failed"
SECONDS = 60.0  # after which the whole ends, because a try hangs
LONG = 10.0  # seconds that a try takes where somebody waits for what does not come
_SOME = 2  # faults of a point that is like another
_ONCE = tuple(map(library.once, ("ENOSPC", "EIO", "ESTALE", "EACCES", "EINTR")))
_PASSING = tuple(map(library.once, ("EIO", "ESTALE", "EINTR")))


@dataclasses.dataclass
class Row:
  """What came of the faults in one family of calls of an operation.

  Attributes:
    operation: its name.
    call: the family, `KILLED` or `POWER_CUT`.
    points: calls in a run without faults.
    tries: faults that were made.
    outcomes: how many ended how.
    failures: `CALL number (PATH), FAULT: what was wrong`.
  """

  operation: str
  call: str
  points: int = 0
  tries: int = 0
  outcomes: dict[str, int] = dataclasses.field(default_factory=dict)
  failures: list[str] = dataclasses.field(default_factory=list)

  def add(self, outcome: str, where: str) -> None:
    """Counts a try; `outcome` is one of the names above, or says what is wrong."""
    self.tries += 1
    if outcome in (DONE, OLD, NEW, PART):
      self._count(outcome)
    else:
      self._count(FAILED)
      self.failures.append(f"{where}: {outcome}")

  def _count(self, outcome: str) -> None:
    self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


def faults_of(call: str) -> tuple[Fault, ...]:
  """What may happen to a call of this family."""
  if call in library.LOOKING:
    return (*_PASSING, library.GONE)
  short = (library.SHORT_WRITE,) if call == "write" else ()
  full = (library.FULL,) if call in library.GROWING else ()
  return (*_ONCE, *short, *full, library.GONE)


class Driver:
  """Tries one operation.

  Attributes:
    rows: what came of it, by family of calls.
  """

  def __init__(self, operation: Operation, folder: pathlib.Path, *, every: int = 1):
    """Records the calls of an undisturbed run.

    Args:
      operation: to try.
      folder: empty.
      every: makes one of so many faults and kills; they are spread over all points.

    Raises:
      AssertionError: the operation does not do without faults what it is to do.
    """
    self._operation, self._folder = operation, folder.resolve()
    self._every = every * operation.share
    self._before, self._root = self._folder / "before", self._folder / "root"
    self._random = random.Random(operation.name)
    self._before.mkdir()
    operation.prepare(self._before)
    self._begin()
    with library.watched(self._root), _quietly():
      operation.run(self._root)
    self.points = library.points(library.calls(), operation.calls)
    found = operation.look(self._root)
    assert found == NEW, f"{operation.name}, without faults: {found}"
    operation.again(self._root)
    self._expected = tree(self._root)
    self.rows = {x: Row(operation.name, x) for x in (*operation.calls, KILLED, POWER_CUT)}
    for call, _, _ in self.points:
      self.rows[call].points += 1

  def fail(self) -> None:
    """Makes each call fail; in each way the first of those with paths that differ by chance."""
    seen: set[tuple[str, ...]] = set()
    for call, nth, at in self.points:
      kind = tuple(map(steady, at))
      faults = faults_of(call) if kind not in seen else self._random.sample(faults_of(call), _SOME)
      seen.add(kind)
      for fault in faults:
        if self._is_due():
          where = f"{call} {nth} ({_shown(at)}), {fault.title}"
          self.rows[call].add(self._try(call, nth, fault), where)

  def kill(self) -> None:
    """Looks at what a process leaves that dies before a call, or inside a write.

    Of a power cut at that moment, files whose last bytes nobody has brought to the disk are empty.
    """
    if self._operation.calls == library.LOOKING:
      return
    copies = self._folder / "copies"
    copies.mkdir()
    self._begin()
    with library.watched(self._root, copies=copies), _quietly():
      self._operation.run(self._root)
    calls = library.calls()
    for copy in sorted(copies.iterdir()):
      number, _, moment = copy.name.partition("-")
      at = calls[int(number) - 1]
      where = f"{moment} {at.name} ({_shown(at)})"
      # The names of what is under way do not count.
      unsynced = library.unsynced(calls[: int(number) - 1])
      lost = [x for x in unsynced if steady(x) in self._expected and _has_bytes(copy / x)]
      if lost:
        cut = copy.with_name(f"{copy.name}-cut")
        shutil.copytree(copy, cut, symlinks=True)
        for name in lost:
          (cut / name).write_bytes(b"")
        self._judge_left(POWER_CUT, cut, where)
      self._judge_left(KILLED, copy, where)

  def _judge_left(self, kind: str, copy: pathlib.Path, where: str) -> None:
    row = self.rows[kind]
    row.points += 1
    if self._is_due():
      row.add(self._judge(copy, "", killed=True), where)
    shutil.rmtree(copy)

  def _is_due(self) -> bool:
    return self._random.randrange(self._every) == 0

  def _begin(self) -> None:
    shutil.rmtree(self._root, ignore_errors=True)
    shutil.copytree(self._before, self._root, symlinks=True)

  def _try(self, call: str, nth: int, fault: Fault) -> str:
    self._begin()
    said = ""  # not the exception, which would keep alive what its frames hold, such as locks
    began = time.monotonic()
    with library.watched(self._root, call, nth, fault), _quietly() as output:
      try:
        self._operation.run(self._root)
      except (LookupError, AssertionError) as error:  # the operation's own judgement
        return _line(error)
      except Exception as error:
        said = _line(error)
    if (took := time.monotonic() - began) > LONG:
      return f"hangs for {took:.0f} s"
    if not library.fired():
      return DONE  # threads came in another order
    if "Traceback" in (text := output.getvalue()):
      lines = text.partition("Traceback")[2].splitlines()
      return f"prints a traceback: {next((x for x in lines[1:] if x[:1].strip()), '')[:160]}"
    if said and self._operation.survives and fault in _PASSING:
      return f"not survived: {said}"
    return self._judge(self._root, said, killed=False)

  def _judge(self, root: pathlib.Path, said: str, *, killed: bool) -> str:
    """What is there, and whether the next command works.

    Args:
      root: to look at.
      said: what the operation raised, in a line.
      killed: there was nobody to say anything.
    """
    found = ""
    try:
      with _quietly():
        found = self._operation.look(root)
        if found not in (OLD, NEW, PART):
          return found
        if found != NEW and not (said or killed):
          return "not there, and nothing said so"
        age(root)
        self._operation.again(root)
    except Exception as error:
      step = "the next command" if found else "looking"
      return f"{found or '?'}; {step} fails: {_line(error)}"
    if left := sorted(tree(root) - self._expected):
      return f"{found}; left behind: {', '.join(left[:3])}"
    return found if said or killed else DONE


def run(operation: Operation, folder: pathlib.Path, *, every: int = 1) -> list[Row]:
  """All faults of an operation.

  Args:
    operation: to try.
    folder: for what it writes; emptied afterwards.
    every: makes one of so many.
  """
  folder.mkdir(parents=True)
  try:
    driver = Driver(operation, folder, every=every)
    driver.fail()
    driver.kill()
    return [row for row in driver.rows.values() if row.points]
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def _has_bytes(path: pathlib.Path) -> bool:
  return path.is_file() and path.stat().st_size > 0


def _shown(call: library.Call) -> str:
  return f"{call.path} -> {call.second}" if call.second else call.path


def _line(error: Exception) -> str:
  text = str(error).strip() or "nothing more"
  return f"{type(error).__name__}: {text.splitlines()[0][:160]}"


@contextlib.contextmanager
def _quietly() -> Iterator[io.StringIO]:
  """Keeps what is said; ends the process where a try hangs."""
  output = io.StringIO()
  faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
  try:
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
      yield output
  finally:
    faulthandler.cancel_dump_traceback_later()
