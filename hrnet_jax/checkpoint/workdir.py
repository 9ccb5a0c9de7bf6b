"""The folder of a run: its config, what it ran on, and the refusal to mix two runs."""

from collections.abc import Iterator, Mapping
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
from typing import Any

import jax

from hrnet_jax.checkpoint.legacy import ABSENT, upgrade
from hrnet_jax.errors import UserError
from hrnet_jax.files import write_whole
from hrnet_jax.ops.cpu import onednn

_PACKAGES = (
  "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets", "numpy",
  "opencv-python-headless", "pillow",
)  # fmt: skip

# Keys that may change from one start to the next: where and how fast a run computes, and what it
# says. Its numbers stay the same, but for rounding.
_FREE = (
  "mesh", "data.data_dir", "data.workers", "data.threads", "model.scan_layers", "model.remat",
  "train.watchdog", "train.log_every", "checkpoint", "eval", "data.eval_split", "transform.eval",
)  # fmt: skip


def open_workdir(
  workdir: str | os.PathLike, config: Mapping[str, Any], dataset: Mapping[str, Any]
) -> pathlib.Path:
  """Makes the folder of a run, or opens the one there is.

  Writes `config.json` and `manifest.json` (versions, devices, data) at every start.

  Args:
    workdir: may exist.
    config: of the run, plain data.
    dataset: facts about the data, with its `fingerprint`.

  Returns:
    The absolute path.

  Raises:
    ValueError: the folder holds checkpoints of a run with another config or other data.
  """
  path = pathlib.Path(workdir).expanduser().absolute()
  path.mkdir(parents=True, exist_ok=True)
  config, dataset = _plain(config), _plain(dataset)
  stored = path / "config.json"
  # Before the first checkpoint there is nothing to mix, and a wrong value may be put right.
  if stored.exists() and any(x.name.isdigit() for x in path.glob("checkpoints/*")):
    _check_same(path, json.loads(stored.read_text()), config)
    before = json.loads((path / "manifest.json").read_text())["dataset"]["fingerprint"]
    if before != dataset["fingerprint"]:
      raise UserError(
        f"{path} was trained on {dataset['name']} with fingerprint {before[:12]}, but the "
        f"prepared data now has {dataset['fingerprint'][:12]}; restore that data or choose "
        "another --workdir"
      )
  if jax.process_index() == 0:
    # The manifest first: whoever finds a config may rely on the manifest.
    for file, content in ((path / "manifest.json", manifest(config, dataset)), (stored, config)):
      write_whole(file, json.dumps(content, indent=2) + "\n")
  return path


def manifest(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
  """Everything needed to say what a run was: versions, devices, seed, data."""
  devices = jax.devices()
  return {
    "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "command": sys.argv,
    "seed": config["seed"],
    "dataset": dataset,
    "config": config,
    "python": platform.python_version(),
    "platform": platform.platform(),
    "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    "devices": {
      "count": len(devices),
      "kind": devices[0].device_kind,
      "platform": devices[0].platform,
      "processes": jax.process_count(),
    },
    "cpu_convolutions": onednn.description(),
  }


def _check_same(path: pathlib.Path, stored: dict[str, Any], config: dict[str, Any]) -> None:
  before, now = ({**ABSENT, **dict(_flatten(x))} for x in (upgrade(stored), config))
  absent = "(absent)"
  lines = [
    f"  config.{key}: {before.get(key, absent)!r} there, {now.get(key, absent)!r} now"
    for key in sorted(before.keys() | now.keys())
    if before.get(key, absent) != now.get(key, absent) and not _is_free(key)
  ]
  if lines:
    raise UserError(
      f"{path} belongs to a run with another config:\n" + "\n".join(lines) + "\n"
      "go on with the same config, or choose another --workdir"
    )


def _is_free(key: str) -> bool:
  return any(key == free or key.startswith(f"{free}.") for free in _FREE)


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  if isinstance(tree, dict) and tree:
    for key, value in tree.items():
      yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
  else:
    yield prefix, tree


def _plain(tree: Any) -> Any:
  """As JSON would give it back: tuples become lists."""
  return json.loads(json.dumps(tree))
