"""Where prepared data sets live: complete or absent, built by one process at a time.

`data_dir/name/version` is a complete data set; `data_dir/.staging/name` holds what a build has
written so far, and the old data set for the moment between two renames.
"""

from collections.abc import Iterator
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import sys

import filelock

from hrnet_jax.errors import UserError, about_input
from hrnet_jax.files import write_whole

_DEFAULT_DATA_DIR = "~/.cache/hrnet_jax/datasets"
_REQUIRED_FILES = ("dataset_info.json", "features.json", "metadata.json")
_CHECKSUMS = "checksums.json"  # sha256 of these files
# Of the facts in metadata.json. Data sets with another number are prepared anew.
FORMAT = 2


def _checksums(folder: pathlib.Path) -> dict[str, str]:
  contents = {name: folder / name for name in _REQUIRED_FILES if (folder / name).is_file()}
  return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in contents.items()}


def resolve_data_dir(data_dir: str | os.PathLike | None) -> pathlib.Path:
  """The folder of prepared data sets: the argument, $HRNET_JAX_DATA, or one in the cache."""
  chosen = data_dir or os.environ.get("HRNET_JAX_DATA") or _DEFAULT_DATA_DIR
  return pathlib.Path(chosen).expanduser().absolute()


class Place:
  """The folders of one data set.

  Attributes:
    target: where the complete data set is, if there is one.
    building: the TFDS `data_dir` of a build in progress.
  """

  def __init__(self, data_dir: pathlib.Path, name: str, version: str):
    staging = data_dir / ".staging" / name.replace("/", "+")
    self._name, self._version = name, version
    self._lock_file = staging.with_suffix(".lock")
    self._previous = staging / "previous"
    self.building = staging / "building"
    self.target = data_dir / name / version

  @property
  def complete(self) -> bool:
    """Whether a whole data set of today's format can be read from `target`."""
    if not all((self.target / file).is_file() for file in _REQUIRED_FILES):
      return False
    try:
      content = json.loads((self.target / "metadata.json").read_bytes())
    except (ValueError, RecursionError):  # damaged; a new one replaces it
      return False
    return isinstance(content, dict) and content.get("format") == FORMAT

  def check(self) -> None:
    """Compares the facts with what was written; data sets of earlier versions go unchecked.

    Raises:
      UserError: a file is another than it was.
    """
    if not (self.target / _CHECKSUMS).is_file():
      return
    with about_input(f"{self.target / _CHECKSUMS}: damaged; remove it"):
      written = json.loads((self.target / _CHECKSUMS).read_bytes())
      wrong = [name for name, value in _checksums(self.target).items() if value != written[name]]
    if wrong:
      raise UserError(
        f"{self.target / wrong[0]}: is not what was written; prepare the data set again, with "
        "--overwrite"
      )

  @property
  def interrupted(self) -> bool:
    """Whether the last replacement was cut between its two renames."""
    return self._previous.exists() and not self.target.exists()

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Excludes all other processes, and removes what an interrupted one has left."""
    self._lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(self._lock_file)
    try:
      lock.acquire(blocking=False)
    except filelock.Timeout:
      print(f"{self._name}: another process is preparing it; waiting", file=sys.stderr, flush=True)
      lock.acquire(poll_interval=0.1)
    with lock:
      # The kernel releases the lock with the process, so whoever holds it is alone: all that is
      # found in the staging folder is left over.
      self._recover()
      try:
        yield
      finally:
        self._recover()

  def publish(self) -> None:
    """Moves a finished build to `target`; an older data set goes only after that."""
    self.target.parent.mkdir(parents=True, exist_ok=True)
    if self.target.exists():
      self.target.rename(self._previous)
    built = self.building / self._name / self._version
    write_whole(built / _CHECKSUMS, json.dumps(_checksums(built), indent=1) + "\n")
    built.rename(self.target)

  def _recover(self):
    if self.interrupted:
      self.target.parent.mkdir(parents=True, exist_ok=True)
      self._previous.rename(self.target)
    shutil.rmtree(self._previous.parent, ignore_errors=True)
