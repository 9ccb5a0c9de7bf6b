"""PyTorch's own files: path <-> `{name: array}`. The only module that imports torch, when asked to.

Files are read as data: torch's restricted unpickler calls nothing that a file names. What the
reference and timm store beside the weights (scores as numpy numbers, command lines) is skipped
by a placeholder under the same name, so that not even numpy reads it.
"""

from collections.abc import Mapping
import pathlib
import pickle
import re
from typing import Any
import zipfile

import numpy as np

from hrnet_jax.convert import containers
from hrnet_jax.errors import UserError

_SKIPPED = (
  "_codecs.encode",
  "argparse.Namespace",
  "numpy.core.multiarray.scalar",
  "numpy._core.multiarray.scalar",
  "numpy.core.multiarray._reconstruct",
  "numpy._core.multiarray._reconstruct",
  "numpy.dtype",
  "numpy.ndarray",
)


class _Placeholder:
  """Takes whatever it is made of and keeps nothing."""

  def __new__(cls, *args: Any) -> "_Placeholder":
    del args
    return super().__new__(cls)

  def __init__(self, *args: Any):
    del args

  def __setstate__(self, state: Any) -> None:
    del state


def _placeholder(module: str, name: str) -> type:
  """torch knows what it may restore by module and name; this answers to those of another."""
  return type(name, (_Placeholder,), {"__module__": module})


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
  torch = _import_torch(path)
  _check_start(path)
  _check_archive(path)
  tensors = containers.unwrap(_load(torch, path), str(path), choice)
  # A tensor can have more numbers than its file: those of a stride of 0 are one and the same.
  containers.require_plausible(path, sum(4 * tensor.numel() for tensor in tensors.values()))
  return {name: _to_numpy(torch, tensor) for name, tensor in tensors.items()}


def write(path: pathlib.Path, state_dict: Mapping[str, np.ndarray]) -> None:
  """Writes a state_dict that `load_state_dict(torch.load(path))` takes.

  Raises:
    UserError: torch is not installed.
  """
  torch = _import_torch(path)
  torch.save({name: torch.from_numpy(np.array(x)) for name, x in state_dict.items()}, path)


def _import_torch(path: pathlib.Path) -> Any:
  try:
    import torch
  except ImportError as error:
    raise UserError(
      f"{path} is a file for PyTorch, which is not installed ({error}); "
      "pip install 'torch>=2.5', or use a file that ends in .npz or .safetensors"
    ) from None
  return torch


def _load(torch: Any, path: pathlib.Path) -> Any:
  skipped = [_placeholder(*name.rsplit(".", 1)) for name in _SKIPPED]
  try:
    with torch.serialization.safe_globals(skipped):
      return torch.load(path, map_location="cpu", weights_only=True)
  except pickle.UnpicklingError as error:
    # A name that ends in a dot has been cut off with the file.
    if found := re.search(r"(?:global:|unsupported) GLOBAL ([\w.]+\w) ", str(error)):
      raise UserError(
        f"{path} holds more than tensors: restoring {found[1]} would run code, which "
        "is refused. Where you trust the file, load it with PyTorch and save model.state_dict() "
        "alone"
      ) from None
    reason = f"{error}".rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    raise UserError(f"{path} is damaged or no checkpoint; torch says: {reason}") from None
  except Exception as error:  # damaged bytes can fail in any way inside the unpickler
    raise UserError(
      f"{path} is damaged or incomplete ({path.stat().st_size:,} bytes); download or copy it "
      f"again. torch says: {f'{error}'.partition('. ')[0] or type(error).__name__}"
    ) from None


def _check_start(path: pathlib.Path) -> None:
  with path.open("rb") as file:
    start = file.read(64)
  if not start.startswith((b"PK\x03\x04", b"\x80")):
    shown = start[:32].decode("ascii", "replace").strip()
    raise UserError(
      f"{path} is not a file of torch.save: it begins with {shown!r}"
      + ("; it is a web page, download the file itself" if shown.startswith("<") else "")
      + ("; it is a pointer of Git LFS" if shown.startswith("version https://git-lfs") else "")
    )


def _check_archive(path: pathlib.Path) -> None:
  """PyTorch does not look at the checksums of its archives; the older format has none."""
  if not zipfile.is_zipfile(path):
    return
  with zipfile.ZipFile(path) as archive:
    containers.require_plausible(path, sum(part.file_size for part in archive.infolist()))
    damaged = archive.testzip()
  if damaged:
    raise UserError(
      f"{path} is damaged or incomplete ({path.stat().st_size:,} bytes): the checksum of {damaged} "
      "is wrong; download or copy it again"
    )


def _to_numpy(torch: Any, tensor: Any) -> np.ndarray:
  if tensor.dtype in (torch.float16, torch.bfloat16):
    tensor = tensor.float()
  return tensor.detach().cpu().contiguous().numpy()
