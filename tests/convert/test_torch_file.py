"""PyTorch's files are read in all their forms, as data, and written so that PyTorch takes them."""

import argparse
import collections
import os
import pathlib
import sys
from typing import Any

import numpy as np
import pytest

from hrnet_jax.convert import read_state_dict, write_state_dict

WEIGHT = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)
zip_and_old = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])


class Hostile:
  """Would make a file when restored."""

  def __init__(self, marker: pathlib.Path):
    self.marker = marker

  def __reduce__(self) -> tuple:
    return open, (str(self.marker), "w")


class HostileSystem(Hostile):
  """Would run a command."""

  def __reduce__(self) -> tuple:
    return os.system, (f"touch {self.marker}",)


class HostileNumpy(Hostile):
  """Would have numpy open a file, through a module of which other names are harmless."""

  def __reduce__(self) -> tuple:
    return np.memmap, (str(self.marker), "u1", "w+", 0, (4,))


@pytest.fixture
def torch() -> Any:
  return pytest.importorskip("torch")


def save(torch: Any, content: Any, path: pathlib.Path, zipped: bool) -> pathlib.Path:
  torch.save(content, path, _use_new_zipfile_serialization=zipped)
  return path


@pytest.mark.torch
@zip_and_old
def test_containers_of_the_reference(torch: Any, tmp_path: pathlib.Path, zipped: bool) -> None:
  tensors = collections.OrderedDict({"conv1.weight": torch.from_numpy(WEIGHT)})
  wrapped = collections.OrderedDict({f"module.model.{k}": v for k, v in tensors.items()})
  wrapped["module.loss.criterion.weight"] = torch.ones(19)
  contents = {
    "final_state.pth": tensors,
    "best.pth": wrapped,
    "checkpoint.pth.tar": {
      "epoch": 3,
      "model": "cls_hrnet",
      "state_dict": wrapped,
      "best_mIoU": np.float64(0.8),
      "perf": torch.tensor(76.8),
      "per_class": np.arange(3.0),
      "args": argparse.Namespace(lr=0.1, names=["a"]),
      "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 1}]},
    },
  }
  for name, content in contents.items():
    state_dict = read_state_dict(save(torch, content, tmp_path / name, zipped))
    assert list(state_dict) == ["conv1.weight"], name
    assert state_dict["conv1.weight"].dtype == np.float32
    np.testing.assert_array_equal(state_dict["conv1.weight"], WEIGHT)


@pytest.mark.torch
def test_dtypes(torch: Any, tmp_path: pathlib.Path) -> None:
  content = {
    "a": torch.tensor([1.5, -2], dtype=torch.bfloat16),
    "b": torch.tensor([0.25], dtype=torch.float16),
    "c": torch.tensor([0.1], dtype=torch.float64),
    "d": torch.tensor(7),
    "e": torch.arange(6.0).reshape(2, 3).T,
  }
  back = read_state_dict(save(torch, content, tmp_path / "a.pth", True))
  assert {k: str(v.dtype) for k, v in back.items()} == {
    "a": "float32", "b": "float32", "c": "float64", "d": "int64", "e": "float32"
  }  # fmt: skip
  np.testing.assert_array_equal(back["a"], [1.5, -2])
  np.testing.assert_array_equal(back["e"], [[0, 3], [1, 4], [2, 5]])
  assert back["c"] == [0.1]


@pytest.mark.torch
@zip_and_old
@pytest.mark.parametrize("kind", [Hostile, HostileSystem, HostileNumpy])
def test_hostile_files_run_nothing(
  torch: Any, tmp_path: pathlib.Path, zipped: bool, kind: type[Hostile]
) -> None:
  marker = tmp_path / "marker"
  content = {"state_dict": {"conv1.weight": torch.from_numpy(WEIGHT)}, "extra": kind(marker)}
  path = save(torch, content, tmp_path / "hostile.pth", zipped)
  with pytest.raises(ValueError, match=r"hostile\.pth holds more than tensors: .* refused"):
    read_state_dict(path)
  assert not marker.exists()


@pytest.mark.torch
def test_pickled_modules_are_refused(torch: Any, tmp_path: pathlib.Path) -> None:
  """The reference's landmark code saves the module itself."""
  path = save(torch, {"state_dict": torch.nn.Linear(2, 2)}, tmp_path / "a.pth", True)
  with pytest.raises(ValueError, match=r"torch\.nn\.modules\.linear\.Linear .*state_dict\(\)"):
    read_state_dict(path)


@pytest.mark.torch
@zip_and_old
def test_incomplete_files_are_refused(torch: Any, tmp_path: pathlib.Path, zipped: bool) -> None:
  content = {"conv1.weight": torch.ones(50), "bn1.weight": torch.ones(50)}
  data = save(torch, content, tmp_path / "a.pth", zipped).read_bytes()
  for length in (10, len(data) // 4, len(data) // 2, len(data) - 3):
    (tmp_path / "cut.pth").write_bytes(data[:length])
    with pytest.raises(ValueError, match=r"cut\.pth is damaged or "):
      read_state_dict(tmp_path / "cut.pth")


@pytest.mark.torch
@pytest.mark.parametrize(
  ("start", "message"),
  [
    (b"<!DOCTYPE html>", "it is a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
    (b"\x89PNG\r\n", r"is not a file of torch\.save: it begins with"),
  ],
)
def test_other_files_are_refused(
  torch: Any, tmp_path: pathlib.Path, start: bytes, message: str
) -> None:
  (tmp_path / "a.pth").write_bytes(start * 3)
  with pytest.raises(ValueError, match=message):
    read_state_dict(tmp_path / "a.pth")


@pytest.mark.torch
def test_what_is_written_loads_strictly(torch: Any, tmp_path: pathlib.Path) -> None:
  net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
  state_dict = {k: v.detach().numpy().copy() + 1 for k, v in net.state_dict().items()}
  path = tmp_path / "new" / "a.pth"
  write_state_dict(path, state_dict)
  assert os.listdir(path.parent) == ["a.pth"]
  net.load_state_dict(torch.load(path, weights_only=True), strict=True)
  for name, tensor in net.state_dict().items():
    np.testing.assert_array_equal(tensor.numpy(), state_dict[name])


def test_without_torch_the_message_says_what_to_install(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setitem(sys.modules, "torch", None)
  with pytest.raises(ValueError, match=r"b\.pth is a file for PyTorch, .* pip install"):
    write_state_dict(tmp_path / "b.pth", {"a": np.zeros(1)})
  assert not os.listdir(tmp_path)


@pytest.mark.torch
@zip_and_old
def test_files_are_read_as_torch_reads_them(
  torch: Any, tmp_path: pathlib.Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Without its help: views of all kinds, parameters, subclasses, and what stands beside them."""
  base = torch.arange(60.0)
  tensors = {
    "turned": base.reshape(3, 4, 5).permute(2, 0, 1),
    "part": base[7:47:4].reshape(2, 5),
    "expanded": base[:5].expand(4, 5),
    "last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter(base[3:6]),
    "buffer": torch.nn.Buffer(torch.ones(2)),
    "number": torch.tensor(4),
    "flags": torch.tensor([True, False]),
    "none": torch.zeros(0, 3),
    "small": torch.arange(5, dtype=torch.int8),
  }
  if zipped:  # PyTorch cannot read it in its older format
    tensors["unsigned"] = torch.tensor([1, 60000], dtype=torch.uint16)
  model = torch.nn.Linear(2, 2)
  optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
  model(torch.ones(1, 2)).sum().backward()
  optimizer.step()
  content = {
    "state_dict": collections.OrderedDict(tensors),
    "optimizer": optimizer.state_dict(),
    "sparse": torch.eye(2).to_sparse(),
    "others": [{1, 2}, b"bytes", bytearray(b"x"), 1j, 0.5, None, torch.Size([2]), torch.float16],
    "counts": collections.Counter("aab"),
    ("a", "key"): 10**40,
  }
  path = save(torch, content, tmp_path / "a.pth", zipped)
  expected = torch.load(path, weights_only=True)["state_dict"]
  monkeypatch.setitem(sys.modules, "torch", None)
  found = read_state_dict(path)
  assert list(found) == list(expected)
  for name, x in found.items():
    assert x.dtype == expected[name].detach().numpy().dtype, name
    np.testing.assert_array_equal(x, expected[name].detach().numpy())
