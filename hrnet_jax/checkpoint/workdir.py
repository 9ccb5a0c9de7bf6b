"""The folder of a run: its config, what it ran on, and the refusal to mix two runs."""

from collections.abc import Mapping, Sequence
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
from typing import Any

import jax

from hrnet_jax import files
from hrnet_jax.checkpoint import changes, handlers, legacy, listing, versions
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import FOLDER
from hrnet_jax.checkpoint.reading import Gone
from hrnet_jax.data.dataset import changed_fact
from hrnet_jax.data.text import read_json
from hrnet_jax.distributed import agreement, collectives
from hrnet_jax.errors import UserError
from hrnet_jax.ops.cpu import onednn
from hrnet_jax.run_log import log

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
  keeps what changed in the config from one start to the next, and the config before. Once there
  are checkpoints, the newest one whose facts are whole says what the run is; the two files are
  written again where they are lost, and may not contradict it.

  Args:
    workdir: may exist.
    config: of the run, plain data.
    dataset: facts about the data, with its `fingerprint`.
    allow_changes: keys of the config that may have another value than before; see `changes`.
    length_matters: whether the learning rate at a step depends on the number of all steps.

  Returns:
    The absolute path.

  Raises:
    ValueError: the folder holds checkpoints of a run with another config or other data, or of a
      later version, or its files contradict each other; in all processes if in one.
    OSError: they cannot be read now.
  """
  path = pathlib.Path(workdir).expanduser().absolute()
  changes.check_keys(allow_changes)
  path.mkdir(parents=True, exist_ok=True)
  config, dataset = _plain(config), _plain(dataset)
  history, notes, refusal = [], (), None
  try:
    history, notes = _history(path, config, dataset, allow_changes, length_matters)
  except (UserError, OSError) as error:
    refusal = error
  # All have read before one writes, so that all compare with the same.
  collectives.barrier("workdir")
  if not collectives.all_processes(refusal is None):
    raise refusal or UserError(f"{path}: another process refuses to go on, and says why")
  for note in notes:
    log.info(note)
  if jax.process_index() == 0:
    facts = manifest(config, dataset) | ({"changes": history} if history else {})
    # The manifest first: whoever finds a config may rely on the manifest.
    for name, content in ((_MANIFEST, facts), (_CONFIG, config)):
      files.write_whole(path / name, json.dumps(content, indent=2) + "\n")
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
    "packages": {name: importlib.metadata.version(name) for name in agreement.PACKAGES},
    "devices": {
      "count": len(devices),
      "kind": devices[0].device_kind,
      "platform": devices[0].platform,
      "processes": jax.process_count(),
    },
    "cpu_convolutions": onednn.description(),
  }


@dataclasses.dataclass(frozen=True)
class _Before:
  """A run as it was until now.

  Attributes:
    config: with which it goes on, if nothing was lost.
    fingerprint: of its data.
    changes: of its config, start by start.
    facts: of the checkpoint that these were compared with; None if none has them.
    notes: for people, of files that are written again.
  """

  config: dict[str, Any]
  fingerprint: str
  changes: list[dict[str, Any]]
  facts: Any
  notes: tuple[str, ...] = ()


def _history(
  path: pathlib.Path,
  config: dict[str, Any],
  dataset: dict[str, Any],
  allow_changes: Sequence[str],
  length_matters: bool,
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
  """Changes of the run's config, start by start, once it is clear that it may; and notes.

  Raises:
    ValueError: see `open_workdir`.
  """
  steps = listing.steps_in(path / FOLDER)
  # Before the first checkpoint there is nothing to mix, and a wrong value may be put right.
  if not steps or (before := _before(path, steps)) is None:
    return [], ()
  found = changes.find(before.config, config, length_matters=length_matters)
  unknown = [x.key for x in found if x.new == changes.ABSENT_VALUE]
  if unknown and versions.is_newer(before.facts):
    raise UserError(versions.unknown(path, before.facts, unknown))
  changes.check(str(path), found, allow_changes)
  if before.fingerprint != dataset["fingerprint"]:
    raise UserError(
      f"{path} was trained on {dataset['name']} with fingerprint {before.fingerprint[:12]}, but "
      f"the prepared data now has {dataset['fingerprint'][:12]}; restore that data or choose "
      "another --workdir"
    )
  trained_on = (before.facts or {}).get("dataset")
  if isinstance(trained_on, dict) and (key := changed_fact(trained_on, dataset)):
    raise UserError(
      f"{path} was trained on {dataset['name']} with other {key} than the prepared data has now; "
      "restore that data or choose another --workdir"
    )
  if not found:
    return before.changes, before.notes
  values = {x.key: {"old": x.old, "new": x.new} for x in found}
  change = {"step": max(steps), "at": _now(), "values": values, "config": before.config}
  return [*before.changes, change], before.notes


def _before(path: pathlib.Path, steps: Sequence[int]) -> _Before | None:
  """The run by its newest checkpoint with facts, and by what the files for people add to it.

  Raises:
    UserError: they contradict each other, or nothing says what is needed.
  """
  found = _newest_facts(path / FOLDER, steps)
  if found is None:
    return _before_by_files(path)
  folder, facts = found
  notes = []
  stored, manifest = (_copy(path / x, notes, folder) for x in (_CONFIG, _MANIFEST))
  history = _noted(manifest)
  in_files = stored or manifest.get("config")
  config = facts["config"]
  if isinstance(in_files, dict):
    _check_explained(path / (_CONFIG if stored else _MANIFEST), folder, config, in_files, history)
    config = in_files  # which may have changed since the checkpoint
  fingerprint = _fingerprint(facts)
  noted = _fingerprint(manifest)
  if fingerprint and noted and noted != fingerprint:
    raise UserError(
      f"dataset.fingerprint is {noted[:12]} in {path / _MANIFEST}, but {fingerprint[:12]} in "
      f"{folder / 'facts'}; remove the first to go on with the data of the checkpoint"
    )
  if not (fingerprint := fingerprint or noted):
    raise UserError(_says_no_data(path))
  return _Before(config, fingerprint, history, facts, tuple(notes))


def _before_by_files(path: pathlib.Path) -> _Before | None:
  """The run by its files, where no facts are whole; whether a checkpoint is, comes later."""
  if not (path / _CONFIG).exists():
    return None
  try:
    stored, manifest = _read(path / _CONFIG), _read(path / _MANIFEST)
  except UserError as error:
    raise UserError(f"{error}; restore it, or choose another --workdir") from None
  if not (fingerprint := _fingerprint(manifest)):
    raise UserError(_says_no_data(path))
  return _Before(stored, fingerprint, _noted(manifest), None)


def _newest_facts(root: pathlib.Path, steps: Sequence[int]) -> tuple[pathlib.Path, Any] | None:
  """The newest checkpoint of a run whose facts are whole.

  Raises:
    UserError: it is of a later version. OSError: it cannot be read now.
  """
  for step in sorted(steps, reverse=True):
    folder = root / str(step)
    try:
      facts = handlers.read(folder, {}, ("facts",))["facts"]
    except (Damaged, Gone):
      continue
    except versions.Unfit as error:
      raise UserError(f"{folder}: {error}") from None
    of_run = (folder / "training").is_dir()  # not a converted network
    if of_run and isinstance(facts, dict) and isinstance(facts.get("config"), dict):
      return folder, facts
  return None


def _check_explained(
  file: pathlib.Path,
  folder: pathlib.Path,
  config: Mapping[str, Any],
  in_file: Mapping[str, Any],
  history: Sequence[Mapping[str, Any]],
) -> None:
  """Compares the config in a file with that of the newest checkpoint.

  Raises:
    UserError: values differ that may not change freely, and no change that was noted explains it.
  """
  noted = {key: x["new"] for change in history for key, x in change.get("values", {}).items()}
  differ = [
    x
    for x in changes.find(config, legacy.upgrade(in_file), length_matters=True)
    if not x.free and noted.get(x.key) != x.new
  ]
  if differ:
    lines = "\n".join(
      f"  config.{x.key}: {x.old!r} in the checkpoint, {x.new!r} in the file" for x in differ
    )
    raise UserError(
      f"{file} contradicts {folder / 'facts'}:\n{lines}\n"
      "remove the file to go on with the values of the checkpoint, or restore the right one"
    )


def _copy(path: pathlib.Path, notes: list[str], folder: pathlib.Path) -> dict[str, Any]:
  """A file for people, empty where it is lost or damaged; notes that it is written again."""
  try:
    return _read(path)
  except FileNotFoundError:
    reason = f"{path} was lost"
  except UserError as error:
    reason = str(error)
  notes.append(f"{reason}; it is written again, by what {folder} says")
  return {}


def _read(path: pathlib.Path) -> dict[str, Any]:
  """A file of JSON that an earlier start wrote.

  Raises:
    UserError: it is not one. FileNotFoundError: it is not there. OSError: it cannot be read now.
  """

  def read() -> Any:
    try:
      return read_json(path)
    except FileNotFoundError as error:
      if isinstance(error.__cause__, OSError):  # what the system said
        raise error.__cause__ from None
      raise

  content = files.patiently(read)
  if not isinstance(content, dict) or not content:
    raise UserError(f"{path} is damaged: it holds no object")
  return content


def _noted(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Changes that earlier starts have noted."""
  found = manifest.get("changes")
  return [x for x in found if isinstance(x, dict)] if isinstance(found, list) else []


def _fingerprint(tree: Mapping[str, Any]) -> str:
  dataset = tree.get("dataset")
  value = dataset.get("fingerprint") if isinstance(dataset, dict) else None
  return value if isinstance(value, str) else ""


def _says_no_data(path: pathlib.Path) -> str:
  return (
    f"{path / _MANIFEST} does not say what data the run was trained on; restore the file, or "
    "choose another --workdir"
  )


def _now() -> str:
  return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _plain(tree: Any) -> Any:
  """As JSON would give it back: tuples become lists."""
  return json.loads(json.dumps(tree))
