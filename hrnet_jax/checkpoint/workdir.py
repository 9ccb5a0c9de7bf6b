"""The folder of a run: its config, what it ran on, and the refusal to mix two runs."""

from collections.abc import Mapping, Sequence
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
from typing import Any

import jax

from hrnet_jax.checkpoint import changes
from hrnet_jax.data.text import read_json
from hrnet_jax.distributed import collectives
from hrnet_jax.errors import UserError
from hrnet_jax.files import write_whole
from hrnet_jax.ops.cpu import onednn

_PACKAGES = (
  "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets", "numpy",
  "opencv-python-headless", "pillow",
)  # fmt: skip
_CONFIG, _MANIFEST = "config.json", "manifest.json"


def open_workdir(
  workdir: str | os.PathLike,
  config: Mapping[str, Any],
  dataset: Mapping[str, Any],
  *,
  allow_changes: Sequence[str] = (),
  length_matters: bool = True,
) -> pathlib.Path:
  """Makes the folder of a run, or opens the one there is.

  Writes `config.json` and `manifest.json` (versions, devices, data) at every start. The manifest
  keeps what changed in the config from one start to the next, and the config before.

  Args:
    workdir: may exist.
    config: of the run, plain data.
    dataset: facts about the data, with its `fingerprint`.
    allow_changes: keys of the config that may have another value than before; see `changes`.
    length_matters: whether the learning rate at a step depends on the number of all steps.

  Returns:
    The absolute path.

  Raises:
    ValueError: the folder holds checkpoints of a run with another config or other data; in all
      processes if in one.
  """
  path = pathlib.Path(workdir).expanduser().absolute()
  changes.check_keys(allow_changes)
  path.mkdir(parents=True, exist_ok=True)
  config, dataset = _plain(config), _plain(dataset)
  history, refusal = [], None
  try:
    history = _history(path, config, dataset, allow_changes, length_matters)
  except UserError as error:
    refusal = error
  # All have read before one writes, so that all compare with the same.
  collectives.barrier("workdir")
  if not collectives.all_processes(refusal is None):
    raise refusal or UserError(f"{path}: another process refuses to go on, and says why")
  if jax.process_index() == 0:
    facts = manifest(config, dataset) | ({"changes": history} if history else {})
    # The manifest first: whoever finds a config may rely on the manifest.
    for name, content in ((_MANIFEST, facts), (_CONFIG, config)):
      write_whole(path / name, json.dumps(content, indent=2) + "\n")
  return path


def manifest(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
  """Everything needed to say what a run was: versions, devices, seed, data."""
  devices = jax.devices()
  return {
    "started": _now(),
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


def _history(
  path: pathlib.Path,
  config: dict[str, Any],
  dataset: dict[str, Any],
  allow_changes: Sequence[str],
  length_matters: bool,
) -> list[dict[str, Any]]:
  """Changes of the run's config, start by start, once it is clear that it may.

  Raises:
    ValueError: see `open_workdir`.
  """
  steps = [int(x.name) for x in path.glob("checkpoints/*") if x.name.isdigit()]
  # Before the first checkpoint there is nothing to mix, and a wrong value may be put right.
  if not steps or not (path / _CONFIG).exists():
    return []
  stored, facts = _read(path / _CONFIG), _read(path / _MANIFEST)
  found = changes.find(stored, config, length_matters=length_matters)
  changes.check(str(path), found, allow_changes)
  trained_on = facts.get("dataset")
  before = trained_on.get("fingerprint") if isinstance(trained_on, dict) else None
  if not isinstance(before, str):
    raise UserError(
      f"{path / _MANIFEST} does not say what data the run was trained on; restore the file, or "
      "choose another --workdir"
    )
  if before != dataset["fingerprint"]:
    raise UserError(
      f"{path} was trained on {dataset['name']} with fingerprint {before[:12]}, but the "
      f"prepared data now has {dataset['fingerprint'][:12]}; restore that data or choose "
      "another --workdir"
    )
  history = facts.get("changes") or []
  if not found:
    return history
  values = {x.key: {"old": x.old, "new": x.new} for x in found}
  return [*history, {"step": max(steps), "at": _now(), "values": values, "config": stored}]


def _read(path: pathlib.Path) -> dict[str, Any]:
  """A file of JSON that an earlier start wrote.

  Raises:
    UserError: it is not one.
  """
  try:
    content = read_json(path)
  except UserError as error:
    raise UserError(f"{error}; restore it, or choose another --workdir") from None
  if not isinstance(content, dict):
    raise UserError(
      f"{path} is damaged: it holds no object; restore it, or choose another --workdir"
    )
  return content


def _now() -> str:
  return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _plain(tree: Any) -> Any:
  """As JSON would give it back: tuples become lists."""
  return json.loads(json.dumps(tree))
