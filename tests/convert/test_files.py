"""Arrays come back from `.npz` and `.safetensors`; what is not intact is refused with its name."""

import errno
import json
import os
import pathlib

import numpy as np
import pytest

from hrnet_jax.convert import read_state_dict, write_state_dict


def safetensors(path: pathlib.Path, entries: dict[str, tuple[str, np.ndarray]]) -> pathlib.Path:
  header, body = {"__metadata__": {"format": "pt"}}, b""
  for name, (dtype, array) in entries.items():
    begin, body = len(body), body + array.tobytes()
    offsets = [begin, len(body)]
    header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
  text = json.dumps(header).encode()
  path.write_bytes(len(text).to_bytes(8, "little") + text + body)
  return path


def test_npz(tmp_path: pathlib.Path) -> None:
  state_dict = {"conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)}
  state_dict["bn1.num_batches_tracked"] = np.zeros((), np.int64)
  write_state_dict(tmp_path / "new" / "a.npz", state_dict)
  assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.npz"]
  back = read_state_dict(tmp_path / "new" / "a.npz")
  assert set(back) == set(state_dict)
  for name, value in state_dict.items():
    assert back[name].dtype == value.dtype
    np.testing.assert_array_equal(back[name], value)


def test_safetensors_are_written(tmp_path: pathlib.Path) -> None:
  """Also what does not lie in memory in the order of its axes."""
  state_dict = {"conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1).T}
  state_dict["bn1.num_batches_tracked"] = np.zeros((), np.int64)
  write_state_dict(tmp_path / "new" / "a.safetensors", state_dict)
  assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.safetensors"]
  back = read_state_dict(tmp_path / "new" / "a.safetensors")
  assert set(back) == set(state_dict)
  for name, value in state_dict.items():
    assert back[name].dtype == value.dtype
    np.testing.assert_array_equal(back[name], value)


def test_safetensors_of_other_dtypes_are_refused(tmp_path: pathlib.Path) -> None:
  path = safetensors(tmp_path / "a.safetensors", {"a.weight": ("U16", np.zeros(2, np.uint16))})
  with pytest.raises(ValueError, match=r"a\.safetensors: a\.weight has dtype U16, which is not r"):
    read_state_dict(path)


def test_safetensors(tmp_path: pathlib.Path) -> None:
  half = np.array([0x3F80, 0xC020], np.uint16)  # 1 and -2.5 in bfloat16
  path = safetensors(
    tmp_path / "a.safetensors",
    {
      "model.conv1.weight": ("F32", np.arange(4, dtype="<f4").reshape(2, 2)),
      "model.bn1.bias": ("BF16", half),
      "model.bn1.num_batches_tracked": ("I64", np.array(5, "<i8")),
    },
  )
  back = read_state_dict(path)
  np.testing.assert_array_equal(back["conv1.weight"], [[0, 1], [2, 3]])
  np.testing.assert_array_equal(back["bn1.bias"], [1, -2.5])
  assert back["bn1.num_batches_tracked"] == 5


def test_incomplete_files_are_refused(tmp_path: pathlib.Path) -> None:
  np.savez(tmp_path / "whole.npz", a=np.arange(100))
  safetensors(tmp_path / "whole.safetensors", {"a": ("F32", np.zeros(100, "<f4"))})
  for suffix in (".npz", ".safetensors"):
    data = (tmp_path / f"whole{suffix}").read_bytes()
    for length in (5, len(data) // 2, len(data) - 1):
      path = tmp_path / f"cut{suffix}"
      path.write_bytes(data[:length])
      with pytest.raises(ValueError, match=rf"cut{suffix} is not an intact {suffix} file"):
        read_state_dict(path)


def test_objects_in_npz_are_refused(tmp_path: pathlib.Path) -> None:
  np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
  with pytest.raises(ValueError, match=r"a\.npz is not an intact \.npz file \(Object arrays"):
    read_state_dict(tmp_path / "a.npz")


def test_files_that_are_not_there(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match=r"b\.pth: no such file"):
    read_state_dict(tmp_path / "b.pth")
  with pytest.raises(FileNotFoundError, match="a folder"):
    read_state_dict(tmp_path)
  (tmp_path / "empty.pth").touch()
  with pytest.raises(ValueError, match=r"empty\.pth is empty"):
    read_state_dict(tmp_path / "empty.pth")


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_a_file_that_cannot_be_written_leaves_nothing(
  tmp_path: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  """And what a user calls as such files were called while they were written is nobody else's."""
  (tmp_path / f"{name}.part").write_text("mine")

  def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match=rf"No space left.*{name}'"):
    write_state_dict(tmp_path / name, {"a": np.zeros(1)})
  monkeypatch.undo()
  assert [path.name for path in tmp_path.iterdir()] == [f"{name}.part"]
  write_state_dict(tmp_path / name, {"a": np.zeros(1)})
  assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.part"]
  assert (tmp_path / f"{name}.part").read_text() == "mine"


def test_nothing_is_overwritten(tmp_path: pathlib.Path) -> None:
  for name in ("a.npz", "a.safetensors"):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="exists; name another file"):
      write_state_dict(tmp_path / name, {"a": np.zeros(1)})
    assert (tmp_path / name).read_text() == "mine"
