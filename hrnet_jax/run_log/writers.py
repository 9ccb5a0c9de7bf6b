"""Files of a log that outlive a full disk: lines of text, and events for TensorBoard."""

from collections.abc import Callable
import contextlib
import os
import pathlib
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2


class LineWriter:
  """Appends lines; those that cannot be written wait in memory for the next one."""

  def __init__(self, path: pathlib.Path, failed: Callable[[OSError], None]):
    """`failed` is told what went wrong."""
    self._file, self._failed, self._waiting = path.open("ab", buffering=0), failed, b""

  def write(self, line: str) -> None:
    """Writes at once, so that a process that is killed leaves what it said."""
    self._waiting += line.encode() + b"\n"
    self._write()

  def sync(self) -> None:
    """Waits until what was written has reached the disk, so that a power cut leaves it."""
    try:
      os.fsync(self._file.fileno())
    except OSError as error:
      self._failed(error)

  def close(self) -> None:
    """Closes the file, after another try to write lines that still wait."""
    self._write()
    self.sync()
    self._file.close()

  def _write(self) -> None:
    try:
      while self._waiting:
        self._waiting = self._waiting[self._file.write(self._waiting) :]
    except OSError as error:
      self._failed(error)


class TensorBoardWriter:
  """Scalars and pictures for TensorBoard, written in this thread.

  The library's own thread ends at the first error, and the program then waits for it for ever.
  What cannot be written is left out; another file begins as soon as there is room.
  """

  def __init__(self, folder: pathlib.Path, first: int, failed: Callable[[OSError], None]):
    """Hides what an earlier run wrote for steps from `first` on; `failed` as in `LineWriter`."""
    self._folder, self._failed = folder, failed
    self._writer: EventsWriter | None = None
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write(event_pb2.Event(step=first, session_log=start))

  def scalar(self, name: str, value: float, step: int, time: float) -> None:
    """Adds a number."""
    self._write(event_pb2.Event(wall_time=time, step=step, summary=summary.scalar(name, value)))

  def picture(self, name: str, picture: np.ndarray, step: int, time: float) -> None:
    """Adds a picture, `(h, w, 3)` uint8."""
    image = summary.image(name, picture, dataformats="HWC")
    self._write(event_pb2.Event(wall_time=time, step=step, summary=image))

  def flush(self) -> None:
    """Makes what was added visible to others."""
    self._try(lambda: self._writer and self._writer.flush())

  def close(self) -> None:
    """Writes what is left."""
    self._try(lambda: self._writer and self._writer.close())

  def _write(self, event: Any) -> None:
    self._try(lambda: self._open().write_event(event))

  def _open(self) -> EventsWriter:
    if self._writer is None:
      self._folder.mkdir(parents=True, exist_ok=True)
      self._writer = EventsWriter(str(self._folder / "events"))
    return self._writer

  def _try(self, action: Callable[[], Any]) -> None:
    try:
      action()
    except OSError as error:
      broken, self._writer = self._writer, None
      with contextlib.suppress(OSError):
        if broken is not None:
          broken.close()
      self._failed(error)
