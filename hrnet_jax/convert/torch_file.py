"""PyTorch's own files: path <-> `{name: array}`. They are read without PyTorch, and written by it.

Files are read as data; see `torch_pickle`. In the format since PyTorch 1.6 they are zip archives of
a pickle and of the numbers of each storage, with checksums. In the older one five pickles and then
the numbers follow each other: a magic number, a version, facts about the machine, the content, and
the keys of the storages in the order of their numbers, each after its count in eight bytes.
"""

from collections.abc import Callable, Mapping
import contextlib
import io
import pathlib
from typing import Any, BinaryIO
import zipfile

import jax.numpy as jnp
import numpy as np

from hrnet_jax.convert import containers, torch_pickle
from hrnet_jax.errors import UserError, about_input

_MAGIC, _OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001
_NEWEST_ARCHIVE = 10  # the version of archives that PyTorch 2 reads, too
_PICKLE = "data.pkl"
_Numbers = Callable[[torch_pickle.Storage], bytes]


def read(path: pathlib.Path, choice: containers.Choice | None = None) -> dict[str, np.ndarray]:
  """Reads the weights of a file that `torch.save` wrote, in its zip format or the older one.

  Args:
    path: of the file.
    choice: among several sets of weights.

  Returns:
    Name -> array, as they are in the file; half precision becomes float32.

  Raises:
    UserError: not such a file, incomplete, or with objects that only running code could restore.
  """
  start = _check_start(path)
  with contextlib.ExitStack() as stack:
    damaged = f"{path} is damaged or incomplete ({path.stat().st_size:,} bytes); copy it again"
    stack.enter_context(about_input(damaged))
    file = stack.enter_context(path.open("rb"))
    content, numbers = (_open_old if start == b"\x80" else _open_archive)(path, file, stack)
    tensors = containers.unwrap(content, str(path), choice)
    return _arrays(path, tensors, numbers)


def write(path: pathlib.Path, state_dict: Mapping[str, np.ndarray], named: pathlib.Path) -> None:
  """Writes a state_dict that `load_state_dict(torch.load(path))` takes.

  Args:
    path: to write to.
    state_dict: name -> array.
    named: the file's name for messages.

  Raises:
    UserError: torch is not installed. OSError: it cannot be written.
  """
  try:
    import torch
  except ImportError as error:
    raise UserError(
      f"{named} is a file for PyTorch, which is not installed ({error}); "
      "pip install 'torch>=2.10', or write a file that ends in .npz or .safetensors"
    ) from None
  tensors = {name: torch.from_numpy(np.array(x)) for name, x in state_dict.items()}
  try:
    with path.open("wb") as file:  # given a path, it would write the path's name into the file
      torch.save(tensors, file)
  except RuntimeError as error:  # that positions in the file are wrong, after a full disk
    if isinstance(error.__context__, OSError):
      raise error.__context__ from None
    raise


def _check_start(path: pathlib.Path) -> bytes:
  """The first byte, once it is clear that the file can be one of PyTorch's."""
  with path.open("rb") as file:
    start = file.read(64)
  if not start.startswith((b"PK\x03\x04", b"\x80")):
    shown = start[:32].decode("ascii", "replace").strip()
    raise UserError(
      f"{path} is not a file of torch.save: it begins with {shown!r}"
      + ("; it is a web page, download the file itself" if shown.startswith("<") else "")
      + ("; it is a pointer of Git LFS" if shown.startswith("version https://git-lfs") else "")
    )
  return start[:1]


def _open_archive(
  path: pathlib.Path, file: BinaryIO, stack: contextlib.ExitStack
) -> tuple[Any, _Numbers]:
  """Opens a zip archive: its content, and a reader of its storages that looks at checksums."""
  archive = stack.enter_context(zipfile.ZipFile(file))
  parts = {part.filename: part for part in archive.infolist()}
  if len(parts) != len(archive.infolist()):
    raise ValueError("two parts of one name")
  containers.require_plausible(path, sum(part.file_size for part in parts.values()))
  root = next(name for name in parts if name.endswith(f"/{_PICKLE}")).removesuffix(_PICKLE)
  if f"{root}constants.pkl" in parts:
    raise UserError(
      f"{path} is a program of TorchScript; load it with torch.jit.load and save its state_dict()"
    )

  def content(name: str, default: bytes | None = None) -> bytes:
    if root + name in parts:
      return archive.read(parts[root + name])
    if default is None:
      raise ValueError(f"there is no {root}{name}")
    return default

  def numbers(storage: torch_pickle.Storage) -> bytes:
    data = content(f"data/{storage.key}")
    if len(data) != storage.num_bytes:
      raise ValueError(f"storage {storage.key} has {len(data)} bytes, expected {storage.num_bytes}")
    if big:
      data = np.frombuffer(data, f"u{storage.dtype.itemsize}").byteswap().tobytes()
    return data

  if (version := int(content("version", b"3"))) > _NEWEST_ARCHIVE:
    raise UserError(
      f"{path} is in version {version} of PyTorch's format; this program reads it up to "
      f"{_NEWEST_ARCHIVE}"
    )
  big = content("byteorder", b"little") == b"big"
  return torch_pickle.load(io.BytesIO(content(_PICKLE)), str(path))[0], numbers


def _open_old(
  path: pathlib.Path, file: BinaryIO, stack: contextlib.ExitStack
) -> tuple[Any, _Numbers]:
  """Opens a file in the older format: its content, and a reader of its storages."""
  del stack
  head = [torch_pickle.load(file, str(path))[0] for _ in range(2)]
  if head != [_MAGIC, _OLD_VERSION]:
    raise UserError(f"{path} is a pickle, but not one of torch.save: it begins with {head!a:.60}")
  torch_pickle.load(file, str(path))  # facts about the machine; numbers are little-endian
  content, storages = torch_pickle.load(file, str(path))
  keys, _ = torch_pickle.load(file, str(path))
  size, places = path.stat().st_size, {}
  for key in keys:
    count, place = int.from_bytes(file.read(8), "little"), file.tell()
    if key not in storages or key in places:
      raise ValueError(f"storage {key!r:.40} is not that of a tensor, or there twice")
    if count != storages[key].count:
      raise ValueError(f"storage {key} has {count} numbers, expected {storages[key].count}")
    if (end := place + storages[key].num_bytes) > size:
      raise ValueError(f"storage {key} ends at byte {end} of {size}")
    places[key] = place
    file.seek(end)

  def numbers(storage: torch_pickle.Storage) -> bytes:
    if storage.key not in places:
      raise ValueError(f"there are no numbers of storage {storage.key}")
    file.seek(places[storage.key])
    return file.read(storage.num_bytes)

  return content, numbers


def _arrays(
  path: pathlib.Path, tensors: Mapping[str, torch_pickle.Tensor], numbers: _Numbers
) -> dict[str, np.ndarray]:
  """Reads the storages of tensors, each once, if all of them together can be in the file."""
  storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
  # A tensor can have more numbers than its storage: those of a stride of 0 are one and the same.
  needed = sum(max(4, tensor.dtype.itemsize) * tensor.size for tensor in tensors.values())
  containers.require_plausible(path, needed + sum(x.num_bytes for x in storages.values()))
  flat = {
    key: np.frombuffer(bytearray(numbers(storage)), storage.dtype)
    for key, storage in storages.items()
  }
  arrays = {name: tensor.of(flat[tensor.storage.key]) for name, tensor in tensors.items()}
  half = (np.float16, jnp.bfloat16)
  return {k: x.astype(np.float32) if x.dtype in half else x for k, x in arrays.items()}
