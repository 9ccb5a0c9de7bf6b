"""Files of weights that are made to harm: refused in one line, or read as what they hold."""

import io
import json
import pathlib
import random
from typing import Any
import zipfile

import numpy as np
import pytest

from hrnet_jax.convert import read_state_dict, write_state_dict
from hrnet_jax.errors import UserError
from tests.helpers import torch_files
from tests.helpers.hostile import refusal

ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def safetensors(header, data=b"\0" * 16, length=None):
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  return (len(text) if length is None else length).to_bytes(8, "little") + text + data


SAFETENSORS = {
  "a shape of -1": safetensors({"a.weight": ONE | {"shape": [-1, 2]}}),
  "a huge shape": safetensors({"a.weight": ONE | {"shape": [30000, 30000]}}),
  "a shape that wraps": safetensors({"a.weight": ONE | {"shape": [2**32, 2**32]}}),
  "offsets past the end": safetensors({"a.weight": ONE | {"data_offsets": [0, 10**12]}}),
  "negative offsets": safetensors({"a.weight": ONE | {"data_offsets": [-16, 0]}}),
  "offsets the wrong way": safetensors({"a.weight": ONE | {"data_offsets": [16, 0]}}),
  "overlapping": safetensors({"a.weight": ONE, "b.weight": ONE}),
  "a hole": safetensors({"a.weight": ONE | {"data_offsets": [4, 20]}}, b"\0" * 20),
  "a header of 2**62": safetensors({"a.weight": ONE}, length=2**62),
  "a header of nothing": safetensors(b""),
  "nested": safetensors(b"[" * 10**6),
  "an unknown dtype": safetensors({"a.weight": ONE | {"dtype": "Q3"}}),
  "a dtype of nothing": safetensors({"a.weight": {"shape": [2, 2], "data_offsets": [0, 16]}}),
  "no tensors": safetensors({}),
  "one name twice": safetensors(
    b'{"a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},'
    b'"a.weight":{"dtype":"I32","shape":[4],"data_offsets":[0,16]}}'
  ),
  "a header of 2**63": safetensors({"a.weight": ONE}, length=2**63),
  "a header longer than the file": safetensors({"a.weight": ONE}, length=200),
  "NaN": safetensors({"a.weight": ONE}, np.full(4, np.nan, "<f4").tobytes()),
  "infinity": safetensors({"a.weight": ONE}, np.full(4, np.inf, "<f4").tobytes()),
}


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_safetensors(tmp_path: pathlib.Path, kind: str) -> None:
  path = tmp_path / "a.safetensors"
  path.write_bytes(SAFETENSORS[kind])
  said = refusal(path)
  assert ("not finite" in said) == (kind in ("NaN", "infinity"))


def test_what_is_not_finite_is_named_and_counted(tmp_path: pathlib.Path) -> None:
  """Also what would become infinite in float32."""
  values = np.zeros((5, 5), np.float32)
  values[0, :2], values[1, 0] = np.nan, -np.inf
  tensors = {"a.weight": values, "b.weight": np.ones(3), "c.weight": np.array([1.0, 1e39, np.nan])}
  write_state_dict(tmp_path / "a.npz", tensors)
  assert refusal(tmp_path / "a.npz") == (
    f"{tmp_path}/a.npz: numbers that are not finite, of which nothing can be made, in a.weight "
    "(2 NaN, 1 infinite of 25), c.weight (1 NaN, 1 too large for float32 of 3); the file is "
    "damaged, or its training diverged"
  )
  many = {f"{i}.weight": np.full(2, np.nan, np.float32) for i in range(9)}
  write_state_dict(tmp_path / "b.npz", many)
  assert "4.weight (2 NaN of 2) and 4 more tensors;" in refusal(tmp_path / "b.npz")


@pytest.mark.parametrize("values", [["text"], [1j], [np.datetime64("2020-01-01")]])
def test_what_is_no_number(tmp_path: pathlib.Path, values: list) -> None:
  np.savez(tmp_path / "a.npz", **{"a.weight": np.array(values)})
  assert "; weights are real numbers" in refusal(tmp_path / "a.npz")


def test_an_intact_safetensors(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "a.safetensors"
  path.write_bytes(safetensors({"a.weight": ONE}, np.arange(4, dtype="<f4").tobytes()))
  np.testing.assert_array_equal(read_state_dict(path)["a.weight"], [[0, 1], [2, 3]])


def array(shape, data, dtype="<f4"):
  """An array's file, whatever its header says."""
  stream = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    stream, {"descr": dtype, "fortran_order": False, "shape": shape}
  )
  return stream.getvalue() + data


ARRAYS = {
  "a negative shape": (array((-4,), b"\0" * 16), {}),
  "two negative sizes": (array((-2, -2), b"\0" * 16), {}),
  "too few numbers": (array((5,), b"\0" * 16), {}),
  "too many numbers": (array((3,), b"\0" * 16), {}),
  "a huge shape": (array((30000, 30000), b"\0" * 16), {}),
  "a shape that wraps": (array((2**40, 2**40), b"\0" * 16), {}),
  "objects": (array((2,), b"\0" * 16, "|O"), {}),
  "no array": (b"not an array", {}),
  "200 MB in 200 kB": (
    array((50_000_000,), b"\0" * 200_000_000),
    {"compression": zipfile.ZIP_DEFLATED},
  ),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_npz(tmp_path: pathlib.Path, kind: str) -> None:
  data, options = ARRAYS[kind]
  with zipfile.ZipFile(tmp_path / "a.npz", "w", **options) as file:
    file.writestr("a.weight.npy", data)
  refusal(tmp_path / "a.npz")


def test_npz_of_two_arrays_of_one_name(tmp_path: pathlib.Path) -> None:
  with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
    file.writestr("a.weight.npy", array((4,), b"\0" * 16))
    with pytest.warns(UserWarning, match="Duplicate name"):
      file.writestr("a.weight.npy", array((4,), b"\1" * 16))
  assert "two arrays of one name" in refusal(tmp_path / "a.npz")


WEIGHTS = np.arange(300, dtype=np.float32)


def write_weights(path: pathlib.Path, old: bool = False) -> bytes:
  """A file of one tensor, as bytes."""
  content = {"a.weight": torch_files.tensor(torch_files.storage("0", WEIGHTS.size), WEIGHTS.shape)}
  if old:
    torch_files.write_old(path, content, {"0": WEIGHTS})
  elif path.suffix == ".pth":
    torch_files.write_archive(path, content, {"0": WEIGHTS.tobytes()}, byteorder=b"little")
  else:
    write_state_dict(path, {"a.weight": WEIGHTS})
  return path.read_bytes()


def flip(path: pathlib.Path, data: bytes, count: int) -> list[tuple[int, Any]]:
  """For random bits the byte, and the tensor that is read, or the message."""
  rng, found = random.Random(0), []
  for _ in range(count):
    flipped, place = bytearray(data), rng.randrange(len(data))
    flipped[place] ^= 1 << rng.randrange(8)
    path.write_bytes(flipped)
    try:
      found.append((place, next(iter(read_state_dict(path).values()))))
    except UserError as error:
      found.append((place, str(error)))
  assert all(x.startswith(str(path)) for _, x in found if isinstance(x, str))
  return found


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_flipped_bits(tmp_path: pathlib.Path, suffix: str) -> None:
  """Where the format has checksums, no other value is ever read."""
  data = write_weights(tmp_path / f"a{suffix}")
  found = flip(tmp_path / f"b{suffix}", data, 400)
  assert sum(isinstance(x, str) for _, x in found) > 200
  for place, x in found:
    if not isinstance(x, str):
      np.testing.assert_array_equal(x, WEIGHTS, err_msg=f"byte {place}")


@pytest.mark.parametrize(("suffix", "old"), [(".safetensors", False), (".pth", True)])
def test_flipped_bits_where_there_are_no_checksums(
  tmp_path: pathlib.Path, suffix: str, old: bool
) -> None:
  """Nobody can see that a number is another one, but all of them are finite."""
  data = write_weights(tmp_path / f"a{suffix}", old)
  found = flip(tmp_path / f"b{suffix}", data, 200)
  first = len(data) - WEIGHTS.nbytes
  read = [x for place, x in found if place >= first and not isinstance(x, str)]
  assert len(read) > 100
  for x in read:
    assert (x != WEIGHTS).sum() == 1
    assert np.isfinite(x).all()


def contents(torch):
  itself = {"a.weight": torch.ones(2)}
  itself["state_dict"] = itself
  deep = {"a.weight": torch.ones(2)}
  for _ in range(100):
    deep = {"state_dict": deep}
  return {
    "a stride of 0": {"a.weight": torch.zeros(1).expand(30_000, 30_000)},
    "a larger one": {"a.weight": torch.zeros(1).expand(10**6, 10**6)},
    "many of them": {f"{i}.weight": torch.zeros(1).expand(3000, 3000) for i in range(40)},
    "halves of them": {"a.weight": torch.zeros(1).half().expand(30_000, 30_000)},
    "itself": itself,
    "deep": deep,
    "sparse": {"a.weight": torch.eye(3).to_sparse()},
    "nowhere": {"a.weight": torch.empty(3, device="meta")},
    "complex": {"a.weight": torch.ones(2, dtype=torch.complex64) * float("nan")},
    "NaN": {"a.weight": torch.full((2,), float("nan"))},
    "numbers for names": {5: torch.ones(2)},
    "a list": [torch.ones(2)],
  }


@pytest.mark.torch
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_pytorch(tmp_path: pathlib.Path, zipped: bool) -> None:
  torch = pytest.importorskip("torch")
  for kind, content in contents(torch).items():
    path = tmp_path / f"{kind}.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert path.stat().st_size < 100_000
    assert refusal(path), kind


@pytest.mark.torch
def test_an_archive_that_unpacks_to_gigabytes(tmp_path: pathlib.Path) -> None:
  torch = pytest.importorskip("torch")
  torch.save({"a.weight": torch.zeros(2)}, tmp_path / "a.pth")
  bomb = tmp_path / "b.pth"
  with zipfile.ZipFile(tmp_path / "a.pth") as old, zipfile.ZipFile(bomb, "w") as new:
    for part in old.infolist():
      new.writestr(part.filename, old.read(part))
    new.writestr("a/data/9", b"\0" * 2**27, zipfile.ZIP_DEFLATED)
  assert "its tensors would take" in refusal(bomb)
