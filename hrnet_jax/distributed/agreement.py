"""All processes of a job compute the same, or none does: facts of each -> the first difference.

Processes that differ in a learning rate, a data set or a version would train on without a word, to
weights that nobody asked for.
"""

from collections.abc import Iterable, Mapping
import functools
import hashlib
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import sys
from typing import Any
import zlib

import jax
import numpy as np

import hrnet_jax
from hrnet_jax.config import flatten
from hrnet_jax.distributed import board, sharding
from hrnet_jax.ops.cpu import onednn

# Where and how fast a host reads its part of the data, which is the same part in any case; and when
# it complains of itself.
OWN_KEYS = frozenset({"data.data_dir", "data.workers", "data.threads", "train.watchdog"})
# On which numbers depend.
PACKAGES = (
  "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets", "numpy",
  "opencv-python-headless", "pillow",
)  # fmt: skip
_SETTINGS = (
  "jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl",
  "jax_threefry_partitionable", "jax_numpy_dtype_promotion", "jax_disable_most_optimizations",
)  # fmt: skip
# Flags of XLA by which a host may differ: where it writes what, and simulated devices.
_OWN_FLAGS = ("--xla_dump", "--xla_force_host_platform_device_count")
_PATIENCE = 3600.0  # seconds; a host may have to prepare its copy of the data first
_NAMED = 4  # processes that a message names
_LONGEST_VALUE = 200  # characters of one that a message shows
_ABSENT = "nothing"
_rounds = itertools.count()


def facts(config: Any, dataset: Any) -> dict[str, Any]:
  """Everything that has to be the same before the first step; plain values by name.

  Args:
    config: of the run.
    dataset: opened; a `Dataset`.
  """
  data = {**dataset.facts(), "parts": [dataset.statistics, dataset.subsets, dataset.unions]}
  if content := getattr(dataset, "content", None):
    data["content"] = content
  flags = os.environ.get("XLA_FLAGS", "").split()
  device = jax.local_devices()[0]
  return {
    **{key: x for key, x in flatten(config.to_dict()) if not _own(key)},
    **{f"data set's {key}": _short(x) for key, x in data.items()},
    "version of Python": platform.python_version(),
    **{f"version of {name}": _version(name) for name in (*PACKAGES, "ml-collections")},
    "version of hrnet-jax": hrnet_jax.__version__,
    "code of hrnet_jax": source_digest(),
    **{f"code of {name}": _file_digest(name) for name in config.get("plugins", ())},
    **{name: str(getattr(jax.config, name, None)) for name in _SETTINGS},
    "XLA_FLAGS": " ".join(sorted(x for x in flags if not x.startswith(_OWN_FLAGS))),
    "devices": f"{device.platform} ({device.device_kind})",
    "convolutions on a CPU": onednn.description(),
  }


def digests(state: Any) -> dict[str, str]:
  """Checksums of the arrays that every device holds whole, by name; one copy of each is read."""
  return {
    f"state{jax.tree_util.keystr(path)}": f"{zlib.crc32(_bytes(x)):08x}"
    for path, x in jax.tree_util.tree_leaves_with_path(state)
  }


def check(mine: Mapping[str, Any], advice: str) -> None:
  """Compares facts with those of process 0, in all processes at once.

  Args:
    mine: of this process; JSON.
    advice: what to do about a difference.

  Raises:
    KnownToAll: in all processes, with the same text: the first difference of each of those that
      differ.
  """
  if not board.available():
    return
  key, me = f"agreement/{next(_rounds)}", jax.process_index()
  if me == 0:
    board.post(f"{key}/facts", json.dumps(mine))
  first = json.loads(board.read(f"{key}/facts", _PATIENCE))
  found = difference(first, json.loads(json.dumps(mine, default=str)))
  board.post(f"{key}/process/{me}", json.dumps(found))
  if me == 0:
    others = range(1, jax.process_count())
    all_found = {i: json.loads(board.read(f"{key}/process/{i}", _PATIENCE)) for i in others}
    board.post(f"{key}/verdict", verdict(all_found))
  if text := board.read(f"{key}/verdict", _PATIENCE):
    raise board.KnownToAll(f"the processes of this job differ: {text}; {advice}")


def tell_all(text: str) -> str:
  """Gives all processes the text of process 0; their own does not count."""
  if not board.available():
    return text
  key = f"agreement/{next(_rounds)}"
  if jax.process_index() == 0:
    board.post(key, text)
  return board.read(key, _PATIENCE)


def difference(first: Mapping[str, Any], mine: Mapping[str, Any]) -> tuple[str, str, str, int]:
  """The first fact that differs: its name, the two values, and how many there are; or four blanks.

  Args:
    first: facts of process 0.
    mine: facts of another process.
  """
  names = [*first, *(x for x in mine if x not in first)]
  found = [x for x in names if first.get(x, _ABSENT) != mine.get(x, _ABSENT)]
  if not found:
    return "", "", "", 0
  return (
    found[0],
    *(_shown(x.get(found[0], _ABSENT)) for x in (first, mine)),
    len(found),
  )


def verdict(found: Mapping[int, Iterable[Any]]) -> str:
  """Tells people what differs; empty if nothing does.

  Args:
    found: `difference` of each process but 0.
  """
  lines = [
    f"process {i} has {name} {own}, process 0 has {zero}"
    + (f" (and {count - 1} more)" if count > 1 else "")
    for i, (name, zero, own, count) in found.items()
    if name
  ]
  more = [f"{len(lines) - _NAMED} more processes differ"] if len(lines) > _NAMED else []
  return "; ".join(lines[:_NAMED] + more)


@functools.cache
def source_digest() -> str:
  """Digest of the package's own code."""
  folder = pathlib.Path(hrnet_jax.__file__).parent
  digest = hashlib.sha256()
  for path in sorted(folder.rglob("*.py")):
    content = path.read_bytes()
    digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
  return digest.hexdigest()[:16]


def _file_digest(module: str) -> str:
  path = getattr(sys.modules.get(module), "__file__", None)
  return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16] if path else _ABSENT


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return _ABSENT


def _own(key: str) -> bool:
  return any(key == x or key.startswith(f"{x}.") for x in OWN_KEYS)


def _short(value: Any) -> Any:
  """Values that a person can compare as they are; digests of long ones."""
  text = json.dumps(value, sort_keys=True, default=str)
  return value if len(text) <= _LONGEST_VALUE else hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
  text = str(value) if isinstance(value, str) else json.dumps(value)
  return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _bytes(x: Any) -> memoryview:
  array = np.ascontiguousarray(jax.device_get(sharding.local_copy(x)))
  return memoryview(array.reshape(-1).view(np.uint8))
