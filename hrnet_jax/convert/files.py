"""Files of weights by their ending: `.npz`, `.safetensors`, else PyTorch <-> `{name: array}`."""

from collections.abc import Callable, Mapping
import json
import math
import os
import pathlib
from typing import Any
import zipfile

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from hrnet_jax.convert import containers, torch_file
from hrnet_jax.errors import UserError, about_input
from hrnet_jax.files import whole_file

# `safetensors.numpy` knows no bfloat16, so the package's own reader is asked for bytes.
_SAFETENSORS_DTYPES = {
  "F64": np.float64,
  "F32": np.float32,
  "F16": np.float16,
  "BF16": jnp.bfloat16,
  "I64": np.int64,
  "I32": np.int32,
}


def read_state_dict(
  path: str | os.PathLike, choice: containers.Choice | None = None
) -> dict[str, np.ndarray]:
  """Reads weights under the names of a bare network; see `containers.clean`.

  Args:
    path: `.npz` and `.safetensors` hold `name -> array`; anything else is a file of PyTorch's.
    choice: among several sets of weights in the file.

  Raises:
    FileNotFoundError: there is no such file. UserError: it holds no weights, not intact, or numbers
      that are not finite.
  """
  path = pathlib.Path(path).expanduser()
  if not path.is_file():
    raise FileNotFoundError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
  if path.stat().st_size == 0:
    raise UserError(f"{path} is empty")
  reader: Callable[..., dict[str, np.ndarray]]
  reader = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(path.suffix, torch_file.read)
  with about_input(f"{path} is damaged, or not a file of weights"):
    found = containers.clean(reader(path, choice))
  containers.require_numbers(path, found)
  return found


def write_state_dict(path: str | os.PathLike, state_dict: Mapping[str, np.ndarray]) -> None:
  """Writes weights in the format that the ending stands for; the file is new and complete, or not.

  Raises:
    UserError: the file exists, or the format cannot be written.
  """
  path = pathlib.Path(path).expanduser()
  if path.exists():
    raise UserError(f"{path} exists; name another file")
  path.parent.mkdir(parents=True, exist_ok=True)
  with whole_file(path) as temporary, about_input(f"{path} cannot be written"):
    if path.suffix == ".npz":
      with temporary.open("wb") as file:
        np.savez(file, **state_dict)
    elif path.suffix == ".safetensors":
      # The library writes memory as it lies, so rows have to follow each other.
      tensors = {name: np.array(x, order="C") for name, x in state_dict.items()}
      safetensors.numpy.save_file(tensors, temporary, metadata={"format": "pt"})
    else:
      torch_file.write(temporary, state_dict, path)


def _read_npz(path: pathlib.Path, choice: containers.Choice | None) -> dict[str, np.ndarray]:
  with about_input(f"{path} is not an intact .npz file"):
    with zipfile.ZipFile(path) as archive:
      parts = archive.infolist()
      containers.require_plausible(path, sum(part.file_size for part in parts))
      if len({part.filename for part in parts}) < len(parts):
        raise ValueError("two arrays of one name")
      for part in parts:
        with archive.open(part) as file:
          _check_array(part, file)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
      content = dict(arrays)
  return containers.unwrap(content, str(path), choice)


def _check_array(part: zipfile.ZipInfo, file: Any) -> None:
  """Compares the shape of an array with the bytes there are, before numpy makes room for it."""
  if np.lib.format.read_magic(file) != (1, 0):
    raise ValueError(f"{part.filename} is an array in an unusual version of the format")
  shape, _, dtype = np.lib.format.read_array_header_1_0(file)
  if dtype.hasobject:
    return  # which numpy refuses
  count = math.prod(shape)
  if min(shape, default=0) < 0 or count * dtype.itemsize != part.file_size - file.tell():
    raise ValueError(f"{part.filename} has {part.file_size} bytes, but its shape is {shape}")


def _read_safetensors(
  path: pathlib.Path, choice: containers.Choice | None
) -> dict[str, np.ndarray]:
  with about_input(f"{path} is not an intact .safetensors file"):
    data = path.read_bytes()
    entries = safetensors.deserialize(data)
    # The library takes the last of several entries of one name.
    json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=_once)
  content = {}
  for name, entry in entries:
    if entry["dtype"] not in _SAFETENSORS_DTYPES:
      known = ", ".join(_SAFETENSORS_DTYPES)
      raise UserError(
        f"{path}: {name} has dtype {entry['dtype']}, which is not read; known: {known}"
      )
    array = np.frombuffer(entry["data"], _SAFETENSORS_DTYPES[entry["dtype"]])
    if array.dtype == jnp.bfloat16:  # as the reader of PyTorch's files does
      array = array.astype(np.float32)
    content[name] = array.reshape(entry["shape"])
  return containers.unwrap(content, str(path), choice)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) < len(pairs):
    raise ValueError("two entries of one name")
  return found
