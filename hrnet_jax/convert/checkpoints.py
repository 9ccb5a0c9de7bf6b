"""Converts files of weights to checkpoints and back: what `hrnet convert` does."""

from collections import Counter
from collections.abc import Sequence
import hashlib
import json
import pathlib
from typing import Any

from flax import traverse_util
import jax
import numpy as np

import hrnet_jax
from hrnet_jax import registry
from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.convert import containers, origin
from hrnet_jax.convert.files import read_state_dict, write_state_dict
from hrnet_jax.convert.fitting import Fit, fit
from hrnet_jax.convert.reference import kind_of, reference_of
from hrnet_jax.convert.state_dict import to_torch
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.prepared import open_dataset
from hrnet_jax.files import write_whole
from hrnet_jax.models.network import build_model

REPORT = "conversion.json"


def from_file(
  config: Any,
  source: str | pathlib.Path,
  output: str | pathlib.Path,
  *,
  reinit: Sequence[str] = (),
  abn: bool = False,
  entry: str = "",
) -> pathlib.Path:
  """Converts a file of weights to a checkpoint, says what it did, and notes it beside the result.

  Args:
    config: see `configs/`.
    source: the file.
    output: new or empty folder.
    reinit: parts of the model to initialise.
    abn: whether the scales of norms are those of in-place ABN.
    entry: which weights of the file, where it holds several; see `containers.Choice`.

  Returns:
    The checkpoint.

  Raises:
    FileNotFoundError: no such file. UserError: it does not fit, or the output is not empty.
  """
  output = pathlib.Path(output).expanduser().absolute()
  registry.load_plugins(config.get("plugins", ()))
  reference_of(config.model.task)
  model = build_model(**config.model)
  tensors = read_state_dict(source, containers.Choice(entry, print))
  print(f"{source}: {len(tensors)} tensors, {_describe(tensors)}")
  _print_abn(tensors, source, abn)
  found = fit(model, containers.absolute_scales(tensors) if abn else tensors, reinit)
  variables = traverse_util.unflatten_dict(found.loaded | _initialise(model, config.seed, found))
  facts = {"config": config.to_dict(), "dataset": _dataset_facts(config)}
  path = networks.export(output, variables, facts)
  with pathlib.Path(source).expanduser().open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  report = {
    "hrnet_jax": hrnet_jax.__version__,
    "source": str(source),
    "sha256": digest,
    "abn": abn,
    "loaded": len(found.loaded),
    "initialised": ["/".join(p) for p in found.initialised],
    "unused": list(found.unused),
  }
  write_whole(output / REPORT, json.dumps(report, indent=2) + "\n")
  _print_fit(found)
  print(f"checkpoint: {output}")
  return path


def to_file(source: str | pathlib.Path, target: str | pathlib.Path) -> None:
  """Writes a checkpoint's network under the reference's names; see `write_state_dict`.

  Raises:
    FileNotFoundError: no checkpoint. UserError: the reference has no such network.
  """
  loaded = networks.load(source)
  with loaded.in_use():
    registry.load_plugins(loaded.config.get("plugins", ()))
    model = build_model(**loaded.config.model)
    state_dict = to_torch(model, loaded.variables_for(model))
  write_state_dict(target, state_dict)
  print(f"{target}: {len(state_dict)} tensors of step {loaded.step} from {loaded.path}")


def _initialise(model: Any, seed: int, fit: Fit) -> dict[tuple[str, ...], jax.Array]:
  """The leaves that the file gives nothing for."""
  if not fit.initialised:
    return {}

  @jax.jit  # so that XLA leaves out the layers that are loaded anyway
  def draw() -> list[jax.Array]:
    flat = traverse_util.flatten_dict(init_variables(model, seed))
    return [flat[path] for path in fit.initialised]

  return dict(zip(fit.initialised, draw(), strict=True))


def _dataset_facts(config: Any) -> dict[str, Any]:
  """Facts about the config's data set; made-up ones where it is not here or does not fit."""
  spec = registry.task_of(config)
  made_up = DatasetInfo(name=config.data.name)
  if spec.has("fake_info"):
    made_up = spec.part("fake_info")(config)
  count = len(made_up.class_names)
  try:
    known = open_dataset(config.data.name, config.data.data_dir or None)
    if not count or len(known.class_names) == count:
      return known.facts()
    reason = f"{config.data.name} has {len(known.class_names)} classes, the model {count}"
  except FileNotFoundError:
    reason = f"{config.data.name} is not prepared here"
  if spec.has("fake_info"):
    print(f"{'classes' if count else 'keypoints'} get numbers for names: {reason}")
  return made_up.to_dict() | {"splits": {}}


def _describe(tensors: dict[str, np.ndarray]) -> str:
  found = origin.config_of(tensors)
  name = origin.describe(found) if found else "a network of unknown size"
  kind = kind_of(tensors)
  return f"weights of {name} for {kind.words}" if kind else f"weights of {name}"


def _print_abn(tensors: dict[str, np.ndarray], source: str | pathlib.Path, abn: bool) -> None:
  if abn:
    print("--abn: every norm scales by |weight| + 1e-5")
    return
  suspicion = containers.abn_suspicion(tensors)
  if "torch04" in pathlib.Path(source).name:
    suspicion = "it is named torch04"
  if suspicion:
    print(f"note: this file may need --abn: {suspicion}; see hrnet convert --help")


def _print_fit(fit: Fit) -> None:
  print(f"loaded: {len(fit.loaded)} tensors")
  if fit.initialised:
    parts = Counter("/".join(path[1:3]) for path in fit.initialised)
    print("initialised: " + ", ".join(f"{name} ({n})" for name, n in parts.items()))
    print("\n".join(f"  {'/'.join(path)}" for path in fit.initialised))
  if fit.unused:
    print(f"not used: {len(fit.unused)} tensors of the file")
    print("\n".join(f"  {name}" for name in fit.unused))
