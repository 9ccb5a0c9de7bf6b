"""Files of weights by their ending: `.npz`, `.safetensors`, else PyTorch <-> `{name: array}`."""

from collections.abc import Callable, Mapping
import os
import pathlib
import zipfile

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from hrnet_jax.convert import containers, torch_file
from hrnet_jax.errors import UserError, about_input

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
    path: `.npz` and `.safetensors` hold `name -> array`; anything else is read by PyTorch, which
      has to be installed.
    choice: among several sets of weights in the file.

  Raises:
    FileNotFoundError: there is no such file. UserError: it holds no weights, or not intact.
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
  for name, array in found.items():
    if array.dtype.kind not in "biu" and not np.isfinite(array).all():
      raise UserError(f"{path}: {name} holds values that are not finite; nothing can be made of it")
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
  part = path.with_name(f"{path.name}.part")
  try:
    if path.suffix == ".npz":
      with part.open("wb") as file:
        np.savez(file, **state_dict)
    elif path.suffix == ".safetensors":
      # The library writes memory as it lies, so rows have to follow each other.
      tensors = {name: np.array(x, order="C") for name, x in state_dict.items()}
      safetensors.numpy.save_file(tensors, part, metadata={"format": "pt"})
    else:
      torch_file.write(part, state_dict)
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)


def _read_npz(path: pathlib.Path, choice: containers.Choice | None) -> dict[str, np.ndarray]:
  with about_input(f"{path} is not an intact .npz file"):
    with zipfile.ZipFile(path) as parts:
      containers.require_plausible(path, sum(part.file_size for part in parts.infolist()))
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
      content = dict(arrays)
  return containers.unwrap(content, str(path), choice)


def _read_safetensors(
  path: pathlib.Path, choice: containers.Choice | None
) -> dict[str, np.ndarray]:
  with about_input(f"{path} is not an intact .safetensors file"):
    entries = safetensors.deserialize(path.read_bytes())
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
