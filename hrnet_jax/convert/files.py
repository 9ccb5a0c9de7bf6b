"""Files of weights by their ending: `.npz`, `.safetensors`, else PyTorch <-> `{name: array}`."""

from collections.abc import Callable, Mapping
import json
import os
import pathlib
import zipfile

import numpy as np

from hrnet_jax.convert import containers, torch_file

# Of the safetensors format; bfloat16, which numpy lacks, is the upper half of a float32.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
_LENGTH = 8  # bytes before the header


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads weights under the names of a bare network; see `containers.clean`.

  Args:
    path: `.npz` and `.safetensors` hold `name -> array`; anything else is read by PyTorch, which
      has to be installed.

  Raises:
    FileNotFoundError: there is no such file. ValueError: it holds no weights, or not intact.
  """
  path = pathlib.Path(path).expanduser()
  if not path.is_file():
    raise FileNotFoundError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
  if path.stat().st_size == 0:
    raise ValueError(f"{path} is empty")
  reader: Callable[[pathlib.Path], dict[str, np.ndarray]]
  reader = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(path.suffix, torch_file.read)
  return containers.clean(reader(path))


def write_state_dict(path: str | os.PathLike, state_dict: Mapping[str, np.ndarray]) -> None:
  """Writes weights in the format that the ending stands for; the file is new and complete, or not.

  Raises:
    ValueError: the file exists, or the format cannot be written.
  """
  path = pathlib.Path(path).expanduser()
  if path.exists():
    raise ValueError(f"{path} exists; name another file")
  if path.suffix == ".safetensors":
    raise ValueError(f"{path}: .safetensors is only read; end the name in .npz or .pth")
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f"{path.name}.part")
  try:
    if path.suffix == ".npz":
      with part.open("wb") as file:
        np.savez(file, **state_dict)
    else:
      torch_file.write(part, state_dict)
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
      content = dict(arrays)
  except (ValueError, zipfile.BadZipFile, EOFError, OSError, KeyError) as error:
    raise ValueError(f"{path} is not an intact .npz file: {error}") from None
  return containers.unwrap(content, str(path))


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  data = path.read_bytes()
  size = int.from_bytes(data[:_LENGTH], "little")
  try:
    header = json.loads(data[_LENGTH : _LENGTH + size])
    body = memoryview(data)[_LENGTH + size :]
    return {
      name: _tensor(body, **entry) for name, entry in header.items() if name != "__metadata__"
    }
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(f"{path} is not an intact .safetensors file: {error}") from None


def _tensor(
  body: memoryview, *, dtype: str, shape: list[int], data_offsets: list[int]
) -> np.ndarray:
  begin, end = data_offsets
  flat = np.frombuffer(body[begin:end], _DTYPES[dtype])
  if dtype == "BF16":
    flat = (flat.astype(np.uint32) << 16).view(np.float32)
  return flat.reshape(shape)
