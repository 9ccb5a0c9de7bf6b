"""Errors about the user's input, which commands show as one line; all others are bugs of ours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import errno
import functools
import os
import re
import traceback
from typing import Any


class UserError(ValueError):
  """A config, file or flag is not as it has to be; the message says which, and what to do."""


class ConfigKeyError(UserError, TypeError):
  """A section of the config has a key that nothing takes, or lacks one that is needed."""


class OptionError(UserError):
  """A flag, or the file that it names, is wrong, whatever else is read at the time."""


def check_known(name: str, known: Iterable[str], kind: str) -> None:
  """Refuses a name that nothing has.

  Args:
    name: as the user wrote it.
    known: all names there are, in the order in which they are told.
    kind: what it is a name of, such as a key of the config.

  Raises:
    UserError: it is not among them.
  """
  if name not in (names := list(known)):
    raise UserError(f"unknown {kind} {name!r}; known: {', '.join(names)}")


def some_of(names: Sequence[object], most: int) -> str:
  """Names for a message, of which there may be many: the first `most`, and how many more."""
  more = f" and {len(names) - most} more" if len(names) > most else ""
  return ", ".join(map(str, names[:most])) + more


def first_line(error: BaseException) -> str:
  """The beginning of what an error says, which for those of libraries is long; else its kind."""
  return (str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST_REASON]


def lookup(table: Mapping[str, Any], name: str, kind: str) -> Any:
  """The entry of a table by its name; raises as `check_known`."""
  check_known(name, sorted(table), kind)
  return table[name]


# All errors about input. Those of the operating system are of files that the user named, or of the
# machine: full disks, missing permissions. Diverged training raises FloatingPointError.
ABOUT_INPUT = (UserError, OSError, FloatingPointError)
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # how devices say it
TRACEBACK = "HRNET_JAX_TRACEBACK"  # environment variable that asks for tracebacks of these, too
_LONGEST_REASON = 300  # characters of what a library says
_LONGEST_LINE = 4000  # characters of a message, which may show a value of a user's file
_CONTROLS = "\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"  # blanks to Python
_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"missing \d+ required (?:keyword-only|positional) arguments?: (.+)")


def out_of_memory(error: BaseException) -> bool:
  """Whether the memory of the machine or of a device was not enough."""
  device = type(error).__name__ == "JaxRuntimeError" and _OUT_OF_MEMORY in str(error)
  return device or isinstance(error, MemoryError)


def _no_home(error: BaseException) -> bool:
  """Whether pathlib found no home folder, as for a user without a name."""
  return type(error) is RuntimeError and "home directory" in str(error)


def is_about_input(error: BaseException) -> bool:
  """Whether an error is the user's to mend, not a bug of ours."""
  return isinstance(error, ABOUT_INPUT) or out_of_memory(error) or _no_home(error)


def describe(name: str, error: BaseException) -> str:
  """An error for people: one line if it is about input, else with its traceback.

  Args:
    name: of the command.
    error: what it raised.
  """
  if is_about_input(error) and not os.environ.get(TRACEBACK):
    if _no_home(error):
      return f"{name}: there is no home folder for ~ and for caches; set $HOME"
    if not out_of_memory(error):
      return printable(f"{name}: {error}")
    reason = next(iter(str(error).splitlines()), "MemoryError")
    return f"{name}: not enough memory ({reason}); use smaller batches, images or networks"
  return "".join(traceback.format_exception(error)).rstrip()


def printable(text: str) -> str:
  """Text that may hold names from users' files, so that it does nothing but appear.

  What controls a terminal or cannot be encoded is written as an escape, long lines lose their
  middle, and lines stay lines.
  """
  return "\n".join(map(_printable_line, text.split("\n")))


def _printable_line(line: str) -> str:
  if len(line) > _LONGEST_LINE:
    half = _LONGEST_LINE // 2
    line = f"{line[:half]} [... {len(line) - 2 * half} characters ...] {line[-half:]}"
  if line.isprintable():
    return line
  # Of what Python calls unprintable, blanks of all widths and tabs do no harm.
  return "".join(
    x if x.isprintable() or (x.isspace() and x not in _CONTROLS) else ascii(x)[1:-1] for x in line
  )


@contextlib.contextmanager
def about_input(text: str, *, values: bool = False) -> Iterator[None]:
  """Turns whatever its body raises into a `UserError`, but for errors about input.

  For bodies that read bytes which may be damaged or of another program: those who wrote the
  decoders have not thought of all that can be in them.

  Args:
    text: which file it is, and what to do; the reason follows in brackets.
    values: whether errors about values do not name the file, as where its config is used.
  """
  try:
    yield
  except Exception as error:
    # Seeking to where no file can reach, and what HDF5 says, are no errors of the machine.
    of_content = type(error) is OSError and error.errno in (None, errno.EINVAL, errno.EOVERFLOW)
    of_content |= isinstance(error, UserError if values else ConfigKeyError)
    of_content &= not isinstance(error, OptionError)
    of_content |= isinstance(error, MemoryError)  # a decoder has asked for too much
    if is_about_input(error) and not of_content:
      raise
    raise UserError(f"{text} ({first_line(error)})") from error


@contextlib.contextmanager
def config_keys(config: Any, *sections: str) -> Iterator[None]:
  """Turns a TypeError about a keyword of these sections into a `ConfigKeyError`.

  Sections of a config are the keywords of constructors, so that a misspelt key becomes a keyword
  that Python refuses. Any other TypeError is a bug, and passes.

  Args:
    config: the whole config.
    *sections: dotted names of those whose keys the body hands on, such as `transform.train`.
  """
  try:
    yield
  except TypeError as error:
    if isinstance(error, ConfigKeyError):
      raise
    text = str(error)
    if found := _UNEXPECTED.search(text):
      owners = [name for name in sections if found[1] in _section(config, name)]
      if owners:
        raise ConfigKeyError(
          f"config.{owners[0]}.{found[1]} is a key that nothing takes ({text})"
        ) from error
    if found := _MISSING.search(text):
      keys = re.findall(r"'(\w+)'", found[1])
      if not any(key in _section(config, name) for key in keys for name in sections):
        names = " or ".join(f"config.{name}" for name in sections)
        raise ConfigKeyError(f"{names} lacks {', '.join(keys)} ({text})") from error
    raise


def _section(config: Any, name: str) -> Any:
  try:
    return functools.reduce(lambda part, key: part[key], name.split("."), config) or ()
  except KeyError:
    return ()
