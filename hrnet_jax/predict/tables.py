"""Tables of predictions that grow photo by photo: rows -> CSV files."""

from collections.abc import Iterable, Sequence
import os
import pathlib

from hrnet_jax.data.text import as_csv
from hrnet_jax.files import write_whole


class Tables:
  """Appends rows to files, so that what is done is not lost when a command is interrupted.

  The file of an earlier command is there until the first rows replace it in one step.
  """

  def __init__(self) -> None:
    self._begun: set[pathlib.Path] = set()

  def append(
    self, path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence[str]]
  ) -> None:
    """Writes rows behind those that were given before, or else behind the header.

    Raises:
      OSError: they cannot be written; none of them is in the file then.
    """
    if path in self._begun:
      _append(path, as_csv(rows))
    else:
      write_whole(path, as_csv([header, *rows]))
    self._begun.add(path)


def _append(path: pathlib.Path, data: bytes) -> None:
  with path.open("ab", buffering=0) as file:
    before = os.fstat(file.fileno()).st_size
    try:
      while data:
        data = data[file.write(data) :]
    except BaseException as error:  # half a row would run into the next one
      file.truncate(before)
      if isinstance(error, OSError):
        error.filename = str(path)
      raise
