"""The files of an exported network, checked before they are written: what `hrnet export` does.

Shapes: images `(B, H, W, C)` uint8 -> the task's predictions, or with `outputs="raw"` what the
network returns.
"""

from collections.abc import Sequence
import hashlib
import json
import pathlib
from typing import Any

import flax
import jax
from jax import export

import hrnet_jax
from hrnet_jax import files
from hrnet_jax.checkpoint import networks
from hrnet_jax.errors import UserError
from hrnet_jax.export import check, program

NAME, SUFFIX = "network", ".jaxexport"
# Facts about the data that a user of predictions needs.
FACTS = ("name", "fingerprint", "class_names", "palette", "landmark_names", "flip_pairs")


def target(output: str | pathlib.Path, *, overwrite: bool) -> pathlib.Path:
  """The file that `--output` stands for: itself with its ending, or one in the folder it names.

  Raises:
    ValueError: the file or the JSON beside it is there already.
  """
  path = pathlib.Path(output).expanduser().absolute()
  if path.is_dir() or not path.suffix:
    path /= NAME + SUFFIX
  if path.suffix == ".json":
    raise UserError(f"--output: {path} would be the JSON file; name it *{SUFFIX}, or a folder")
  for file in (path, path.with_suffix(".json")):
    if file.is_dir() or (file.exists() and not overwrite):
      raise UserError(f"--output: {file} is there already; give --overwrite, or another name")
  return path


def describe(
  loaded: networks.Loaded,
  exported: export.Exported,
  made: program.Program,
  outputs: str,
  data: bytes,
) -> dict[str, Any]:
  """The content of the JSON file beside the program, which is `data`."""
  tree = jax.tree.unflatten(exported.out_tree, exported.out_avals)
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  normalize = made.task.normalize
  facts = {key: loaded.dataset[key] for key in FACTS if loaded.dataset.get(key)}
  return {
    "task": loaded.config.model.task,
    "model": loaded.config.model.to_dict(),
    "step": loaded.step,
    "data": facts,
    "input": {
      "dtype": "uint8",
      "shape": str(exported.in_avals[0].shape),
      "layout": f"batch, height, width, {'RGB' if normalize.channels == 3 else 'channels'}",
      "sizes": made.sizes.text,
      "normalisation": {
        "inside": True,
        "mean": normalize.mean,
        "std": normalize.std,
        "of": "value / 255",
      },
    },
    "further_inputs": [
      {"name": x.name, "dtype": str(aval.dtype), "shape": str(aval.shape), "meaning": x.text}
      for x, aval in zip(made.sizes.inputs, exported.in_avals[1:], strict=True)
    ],
    "outputs": outputs,
    "output": [
      {"place": jax.tree_util.keystr(path), "dtype": str(x.dtype), "shape": str(x.shape)}
      for path, x in leaves
    ],
    "platforms": exported.platforms,
    "sha256": hashlib.sha256(data).hexdigest(),
    "calling_convention": exported.calling_convention_version,
    "versions": {
      "hrnet_jax": hrnet_jax.__version__,
      "jax": jax.__version__,
      "flax": flax.__version__,
    },
  }


def judge(agreements: Sequence[check.Agreement], dtype: str) -> list[str]:
  """Says what was measured; returns what is wrong with it."""
  tolerance, wrong = check.TOLERANCE[dtype], []
  for x in agreements:
    print(
      f"checked on images {x.shape}: folding moves the outputs by {x.folding:.1e} of their "
      f"deviation (allowed {tolerance:g}), {100 * x.artefact:.3f} % of the program's values are "
      f"off (allowed {100 * check.DIFFERENT:g})"
    )
    # Not the other way round: NaN fails.
    if not x.folding <= tolerance:
      wrong.append(f"the folded network is off by {x.folding:.1e} on images {x.shape}")
    if not x.artefact <= check.DIFFERENT:
      wrong.append(f"{100 * x.artefact:.3f} % of the values are off on images {x.shape}")
  return wrong


def write(path: pathlib.Path, data: bytes, facts: dict[str, Any]) -> None:
  """Writes both files; each appears only when it is complete.

  A program never lies beside the JSON of another one: once both are written under other names, the
  old JSON goes, then the new program gets its name, then the new JSON. A kill between these three
  leaves a program without a JSON. The JSON has the program's sha256.

  Raises:
    OSError: a file cannot be written; both are as before, unless the program has its name already.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  facts = facts | {"program": {"file": path.name, "sha256": hashlib.sha256(data).hexdigest()}}
  lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items())
  text = "{\n" + ",\n".join(lines) + "\n}\n"
  files.patiently(lambda: _replace(path, data, text))


def _replace(path: pathlib.Path, data: bytes, text: str) -> None:
  described = path.with_suffix(".json")
  old, new = files.temporary_name(described), None
  try:
    with files.whole_file(described) as new_json, files.whole_file(path) as program:
      new_json.write_text(text)
      program.write_bytes(data)
      files.sync(new_json)
      files.sync(program)
      new = program.stat().st_ino
      if described.exists():
        described.replace(old)
  except BaseException:
    if old.exists() and not (path.exists() and path.stat().st_ino == new):
      old.replace(described)
    raise
  finally:
    old.unlink(missing_ok=True)


def export_network(
  checkpoint: str | pathlib.Path,
  output: str | pathlib.Path,
  *,
  outputs: str,
  size: tuple[int, int] | None,
  batch_size: int,
  platforms: Sequence[str],
  overwrite: bool = False,
) -> list[str]:
  """Writes the program of a checkpoint and says how to use it.

  Args:
    checkpoint: a run's folder, or that of one of its steps.
    output: see `target`.
    outputs: see `program.build`.
    size: see `program.build`.
    batch_size: see `program.build`.
    platforms: see `program.trace`.
    overwrite: replaces files that are there.

  Returns:
    What is wrong with the program; nothing is written then.

  Raises:
    FileNotFoundError: no checkpoint. ValueError: the task or the output does not allow it.
  """
  path = target(output, overwrite=overwrite)
  loaded = networks.load(checkpoint)
  with loaded.in_use():
    made = program.build(loaded, outputs, size=size, batch_size=batch_size)
  print(f"Network of step {loaded.step} from {checkpoint}: {loaded.config.model.task}")
  exported = program.trace(made, platforms)
  data = bytes(exported.serialize())
  if wrong := judge(check.check(data, made), str(loaded.config.model.get("dtype", "float32"))):
    return wrong
  facts = describe(loaded, exported, made, outputs, data)
  write(path, data, facts)
  print(f"{path}: {len(data) / 1e6:.1f} MB for {', '.join(exported.platforms)}")
  print(f"  images {facts['input']['shape']} uint8 RGB: {made.sizes.text}")
  for x in facts["further_inputs"]:
    print(f"  {x['name']} {x['shape']} {x['dtype']}: {x['meaning']}")
  for x in facts["output"]:
    print(f"  {outputs}{x['place']} {x['shape']} {x['dtype']}")
  names = [x.name for x in made.sizes.inputs]
  print(
    "Load it with jax and flatbuffers installed, without this package. It is a program: load only "
    "files that you trust.\n"
    f"  from jax import export\n"
    f"  network = export.deserialize(bytearray(open({str(path)!r}, 'rb').read()))\n"
    f"  {outputs} = network.call({', '.join(['images', *names])})"
  )
  return []
