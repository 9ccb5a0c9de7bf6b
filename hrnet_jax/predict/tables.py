"""Tables of predictions that grow photo by photo: rows -> CSV files."""

from collections.abc import Iterable, Sequence
import csv
import pathlib


class Tables:
  """Appends rows to files, so that what is done is not lost when a command is interrupted.

  The file of an earlier command is replaced by the first rows.
  """

  def __init__(self) -> None:
    self._begun: set[pathlib.Path] = set()

  def append(
    self, path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence[str]]
  ) -> None:
    """Writes rows behind those that were given before, or else behind the header."""
    begun = path in self._begun
    with path.open("a" if begun else "w", newline="", encoding="utf-8") as file:
      writer = csv.writer(file)
      if not begun:
        writer.writerow(header)
      writer.writerows(rows)
    self._begun.add(path)
