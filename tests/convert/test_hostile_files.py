"""Files of weights that are made to harm: refused in one line, or read as what they hold."""

import io
import json
import pathlib
import random
import zipfile

import numpy as np
import pytest

from hrnet_jax.convert import read_state_dict, write_state_dict
from hrnet_jax.errors import UserError
from tests.helpers import hostile

ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def refusal(path):
  """The message, once it is clear that it took little time and memory."""
  with hostile.bounded(), pytest.raises(UserError) as refused:
    read_state_dict(path)
  text = str(refused.value)
  assert text.startswith(str(path))
  assert "\n" not in text
  return text


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
  "NaN": safetensors({"a.weight": ONE}, np.full(4, np.nan, "<f4").tobytes()),
  "infinity": safetensors({"a.weight": ONE}, np.full(4, np.inf, "<f4").tobytes()),
}


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_safetensors(tmp_path: pathlib.Path, kind: str) -> None:
  path = tmp_path / "a.safetensors"
  path.write_bytes(SAFETENSORS[kind])
  said = refusal(path)
  assert ("not finite" in said) == (kind in ("NaN", "infinity"))


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


@pytest.mark.parametrize("suffix", [".npz", pytest.param(".pth", marks=pytest.mark.torch)])
def test_flipped_bits(tmp_path: pathlib.Path, suffix: str) -> None:
  """Where the format has checksums, no other value is ever read."""
  if suffix == ".pth":
    pytest.importorskip("torch")
  weights = np.arange(300, dtype=np.float32)
  write_state_dict(tmp_path / f"a{suffix}", {"a.weight": weights})
  data, rng, messages = (tmp_path / f"a{suffix}").read_bytes(), random.Random(0), []
  for _ in range(200):
    flipped = bytearray(data)
    flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path = tmp_path / f"b{suffix}"
    path.write_bytes(flipped)
    try:
      found = read_state_dict(path)
    except UserError as error:
      messages.append(str(error))
    else:
      np.testing.assert_array_equal(next(iter(found.values())), weights)
  assert len(messages) > 100
  assert all(message.startswith(str(path)) for message in messages)


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
