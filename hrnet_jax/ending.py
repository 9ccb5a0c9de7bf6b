"""How a process ends before its time: by Ctrl-C, or at once where others wait for it.

Python answers a signal between two of its instructions. A process that is in a compilation comes to
none for minutes, and the exception that Ctrl-C raises is lost where a library calls Python. So a
program of ours has a thread that hears signals at once, and ends it if nothing else does.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn, Protocol

INTERRUPTED, TERMINATED = 130, 143  # exit statuses: 128 and the number of the signal
SAME_SECONDS = 0.5  # signals nearer than this are one: terminals and launchers both send them
_UNWINDING = 5.0  # seconds in which an interrupted command puts things in order
_LAST_CALL = 20.0  # seconds that threads have when the command is over
_CALLBACK_SECONDS = 5.0
_LOOK_SECONDS = 60.0
_AGAIN = b"\0"  # in the place of a signal: Ctrl-C was lost

Callback = Callable[[int, str], None]
_callbacks: list[Callback] = []
_leaving = threading.Lock()
_command: "CommandProcess | None" = None


class Stopped(KeyboardInterrupt):
  """Ctrl-C has ended a run as it should: everything is saved. The text says where it goes on.

  Attributes:
    silent: whether another process says so.
  """

  def __init__(self, text: str, *, silent: bool = False):
    super().__init__(text)
    self.silent = silent


class Graceful(Protocol):
  """Answers signals by an end that takes a while, such as one with a checkpoint."""

  def note(self, signum: int, frame: FrameType | None) -> None:
    """Handles a signal, in the main thread."""

  def seconds(self, signum: int) -> float:
    """How long it may take from now on until the process ends; infinity for as long as it likes."""

  def line(self, signum: int) -> str:
    """Tells people that it took longer, and how to go on."""

  def notice(self) -> str:
    """Tells people who wait after Ctrl-C what for."""


@contextlib.contextmanager
def before_leaving(callback: Callback) -> Iterator[None]:
  """While the body runs, `leave` calls the function first, with the status and the text."""
  _callbacks.append(callback)
  try:
    yield
  finally:
    _callbacks.remove(callback)


def leave(status: int, text: str = "") -> NoReturn:
  """Ends the process at once, whatever its threads are doing.

  Args:
    status: of the process.
    text: for people, on stderr.
  """
  if not _leaving.acquire(blocking=False):
    while True:  # another thread is at it
      time.sleep(1)
  with contextlib.suppress(Exception):  # nobody may be listening any more
    if text:
      print(text, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
  for callback in reversed(_callbacks):
    thread = threading.Thread(target=_quietly, args=(callback, status, text), daemon=True)
    thread.start()
    thread.join(_CALLBACK_SECONDS)
  os._exit(status)


def command() -> "CommandProcess | None":
  """Whoever answers signals, where this process is a command and nothing else."""
  return _command


def interrupted() -> bool:
  """Whether this process is a command that Ctrl-C is ending."""
  return _command is not None and _command.interrupted


def hold() -> None:
  """Lets Ctrl-C wait until `CommandProcess.start`, also where that is another program's."""
  signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


class CommandProcess:
  """Answers signals for a process that is one command.

  Attributes:
    name: of the command, for messages.
    interrupted: whether Ctrl-C was pressed.
  """

  def __init__(self, name: str):
    self.name, self.interrupted = name, False
    self._graceful: Graceful | None = None
    self._first: float | None = None  # time of the first Ctrl-C
    self._deadlines: dict[str, float] = {}  # time by what is to happen then
    self._signum, self._status, self._resent = signal.SIGINT, 0, 0

  def start(self) -> None:
    """Begins to listen; a process has one of these, to its end."""
    global _command
    _command = self
    self._ear, mouth = socket.socketpair()
    for end in (self._ear, mouth):
      end.setblocking(False)
    self._mouth = mouth
    signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    # A background job of a script ignores Ctrl-C.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
      signal.signal(signal.SIGINT, self._handle)
    sys.unraisablehook = self._unraisable
    threading.excepthook = self._in_thread
    threading.Thread(target=self._listen, name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

  @contextlib.contextmanager
  def graceful(self, answer: Graceful) -> Iterator[None]:
    """While the body runs, signals are this object's to answer; those it has a handler for."""
    self._graceful = answer
    try:
      yield
    finally:
      self._graceful = None
      self._deadlines.clear()  # it has answered

  def last_call(self, status: int) -> None:
    """From now on the process ends by itself, or soon without those who keep it from that."""
    self._status = status
    self._deadlines = {"over": time.monotonic() + _LAST_CALL}
    self._wake()

  def _handle(self, signum: int, frame: FrameType | None) -> None:
    if self._graceful is not None:
      self._graceful.note(signum, frame)
      return
    self.interrupted = True
    if _importing(frame):
      # Libraries written in C++ may crash where an exception ends their start; there is nothing to
      # put in order yet.
      self._end(signum)
    raise KeyboardInterrupt

  def _listen(self) -> None:
    while True:
      first = min([*self._deadlines.values(), time.monotonic() + _LOOK_SECONDS])
      wait = max(first - time.monotonic(), 0)
      if select.select([self._ear], [], [], wait)[0]:
        for number in self._ear.recv(4096):
          self._hear(number)
      now = time.monotonic()
      for what in [what for what, end in list(self._deadlines.items()) if end <= now]:
        self._deadlines.pop(what, None)
        self._do(what)

  def _hear(self, number: int) -> None:
    now = time.monotonic()
    if number == signal.SIGINT and self._resent:
      self._resent -= 1
    elif number == signal.SIGINT:
      if self._first is None:
        self.interrupted, self._first = True, now
        self._begin(number, now)
      elif now - self._first > SAME_SECONDS:
        self._end(number)
    elif number == signal.SIGTERM and "end" not in self._deadlines:
      self._begin(number, now)
    elif number == _AGAIN[0] and self.interrupted:
      self._deadlines.setdefault("again", now + 0.1)

  def _begin(self, number: int, now: float) -> None:
    if "over" in self._deadlines:
      return
    self._signum = number
    if self._graceful is None:
      self._deadlines["end"] = now + _UNWINDING
      return
    seconds = self._graceful.seconds(number)
    self._deadlines["end"] = now + seconds
    if number == signal.SIGINT and seconds:
      self._deadlines["notice"] = now + 1

  def _do(self, what: str) -> None:
    graceful = self._graceful
    if what == "over":
      leave(self._status)
    elif what == "again":
      self._resent += 1
      signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    elif what == "notice" and graceful is not None:
      print(f"{self.name}: {graceful.notice()}", file=sys.stderr, flush=True)
    elif what == "end":
      if graceful is not None and (more := graceful.seconds(self._signum)) == float("inf"):
        self._deadlines["end"] = time.monotonic() + more
      else:
        self._end(self._signum)

  def _end(self, number: int) -> NoReturn:
    said = self._graceful.line(number) if self._graceful is not None else ""
    status = INTERRUPTED if number == signal.SIGINT else TERMINATED
    word = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    leave(status, f"{self.name}: {word}{f'; {said}' if said else ''}")

  def _wake(self) -> None:
    with contextlib.suppress(OSError):
      self._mouth.send(b"\xff")

  def _unraisable(self, args: Any) -> None:
    """Ctrl-C in a place from where no exception gets out comes again a moment later."""
    if args.exc_type is not KeyboardInterrupt:
      sys.__unraisablehook__(args)
      return
    with contextlib.suppress(OSError):
      self._mouth.send(_AGAIN)

  def _in_thread(self, args: Any) -> None:
    """Threads of libraries that lose what they work with, because of Ctrl-C, say nothing."""
    if not self.interrupted:
      threading.__excepthook__(args)


def _importing(frame: FrameType | None) -> bool:
  while frame is not None:
    if frame.f_code.co_filename.startswith("<frozen importlib"):
      return True
    frame = frame.f_back
  return False


def _quietly(callback: Callback, status: int, text: str) -> None:
  with contextlib.suppress(Exception):
    callback(status, text)
