"""Pickles in PyTorch's files, read as data: stream -> what they hold, with tensors as descriptions.

Nothing that a pickle names is imported, called or made. Its instructions are carried out on plain
dicts, lists, tuples, texts and numbers; the few names that stand for tensors become descriptions of
them, which know where their numbers lie; everything else that PyTorch, the reference and timm store
beside the weights becomes `Skipped`. Other names are refused.
"""

from collections.abc import Callable
import dataclasses
import math
import pickletools
import re
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import UserError

_MOST_INSTRUCTIONS = 2_000_000  # of one pickle; a network and its optimizer have 200,000
_LARGEST_KEY = 2**31  # of dicts; larger numbers can be made to collide
_LARGEST_SIZE = 2**63
_MOST_AXES = 64  # that numpy has

# PyTorch's dtypes, and how it calls their storages where that is not the name alone.
DTYPES = {
  "float64": np.dtype(np.float64), "float32": np.dtype(np.float32), "float16": np.dtype(np.float16),
  "bfloat16": np.dtype(jnp.bfloat16), "int64": np.dtype(np.int64),
  "int32": np.dtype(np.int32), "int16": np.dtype(np.int16), "int8": np.dtype(np.int8),
  "uint8": np.dtype(np.uint8), "uint16": np.dtype(np.uint16), "uint32": np.dtype(np.uint32),
  "uint64": np.dtype(np.uint64), "bool": np.dtype(np.bool_), "complex64": np.dtype(np.complex64),
  "complex128": np.dtype(np.complex128),
}  # fmt: skip
_STORAGES = {
  "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
  "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
  "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": "uint8",
}  # fmt: skip
_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?_?(\w+)Storage")
# Names that are known and of which nothing is kept. That of a class or function says nothing about
# what becomes of it: `_made` knows those that stand for tensors.
_KNOWN = re.compile(
  r"torch\.(?:(?:b?float|q?u?int|complex|bits|bool|per_)\w*|Size|device|Tensor)"
  r"|torch\.(?:cuda\.)?\w+Tensor|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
  r"|torch\._utils\._rebuild_\w+|torch\._?tensor\._rebuild_from_type_v2"
  r"|collections\.(?:OrderedDict|Counter)|builtins\.(?:set|bytearray|complex)|_codecs\.encode"
  r"|argparse\.Namespace|numpy\._?core\.multiarray\.(?:scalar|_reconstruct)|numpy\.(?:dtype|ndarray)"
)
_MODULES = {"__builtin__": "builtins"}  # of Python 2
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset(
  (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES",
  )
)  # fmt: skip
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list}
_MARK = object()


class Skipped:
  """Something that is no weight."""


SKIPPED = Skipped()


@dataclasses.dataclass(frozen=True)
class Name:
  """A class, function or dtype, by its module and name."""

  text: str


@dataclasses.dataclass(frozen=True)
class Storage:
  """Numbers that tensors look at.

  Attributes:
    key: of the numbers in the file.
    dtype: of one number.
    count: how many the file has under that key.
    start: the first that is looked at.
  """

  key: str
  dtype: np.dtype
  count: int
  start: int = 0

  @property
  def num_bytes(self) -> int:
    """Bytes in the file."""
    return self.count * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A view of a storage.

  Attributes:
    storage: its numbers.
    offset: the first of them, in numbers of `dtype`.
    shape: of the array.
    strides: in numbers of `dtype`.
    dtype: of the array.
  """

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]
  dtype: np.dtype

  def __post_init__(self) -> None:
    sizes = (self.offset, *self.shape, *self.strides)
    if not all(isinstance(x, int) and 0 <= x < _LARGEST_SIZE for x in sizes):
      raise ValueError(f"a tensor of shape {self.shape}, strides {self.strides}, at {self.offset}")
    steps = zip(self.shape, self.strides, strict=True)
    last = self.offset + sum((size - 1) * step for size, step in steps)
    if self.size and (last + 1) * self.dtype.itemsize > self.storage.num_bytes:
      raise ValueError(
        f"a tensor of shape {self.shape} reaches to number {last} of {self.storage.count}"
      )

  @property
  def size(self) -> int:
    """Count of its numbers."""
    return math.prod(self.shape)

  def of(self, numbers: np.ndarray) -> np.ndarray:
    """The array, with those numbers of its storage, `(count,)`, that the file has."""
    if not self.size:
      return np.zeros(self.shape, self.dtype)
    strides = [step * self.dtype.itemsize for step in self.strides]
    first = numbers.view(self.dtype)[self.offset :]
    view = np.lib.stride_tricks.as_strided(first, self.shape, strides)
    return np.ascontiguousarray(view).reshape(self.shape)


def load(stream: BinaryIO, where: str) -> tuple[Any, dict[str, Storage]]:
  """Reads one pickle, and leaves the stream behind it.

  Args:
    stream: begins with the pickle.
    where: the file, for messages.

  Returns:
    What it holds, and the storages in it by their key.

  Raises:
    UserError: it names something that only running code could restore.
    Exception: whatever is wrong with a pickle that is damaged.
  """
  reader = _Reader(where)
  for instruction, argument, _ in pickletools.genops(stream):
    reader.spend(1)
    reader.do(instruction.name, argument)
  return reader.stack.pop(), reader.storages


class _Reader:
  """A stack, a memory and what was found."""

  def __init__(self, where: str):
    self._where = where
    self.stack: list[Any] = []
    self.storages: dict[str, Storage] = {}
    self._memory: dict[int, Any] = {}
    self._left = _MOST_INSTRUCTIONS

  def spend(self, count: int) -> None:
    """Bounds the work that a small file can ask for."""
    self._left -= count
    if self._left < 0:
      raise ValueError(f"more than {_MOST_INSTRUCTIONS} instructions")

  def do(self, name: str, argument: Any) -> None:
    """Carries out one instruction; `name` and `argument` are as `pickletools` has them."""
    stack = self.stack
    if name in _VALUES:
      stack.append(argument)
    elif name in ("BINPUT", "LONG_BINPUT"):
      self._memory[argument] = stack[-1]
    elif name == "MEMOIZE":
      self._memory[len(self._memory)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
      stack.append(self._memory[argument])
    elif name in _CONSTANTS:
      stack.append(_CONSTANTS[name])
    elif name == "MARK":
      stack.append(_MARK)
    elif name in _TUPLES:
      stack.append(tuple(self._pop(_TUPLES[name])))
    elif name == "TUPLE":
      stack.append(tuple(self._since_mark()))
    elif name in _EMPTY:
      stack.append(_EMPTY[name]())
    elif name in ("APPEND", "APPENDS", "ADDITEMS"):
      items = self._pop(1) if name == "APPEND" else self._since_mark()
      if isinstance(stack[-1], list):
        stack[-1].extend(items)
    elif name in ("SETITEM", "SETITEMS"):
      items = self._pop(2) if name == "SETITEM" else self._since_mark()
      if isinstance(stack[-1], dict):
        _set(stack[-1], items[::2], items[1::2])
    elif name in ("GLOBAL", "STACK_GLOBAL"):
      stack.append(self._name(*(argument.split(" ", 1) if argument else self._pop(2))))
    elif name in ("REDUCE", "NEWOBJ"):
      stack.append(self._made(*self._pop(2)))
    elif name == "BINPERSID":
      stack.append(self._storage(*stack.pop()))
    elif name == "BUILD":
      stack.pop()  # attributes of something
    elif name not in ("PROTO", "FRAME", "STOP"):
      raise ValueError(f"the instruction {name}, which files of weights do not have")

  def _pop(self, count: int) -> list[Any]:
    if count > len(self.stack):
      raise ValueError("a pickle that ends too early")
    popped = self.stack[len(self.stack) - count :]
    del self.stack[len(self.stack) - count :]
    return popped

  def _since_mark(self) -> list[Any]:
    place = len(self.stack) - 1
    while self.stack[place] is not _MARK:
      place -= 1  # at last an IndexError, if there is none
    found = self.stack[place + 1 :]
    del self.stack[place:]
    return found

  def _name(self, module: str, name: str) -> Name:
    text = f"{_MODULES.get(module, module)}.{name}"
    if not _KNOWN.fullmatch(text) and not _STORAGE.fullmatch(text):
      raise UserError(
        f"{self._where} holds more than tensors: restoring {text} would run code, which is "
        "refused. Where you trust the file, load it with PyTorch and save model.state_dict() alone"
      )
    return Name(text)

  def _made(self, function: Name, arguments: tuple[Any, ...]) -> Any:
    """Describes what a function of PyTorch's would make."""
    name = function.text.removeprefix("torch._utils._rebuild_")
    if name in ("tensor", "tensor_v2", "tensor_v3"):
      return _tensor(name, *arguments)
    if name in ("parameter", "parameter_with_state", "device_tensor_from_cpu_tensor"):
      return arguments[0]
    if name in ("torch.Size", "torch.nn.parameter.Parameter"):
      return arguments[0] if arguments else ()
    if name.endswith("_rebuild_from_type_v2"):
      return self._made(arguments[0], arguments[2])
    if name == "collections.OrderedDict":
      pairs = arguments[0] if arguments else ()  # as Python 2 wrote them
      self.spend(len(pairs))
      found: dict[Any, Any] = {}
      for key, value in pairs:
        _set(found, [key], [value])
      return found
    return SKIPPED

  def _storage(
    self, kind: str, name: Name, key: str, location: Any, count: int, view: Any = None
  ) -> Storage:
    del location  # a device
    match = _STORAGE.fullmatch(name.text)
    if kind != "storage" or match is None or match[1] not in _STORAGES:
      raise ValueError(f"{name.text}, which is not read")
    if not isinstance(key, str) or not isinstance(count, int) or count < 0:
      raise ValueError(f"a storage {key!r} of {count!r} numbers")
    storage = Storage(key, DTYPES[_STORAGES[match[1]]], count)
    if self.storages.setdefault(key, storage) != storage:
      raise ValueError(f"the storage {key} in two ways")
    if view is None:
      return storage
    _, start, size = view
    if not 0 <= start <= start + size <= count:
      raise ValueError(f"{size} numbers from {start} of the storage {key}, which has {count}")
    return dataclasses.replace(storage, start=start)


def _set(target: dict[Any, Any], keys: list[Any], values: list[Any]) -> None:
  """Adds entries; of those whose keys are neither text nor numbers nothing is kept."""
  for key, value in zip(keys, values, strict=True):
    if isinstance(key, str) or (isinstance(key, int) and abs(key) < _LARGEST_KEY):
      target[key] = value


def _tensor(
  name: str,
  storage: Storage,
  offset: int,
  shape: tuple[int, ...],
  strides: tuple[int, ...],
  *rest: Any,
) -> Tensor | Skipped:
  if len(shape) > _MOST_AXES or len(strides) != len(shape):
    raise ValueError(f"a tensor of {len(shape)} axes with {len(strides)} strides")
  dtype, rest = storage.dtype, rest[2:]  # without those about gradients
  if name == "tensor_v3":
    dtype, rest = DTYPES.get(rest[0].text.removeprefix("torch.")), rest[1:]
  if dtype is None or any(rest):  # conjugate or negative numbers
    return SKIPPED
  start = storage.start * storage.dtype.itemsize // dtype.itemsize
  return Tensor(storage, start + offset, tuple(shape), tuple(strides), dtype)
