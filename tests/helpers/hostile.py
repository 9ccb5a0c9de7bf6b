"""Commands on files that nobody should hand over: read or refused, in bounded time and memory."""

from collections.abc import Iterator
import contextlib
import pathlib
import re
import signal
import struct
import time
from types import FrameType
import zlib

import pytest

from hrnet_jax.convert.files import read_state_dict
from hrnet_jax.errors import UserError
from tests.helpers import commands

_SECONDS, _MEBIBYTES = 10.0, 1024.0  # that a command may take
_LONGEST = 20_000  # characters of what it says
_STATUS, _CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


def judge(status: int, text: str) -> tuple[str, str]:
  """What a command's status and everything that it printed amount to; see `read`."""
  if status not in (0, 1):
    return "failed", f"status {status}\n{text}"
  if "Traceback (most recent call last)" in text:
    return "failed", text
  if wrong := sorted({x for x in text if not (x.isprintable() or (x.isspace() and x != "\r"))}):
    return "failed", f"characters that change a terminal: {wrong}\n{text!r}"
  if len(text) > _LONGEST:
    return "failed", f"a message of {len(text)} characters\n{text[:2000]}"
  if status and not text.strip():
    return "failed", "status 1 without a message"
  return ("refused" if status else "read"), text.strip().rpartition("\n")[2]


def refusal(path: pathlib.Path) -> str:
  """The message with which a file of weights is refused, in little time and memory."""
  with bounded(), pytest.raises(UserError) as refused:
    read_state_dict(path)
  text = str(refused.value)
  assert text.startswith(str(path))
  assert "\n" not in text
  return text


def prepare(
  dataset: str, source: pathlib.Path, *options: str, notes: list[str] | None = None
) -> str:
  """Prepares a source folder; the message if it is refused, or nothing.

  The data set is then in `source/../data`. Fails where it takes more than 10 s or a GiB.

  Args:
    dataset: its name.
    source: of the files.
    *options: further flags.
    notes: gets the notes that were printed.
  """
  data = source.parent / "data"
  with bounded():
    done = commands.here(
      "prepare", f"--dataset={dataset}", f"--source={source}", f"--data_dir={data}", *options
    )
  outcome, text = judge(done.returncode, done.stdout + done.stderr)
  assert outcome != "failed", text
  if notes is not None:
    notes += [x for x in done.stderr.splitlines() if x.startswith("note: ")]
  if not done.returncode:
    return ""
  said = [x for x in done.stderr.splitlines() if not x.startswith(("note: ", "train ", "val "))]
  assert said[0].startswith("hrnet prepare: "), done.stderr
  # One line, or one that says how many are bad and a line for each of the first.
  assert all(x.startswith("  ") for x in said[1:]), done.stderr
  return "\n".join(said)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
  """Fails where its body takes more than 10 s, or more than a GiB beyond what is held before."""

  def stop(number: int, frame: FrameType | None) -> None:
    raise AssertionError(f"more than {_SECONDS} s")

  before_alarm = signal.signal(signal.SIGALRM, stop)
  signal.setitimer(signal.ITIMER_REAL, _SECONDS)
  forgotten = _forget_peak()
  held, start = _memory("VmRSS"), time.monotonic()
  try:
    yield
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before_alarm)
  assert time.monotonic() - start < _SECONDS
  if forgotten:
    assert _memory("VmHWM") - held < _MEBIBYTES


def png(width: int, height: int, depth: int, colour_type: int, packed: bytes) -> bytes:
  """A PNG of any size, however little is in it.

  Args:
    width: in pixels.
    height: in pixels.
    depth: bits of a value.
    colour_type: 0 grey, 2 RGB, 3 palette (of two colours).
    packed: the rows, compressed.
  """
  palette = _chunk(b"PLTE", bytes([0, 0, 0, 128, 0, 0])) if colour_type == 3 else b""
  head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
  parts = (_chunk(b"IHDR", head), palette, _chunk(b"IDAT", packed), _chunk(b"IEND", b""))
  return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
  checksum = struct.pack(">I", zlib.crc32(kind + data))
  return struct.pack(">I", len(data)) + kind + data + checksum


def _memory(name: str) -> float:
  """MiB of this process, 0 where nobody says."""
  if not _STATUS.exists():
    return 0.0
  found = re.search(rf"{name}:\s+(\d+)", _STATUS.read_text())
  return int(found[1]) / 1024 if found else 0.0


def _forget_peak() -> bool:
  """Lets the peak of memory begin anew; whether the system can."""
  try:
    _CLEAR.write_text("5")
  except OSError:
    return False
  return True
