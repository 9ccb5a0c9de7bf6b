"""`classes.txt` of a user's own label maps: a class a line, perhaps with its colour."""

import dataclasses
import pathlib
import re

from hrnet_jax.data import text
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.errors import UserError

_COLOUR = re.compile(r"\s(?:#([0-9a-fA-F]{6})|(\d{1,3})\s+(\d{1,3})\s+(\d{1,3}))$")
Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Classes:
  """Classes in the order of their ids.

  Attributes:
    path: of the file.
    names: of the classes.
    given: the colours that stand in the file, by class id.
    comments: numbers of lines that begin with `#` and are passed over.
  """

  path: pathlib.Path
  names: tuple[str, ...]
  given: dict[int, Colour]
  comments: tuple[int, ...]

  @property
  def palette(self) -> tuple[Colour, ...]:
    """A colour for each class; those that the file does not give are made up."""
    return tuple(self.given.get(i, folders.make_colour(i)) for i in range(len(self.names)))


def read_classes(path: pathlib.Path) -> Classes:
  """Reads class names and, where given, colours.

  Raises:
    FileNotFoundError: no such file.
    ValueError: a line cannot be used; the message gives its number.
  """
  if not path.is_file():
    raise FileNotFoundError(f"{path}: no such file; write one class name a line, ids count from 0")
  names: dict[str, int] = {}
  given: dict[int, Colour] = {}
  comments: list[int] = []
  colours: dict[Colour, str] = {}
  for number, line in text.read_lines(path, most=1000):
    where = f"{path}, line {number}"
    if line.startswith("#"):
      comments.append(number)
      continue
    name, colour = _parse_line(line, where)
    if name in names:
      raise UserError(f"{where}: class {name!r} is there twice")
    names[name] = index = len(names)
    if colour is None:
      continue
    if colour in colours:
      raise UserError(f"{where}: {name!r} has the colour of {colours[colour]!r}, {colour}")
    given[index], colours[colour] = colour, name
  if len(names) == 1:
    raise UserError(
      f"{path}: one class, which every pixel would be, so that there is nothing to learn; write "
      "two, such as background and object"
    )
  if not 2 <= len(names) <= base.IGNORED:
    passed = "; lines that begin with # are passed over" if comments else ""
    raise UserError(f"{path}: {len(names)} classes; there can be 2 to {base.IGNORED}{passed}")
  return Classes(path, tuple(names), given, tuple(comments))


def _parse_line(line: str, where: str) -> tuple[str, Colour | None]:
  if not line:
    raise UserError(f"{where}: empty; the line number is the id, so no line can be left out")
  found = _COLOUR.search(line)
  if not found:
    return line, None
  name, (code, *values) = line[: found.start()].strip(), found.groups()
  if code:
    return name, tuple(bytes.fromhex(code))  # type: ignore[return-value]
  colour = tuple(int(value) for value in values)
  if max(colour) > 255:
    raise UserError(f"{where}: colour {colour}; red, green and blue go from 0 to 255")
  return name, colour  # type: ignore[return-value]
