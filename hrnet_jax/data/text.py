"""Text as users' editors leave it: `path -> text`, its lines, or the content of JSON.

UTF-8 with or without a byte order mark, UTF-16 with one; every kind of line end. Whatever else it
is, the message names the file and the line.
"""

import codecs
from collections.abc import Iterable, Sequence
import contextlib
import csv
import io
import json
import pathlib
import re
from typing import Any

from hrnet_jax.data.regular_files import read_regular
from hrnet_jax.errors import UserError

_MOST_BYTES = 2**31  # annotations of large data sets have half of it
_MOST_LINES = 2_000_000
_LONGEST_NAME = 200  # characters of a line of a list of names
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a letter, where the other does not follow
_MARKS = (
  (codecs.BOM_UTF8, "utf-8-sig"),
  (codecs.BOM_UTF16_LE, "utf-16"),
  (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: pathlib.Path) -> str:
  """Reads a whole file of text, without a byte order mark.

  Raises:
    FileNotFoundError: it cannot be read.
    ValueError: it is no ordinary file, or not text in UTF-8 or UTF-16; names the line.
  """
  data = read_regular(path, most_bytes=_MOST_BYTES)
  encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
  try:
    text = data.decode(encoding)
  except UnicodeDecodeError as error:
    line = data[: error.start].count(b"\n") + 1
    raise UserError(
      f"{path}, line {line}: not text in UTF-8 (byte {data[error.start]:#04x}); save the file as "
      "UTF-8"
    ) from None
  if "\0" in text:
    raise UserError(f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: not text")
  return text


def read_lines(path: pathlib.Path, *, most: int = _MOST_LINES) -> list[tuple[int, str]]:
  """Lines without blanks around them, and their numbers from 1; those at the end that are empty
  are left out.

  Args:
    path: of a list of short names.
    most: lines that there can be.

  Raises:
    FileNotFoundError, ValueError: as `read_text`; there are too many lines, or one is too long.
  """
  lines = read_text(path).rstrip().splitlines()
  if len(lines) > most:
    raise UserError(f"{path}: {len(lines)} lines; there can be {most}")
  for number, line in enumerate(lines, 1):
    if len(line) > _LONGEST_NAME:
      raise UserError(
        f"{path}, line {number}: {len(line)} characters; a line can have {_LONGEST_NAME}"
      )
  return [(number, line.strip()) for number, line in enumerate(lines, 1)]


def read_json(path: pathlib.Path) -> Any:
  """The content of a JSON file.

  Raises:
    FileNotFoundError, ValueError: as `read_text`, or it is not JSON, or nested without end.
  """
  text = read_text(path)
  try:
    content = json.loads(text)
    if _SURROGATE.search(text):
      json.dumps(content, ensure_ascii=False).encode()
    return content
  except UnicodeEncodeError as error:
    raise UserError(
      f"{path}: {error.object[error.start : error.end]!a} is not text, but half a letter"
    ) from None
  except json.JSONDecodeError as error:
    raise UserError(f"{path}: not valid JSON ({error}); it may be cut off") from None
  except RecursionError:
    raise UserError(f"{path}: JSON that is nested too deeply") from None
  except ValueError as error:  # whole numbers of thousands of digits
    raise UserError(f"{path}: not valid JSON ({error})") from None


def read_json_lines(path: pathlib.Path) -> tuple[list[dict[str, Any]], int]:
  """The JSON objects of a log, one a line, and how many lines are none.

  A process that was killed, or a disk that was full, leaves parts of lines, even zeros.

  Raises:
    FileNotFoundError: it cannot be read.
  """
  lines = read_regular(path, most_bytes=_MOST_BYTES).decode(errors="replace").splitlines()
  found = []
  for line in lines:
    with contextlib.suppress(ValueError, RecursionError):
      found.append(json.loads(line))
  objects = [x for x in found if isinstance(x, dict)]
  return objects, len(lines) - len(objects)


def as_csv(rows: Iterable[Sequence[object]]) -> bytes:
  """Rows as the bytes of a CSV file."""
  text = io.StringIO(newline="")
  csv.writer(text).writerows(rows)
  return text.getvalue().encode()
