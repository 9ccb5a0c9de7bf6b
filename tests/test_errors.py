"""Errors about input are lines that people can read, whatever stands in their files."""

import errno

import pytest

from hrnet_jax import errors


def test_names_from_files_do_nothing_to_a_terminal() -> None:
  text = errors.describe(
    "hrnet x", errors.UserError("a\x1b[31mb\r\x07\u202ec\ud800 d\u00e9\t\u3042")
  )
  assert text == "hrnet x: a\\x1b[31mb\\r\\x07\\u202ec\\ud800 d\u00e9\t\u3042"
  assert text.encode()


def test_long_values_lose_their_middle() -> None:
  text = errors.printable("begin " + "9" * 10**6 + " end\nanother")
  assert len(text) < 5000
  assert text.startswith("begin 999")
  assert text.endswith("999 end\nanother")
  assert "characters ..." in text


@pytest.mark.parametrize(
  "error",
  [
    KeyError("a"),
    RecursionError("too deep"),
    OverflowError("too large"),
    MemoryError(),
    OSError("what HDF5 says"),
    OSError(errno.EINVAL, "Invalid argument"),
  ],
)
def test_whatever_a_decoder_raises_is_about_the_file(error: Exception) -> None:
  expected = pytest.raises(errors.UserError, match=r"^a\.x: damaged \(.+\)$")
  with expected as told, errors.about_input("a.x: damaged"):
    raise error
  assert told.value.__cause__ is error


@pytest.mark.parametrize(
  "error",
  [
    errors.UserError("line 3"),
    FileNotFoundError("no such file"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ENOSPC, "No space left on device"),
    FloatingPointError("diverged"),
  ],
)
def test_errors_about_input_and_of_the_machine_stay(error: Exception) -> None:
  with pytest.raises(type(error)) as told, errors.about_input("a.x: damaged"):
    raise error
  assert told.value is error
