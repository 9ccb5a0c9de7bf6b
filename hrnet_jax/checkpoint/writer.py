"""One write at a time in a thread of its own, which nobody has to wait for without end."""

from collections.abc import Callable
import errno
import pathlib
import shutil
import threading
import time

from hrnet_jax import files

_PATIENCE = 120.0  # seconds for any write, and
_SLOWEST = 2e6  # bytes a second


class Write(threading.Thread):
  """A checkpoint on its way to the storage; starts at once.

  Attributes:
    step: of the checkpoint.
    error: why it is not there, once the thread has ended.
  """

  def __init__(self, step: int, num_bytes: int, work: Callable[[], None]):
    """`work` is done in the thread, and ends by itself or raises."""
    # Of Python's threads those that are no daemons are waited for at the end, without a bound.
    super().__init__(name=f"checkpoint {step}", daemon=True)
    self.step, self.num_bytes, self.work = step, num_bytes, work
    self.error: BaseException | None = None
    self.began = time.monotonic()
    self.start()

  @property
  def seconds_left(self) -> float:
    """How long storage that works at all may still take."""
    return max(self.began + _PATIENCE + self.num_bytes / _SLOWEST - time.monotonic(), 0.0)

  def run(self) -> None:
    """Does the work."""
    try:
      self.work()
    except BaseException as error:
      self.error = error

  def is_over(self, seconds: float = 0.0) -> bool:
    """Whether it has ended; waits so long for that."""
    self.join(seconds)
    return not self.is_alive()


def publish_folder(
  place: pathlib.Path, num_bytes: int, write: Callable[[pathlib.Path], None]
) -> None:
  """Makes a folder that appears when all of it has reached the disk, with patience for storage.

  Args:
    place: of the folder.
    num_bytes: that it will need, roughly.
    write: fills an empty folder; may be called several times.

  Raises:
    OSError: `place` is as it was, or another program's.
  """
  ours = 0  # number of the folder that was written last

  def attempt() -> None:
    nonlocal ours
    if ours and place.is_dir() and place.stat().st_ino == ours:
      files.sync_names(place.parent)  # nothing else was left to be done
      return
    if place.exists():
      raise FileExistsError(errno.EEXIST, f"{place} is there already, and stays")
    _check_room(place.parent, num_bytes)
    with files.whole_folder(place) as temporary:
      ours = temporary.stat().st_ino
      write(temporary)

  files.patiently(attempt, also=frozenset({errno.ENOENT}))


def _check_room(folder: pathlib.Path, num_bytes: int) -> None:
  """Says that the disk has no room, shorter than the storage library would.

  Raises:
    OSError: so it is.
  """
  needed = 1.05 * num_bytes + 2**20
  free = shutil.disk_usage(folder).free
  if free < needed:
    text = f"{folder} has room for {free / 2**20:.0f} MiB, expected {needed / 2**20:.0f}"
    raise OSError(errno.ENOSPC, text)
