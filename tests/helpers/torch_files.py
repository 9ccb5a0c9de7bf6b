"""Files as `torch.save` writes them, made without PyTorch, also such as it would never write."""

from collections.abc import Mapping
import itertools
import pathlib
import struct
from typing import Any
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Code(bytes):
  """Instructions of a pickle that leave one value."""


def encode(x: Any) -> Code:
  """Instructions for plain values: dicts, lists, tuples, texts, whole numbers, None, truth."""
  if isinstance(x, Code):
    return x
  if x is None or isinstance(x, bool):
    return Code({None: b"N", True: b"\x88", False: b"\x89"}[x])
  if isinstance(x, int):
    data = x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)
    return Code(b"\x8a" + bytes([len(data)]) + data)
  if isinstance(x, str):
    return Code(b"X" + struct.pack("<I", len(x.encode())) + x.encode())
  if isinstance(x, Mapping):
    return Code(b"}(" + b"".join(encode(y) for pair in x.items() for y in pair) + b"u")
  start, end = (b"](", b"e") if isinstance(x, list) else (b"(", b"t")
  return Code(start + b"".join(map(encode, x)) + end)


def name(module: str, attribute: str) -> Code:
  """A class or function."""
  return Code(f"c{module}\n{attribute}\n".encode())


def call(function: Code, *arguments: Any) -> Code:
  """What a function returns."""
  return Code(function + encode(arguments) + b"R")


def storage(key: str, count: int, kind: str = "Float", view: Any = ()) -> Code:
  """Numbers of the file; `view` is `(None,)` or `((key, start, count),)` in the older format."""
  return Code(encode(("storage", name("torch", f"{kind}Storage"), key, "cpu", count, *view)) + b"Q")


def tensor(
  numbers: Code,
  shape: tuple[int, ...],
  strides: tuple[int, ...] | None = None,
  offset: int = 0,
  *more: Any,
) -> Code:
  """A view of a storage; `more` are arguments that newer versions add."""
  if strides is None:
    strides = (*itertools.accumulate(shape[:0:-1], lambda x, y: x * y, initial=1),)[::-1]
  hooks = call(name("collections", "OrderedDict"))
  function = name("torch._utils", "_rebuild_tensor_v2")
  return call(function, numbers, offset, shape, strides[: len(shape)], False, hooks, *more)


def pickled(x: Any) -> bytes:
  """A whole pickle."""
  return b"\x80\x02" + encode(x) + b"."


def write_archive(
  path: pathlib.Path, content: Any, numbers: Mapping[str, bytes], **parts: bytes
) -> pathlib.Path:
  """The format since PyTorch 1.6."""
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("a/data.pkl", pickled(content))
    for part, data in ({"version": b"3\n"} | parts).items():
      archive.writestr(f"a/{part}", data)
    for key, data in numbers.items():
      archive.writestr(f"a/data/{key}", data)
  return path


def write_old(
  path: pathlib.Path, content: Any, numbers: Mapping[str, np.ndarray], *, version: int = 1001
) -> pathlib.Path:
  """The format before."""
  head = [MAGIC, version, {"little_endian": True}, content, list(numbers)]
  body = b"".join(x.size.to_bytes(8, "little") + x.tobytes() for x in numbers.values())
  path.write_bytes(b"".join(map(pickled, head)) + body)
  return path
