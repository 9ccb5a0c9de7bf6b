"""Files of PyTorch are read without PyTorch: as what they hold, or refused for what is wrong."""

from collections.abc import Callable
import pathlib
import re
import sys
from typing import Any

import numpy as np
import pytest

from hrnet_jax.convert import containers, read_state_dict
from tests.helpers import hostile
from tests.helpers.hostile import refusal
from tests.helpers.torch_files import (
  Code,
  call,
  encode,
  name,
  pickled,
  storage,
  tensor,
  write_archive,
  write_old,
)

NUMBERS = np.arange(12, dtype="<f4")
TWELVE = storage("0", 12)


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
  """Importing it fails."""
  monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture(params=["archive", "old"])
def write(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
  """`write(content, {key: numbers})` -> a file, in both formats."""

  def write(content: Any, numbers: dict[str, np.ndarray] | None = None) -> pathlib.Path:
    numbers = {"0": NUMBERS} if numbers is None else numbers
    if request.param == "old":
      return write_old(tmp_path / "a.pth", content, numbers)
    return write_archive(
      tmp_path / "a.pth", content, {key: x.tobytes() for key, x in numbers.items()}
    )

  return write


def test_views_of_one_storage(write: Callable) -> None:
  """They can overlap, be turned, repeat numbers, be empty, and have wrappers around them."""
  parameter = call(
    name("torch._utils", "_rebuild_parameter"), tensor(TWELVE, (2,), (1,), 10), True, None
  )
  path = write(
    {
      "epoch": 3,
      "optimizer": {"state": {0: {"step": Code(b"G" + b"\0" * 8)}}, "groups": [{"lr": None}]},
      "state_dict": {
        "whole": tensor(TWELVE, (3, 4)),
        "turned": tensor(TWELVE, (4, 3), (1, 4)),
        "part": tensor(TWELVE, (2, 2), (4, 1), 5),
        "repeated": tensor(TWELVE, (2, 3), (0, 1), 9),
        "number": tensor(TWELVE, (), (), 7),
        "nothing": tensor(TWELVE, (0, 3)),
        "parameter": parameter,
      },
    }
  )
  found = read_state_dict(path)
  assert {key: x.dtype for key, x in found.items()} == dict.fromkeys(found, np.dtype(np.float32))
  expected = {
    "whole": [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]],
    "turned": [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]],
    "part": [[5, 6], [9, 10]],
    "repeated": [[9, 10, 11], [9, 10, 11]],
    "number": 7,
    "nothing": np.zeros((0, 3)),
    "parameter": [10, 11],
  }
  assert list(found) == list(expected)
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value)
    assert found[key].shape == np.shape(value)


def test_dtypes(write: Callable) -> None:
  stored = {
    "Double": np.array([0.1], "<f8"),
    "Half": np.array([0.25], "<f2"),
    "BFloat16": np.array([0xC020], "<u2"),
    "Long": np.array([-(2**40)], "<i8"),
    "Int": np.array([-5], "<i4"),
    "Byte": np.array([200], "u1"),
    "Bool": np.array([1], "u1"),
  }
  path = write({kind: tensor(storage(kind, 1, kind), (1,)) for kind in stored}, stored)
  found = read_state_dict(path)
  assert {kind: (str(x.dtype), x.item()) for kind, x in found.items()} == {
    "Double": ("float64", 0.1),
    "Half": ("float32", 0.25),
    "BFloat16": ("float32", -2.5),
    "Long": ("int64", -(2**40)),
    "Int": ("int32", -5),
    "Byte": ("uint8", 200),
    "Bool": ("bool", True),
  }


def test_forms_of_other_versions(write: Callable) -> None:
  """An ordered dict of Python 2, a storage without a dtype, and an entry by its name."""
  pairs = [["a.bias", tensor(TWELVE, (1,), (1,), 3)]]
  untyped = Code(encode(("storage", name("torch.storage", "UntypedStorage"), "1", "cpu", 8)) + b"Q")
  hooks, half = call(name("collections", "OrderedDict")), name("torch", "float16")
  third = call(
    name("torch._utils", "_rebuild_tensor_v3"), untyped, 1, (2,), (2,), False, hooks, half
  )
  content = {"model": {"b.weight": third}, "ema": call(name("collections", "OrderedDict"), pairs)}
  numbers = {"0": NUMBERS, "1": np.array([1, 2, 3, 4], "<f2").view("u1")}
  path = write(content, numbers)
  np.testing.assert_array_equal(read_state_dict(path)["b.weight"], [2, 4])
  found = read_state_dict(path, containers.Choice("ema"))
  assert found["a.bias"].tolist() == [3]


def test_numbers_of_other_machines(tmp_path: pathlib.Path) -> None:
  content = {"a": tensor(TWELVE, (12,))}
  path = write_archive(
    tmp_path / "a.pth", content, {"0": NUMBERS.astype(">f4").tobytes()}, byteorder=b"big"
  )
  np.testing.assert_array_equal(read_state_dict(path)["a"], NUMBERS)


def test_views_of_storages_in_the_older_format(tmp_path: pathlib.Path) -> None:
  view = storage("0", 12, view=(("9", 4, 6),))
  content = {"a": tensor(storage("0", 12, view=(None,)), (2,)), "b": tensor(view, (3,), (2,), 1)}
  found = read_state_dict(write_old(tmp_path / "a.pth", content, {"0": NUMBERS}))
  assert {key: x.tolist() for key, x in found.items()} == {"a": [0, 1], "b": [5, 7, 9]}
  outside = storage("0", 12, view=(("9", 4, 9),))
  assert "9 numbers from 4 of the storage 0, which has 12" in refusal(
    write_old(tmp_path / "b.pth", {"a": tensor(outside, (1,))}, {"0": NUMBERS})
  )


def nested(instruction: bytes, end: bytes = b"") -> Code:
  return Code(instruction * 1_000_000 + end)


SIZES = {
  "one number for all": (tensor(TWELVE, (30_000, 30_000), (0, 0)), "its tensors would take"),
  "one number for more": (tensor(TWELVE, (10**9, 10**9), (0, 0)), "its tensors would take"),
  "a claim of gigabytes": (
    tensor(storage("0", 2**32), (2**32,)),
    "would take|12 numbers, expected",
  ),
  "a longer view": (tensor(TWELVE, (13,)), "reaches to number 12 of 12"),
  "an offset behind": (tensor(TWELVE, (1,), (1,), 12), "reaches to number 12 of 12"),
  "wide strides": (tensor(TWELVE, (3, 4), (5, 1)), "reaches to number 13 of 12"),
  "a huge stride": (tensor(TWELVE, (2,), (2**62,)), f"reaches to number {2**62} of 12"),
  "a shape that wraps": (tensor(TWELVE, (2**32, 2**32)), "reaches to number"),
  "a negative shape": (tensor(TWELVE, (-1, 4), (4, 1)), r"a tensor of shape \(-1, 4\)"),
  "two negative sizes": (tensor(TWELVE, (-3, -4), (4, 1)), r"a tensor of shape \(-3, -4\)"),
  "a negative stride": (tensor(TWELVE, (3,), (-1,), 2), r"strides \(-1,\)"),
  "a negative offset": (tensor(TWELVE, (3,), (1,), -1), "at -1"),
  "too few strides": (tensor(TWELVE, (3, 4), (4,)), "of 2 axes with 1 strides"),
  "more numbers than stored": (
    tensor(storage("0", 13), (1,)),
    "storage 0 has (48 bytes|12 numbers), expected (52|13)",
  ),
  "fewer numbers than stored": (
    tensor(storage("0", 11), (1,)),
    "storage 0 has (48 bytes|12 numbers), expected (44|11)",
  ),
  "a million axes": (tensor(TWELVE, (2**60,) * 100_000, (0,) * 100_000), "of 100000 axes"),
  "a negative storage": (tensor(storage("0", -1), (0,)), "a storage '0' of -1 numbers"),
  "no such storage": (
    tensor(storage("9", 12), (1,)),
    "no a/data/9|storage '0' is not that of a tensor",
  ),
}


@pytest.mark.parametrize("kind", SIZES)
def test_sizes_that_cannot_be(write: Callable, kind: str) -> None:
  content, message = SIZES[kind]
  assert re.search(message, refusal(write({"a.weight": content})))


COLLIDING = b"".join(encode((i << 61) - i) + b"N" for i in range(1, 200_000))
PICKLES = {
  "a name": (name("os", "system"), "restoring os.system would run code"),
  "a call": (call(name("os", "system"), "true"), "restoring os.system would run code"),
  "a name of Python 2": (name("__builtin__", "eval"), "restoring builtins.eval would run code"),
  "a function of torch": (name("torch", "load"), "restoring torch.load would run code"),
  "a call of no function": (call(encode({}), 3), "is damaged or incomplete"),
  "another instruction": (Code(b"(ios\nsystem\n"), "the instruction INST"),
  "lists without end": (nested(b"](") + nested(b"e"), ""),
  "a text of gigabytes": (Code(b"\x8d" + (2**62).to_bytes(8, "little")), "is damaged"),
  "nothing in memory": (Code(b"h\x05"), "is damaged"),
  "nothing on the stack": (Code(b"0"), "is damaged"),
  "no mark": (Code(b"t"), "is damaged"),
  "no end of it": (nested(b"}0" * 3), "is damaged"),
  "pairs again and again": (
    Code(
      encode([[str(i), None] for i in range(1000)])
      + b"\x85q\x01"
      + name("collections", "OrderedDict")
      + b"q\x02h\x01R"
      + b"h\x02h\x01R" * 100_000
    ),
    "more than 2000000 instructions",
  ),
  "dicts without end": (nested(b"N" * 3), "more than 2000000 instructions"),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_that_no_file_of_weights_has(write: Callable, kind: str) -> None:
  content, message = PICKLES[kind]
  path = write({"a.weight": tensor(TWELVE, (2,)), "other": Code(content)})
  assert message in refusal(path)


HARMLESS = {
  "a call that would fill the memory": call(name("builtins", "bytearray"), 10**11),
  "numbers that collide": Code(b"}(" + COLLIDING + b"u"),
  "a name that does nothing": name("argparse", "Namespace"),
  "a key that is nested": Code(b"}(" + b")" + b"\x85" * 500_000 + b"Nu"),
  "nested dicts": Code(b"}N" * 100_000 + b"N" + b"s" * 100_000),
  "a far place in memory": Code(b"Nr\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_beside_the_weights_does_no_harm(write: Callable, kind: str) -> None:
  content = {"state_dict": {"a.weight": tensor(TWELVE, (2,), (1,), 4)}, "other": HARMLESS[kind]}
  path = write(content)
  with hostile.bounded():
    assert read_state_dict(path)["a.weight"].tolist() == [4, 5]


@pytest.mark.parametrize(
  ("key", "message"),
  [("state_dict", "found"), ("other", "holds no weights: found ['other']")],
)
def test_a_dict_in_itself(write: Callable, key: str, message: str) -> None:
  itself = Code(b"}q\x07" + encode(key) + b"h\x07s")
  assert message in refusal(write(itself, {}))


def test_storages_that_contradict(write: Callable) -> None:
  content = {"a": tensor(TWELVE, (1,)), "b": tensor(storage("0", 12, "Int"), (1,))}
  assert "the storage 0 in two ways" in refusal(write(content))


@pytest.mark.parametrize("metadata", [{"neg": True}, {"conj": True}])
def test_numbers_that_stand_for_others(write: Callable, metadata: dict[str, bool]) -> None:
  """Such a tensor's storage holds the negative numbers, or the conjugate ones."""
  content = {"a": tensor(TWELVE, (2,), (1,), 0, metadata), "b": tensor(TWELVE, (2,))}
  assert "entries among its weights that are none: a" in refusal(write(content))


def test_an_archive_says_what_is_wrong_with_it(tmp_path: pathlib.Path) -> None:
  content, numbers = {"a.weight": tensor(TWELVE, (2,))}, {"0": NUMBERS.tobytes()}
  newer = write_archive(tmp_path / "newer.pth", content, numbers, version=b"11\n")
  assert refusal(newer) == (
    f"{newer} is in version 11 of PyTorch's format; this program reads it up to 10"
  )
  program = write_archive(tmp_path / "b.pth", content, numbers, **{"constants.pkl": pickled(())})
  assert "is a program of TorchScript" in refusal(program)
  with pytest.warns(UserWarning, match="Duplicate name"):
    twice = write_archive(tmp_path / "c.pth", content, numbers, **{"data/0": NUMBERS.tobytes()})
  assert "two parts of one name" in refusal(twice)
  assert "is damaged" in refusal(write_archive(tmp_path / "d.pth", content, numbers, version=b"x"))


def test_the_older_format_says_what_is_wrong_with_it(tmp_path: pathlib.Path) -> None:
  content = {"a.weight": tensor(TWELVE, (2,))}
  whole = write_old(tmp_path / "a.pth", content, {"0": NUMBERS}).read_bytes()
  assert read_state_dict(tmp_path / "a.pth")["a.weight"].tolist() == [0, 1]
  other = write_old(tmp_path / "b.pth", content, {"0": NUMBERS}, version=1002)
  assert "not one of torch.save: it begins with [119547037146038801333356, 1002]" in refusal(other)
  # Numbers that the file does not list would be whatever lies in memory.
  unlisted = write_old(tmp_path / "c.pth", content, {})
  assert "there are no numbers of storage 0" in refusal(unlisted)
  cut = tmp_path / "d.pth"
  cut.write_bytes(whole[:-1])
  assert f"storage 0 ends at byte {len(whole)} of {len(whole) - 1}" in refusal(cut)
  cut.write_bytes(whole.replace(encode(["0"]), encode(["0", "0"])) + b"\0" * 99)
  assert "storage '0' is not that of a tensor, or there twice" in refusal(cut)
