"""Writes a trained network as a program: `python -m hrnet_jax.export --checkpoint --output`.

Shapes: images `(B, H, W, 3)` uint8 RGB -> the task's predictions, or with `--outputs=raw` what the
network returns.

The program is StableHLO, written with `jax.export`: one file that runs on CPUs, GPUs and TPUs and
needs JAX alone. Beside it lies a JSON file of the same name with what people and other programs
have to know: names of classes, the form of inputs and outputs, versions. Before anything is
written the program is read back and compared with the network on random images.
"""

import argparse
from collections.abc import Sequence
import json
import pathlib
import sys
from typing import Any

import flax
import jax
from jax import export

import hrnet_jax
from hrnet_jax.checkpoint import manager
from hrnet_jax.distributed import runtime
from hrnet_jax.export import check, program
from hrnet_jax.files import write_whole
from hrnet_jax.ops.normalize import MEAN, STD

NAME, SUFFIX = "network", ".jaxexport"
# What of the facts about the data a user of predictions needs.
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
    raise ValueError(f"--output: {path} would be the JSON file; name it *{SUFFIX}, or a folder")
  for file in (path, path.with_suffix(".json")):
    if file.is_dir() or (file.exists() and not overwrite):
      raise ValueError(f"--output: {file} is there already; give --overwrite, or another name")
  return path


def describe(
  loaded: manager.Loaded, exported: export.Exported, made: program.Program, outputs: str
) -> dict[str, Any]:
  """What the JSON file says."""
  tree = jax.tree.unflatten(exported.out_tree, exported.out_avals)
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  facts = {key: loaded.dataset[key] for key in FACTS if loaded.dataset.get(key)}
  return {
    "task": loaded.config.model.task,
    "model": loaded.config.model.to_dict(),
    "step": loaded.step,
    "data": facts,
    "input": {
      "dtype": "uint8",
      "shape": str(exported.in_avals[0].shape),
      "layout": "batch, height, width, RGB",
      "sizes": made.sizes.text,
      "normalisation": {"inside": True, "mean": MEAN, "std": STD, "of": "value / 255"},
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
  """Writes both files; each appears only when it is complete."""
  path.parent.mkdir(parents=True, exist_ok=True)
  lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items())
  text = "{\n" + ",\n".join(lines) + "\n}\n"
  for file, content in ((path, data), (path.with_suffix(".json"), text.encode())):
    write_whole(file, content)


def main(argv: Sequence[str] | None = None) -> int:
  """The command; returns its exit status: 0 when the program is written and right."""
  args = _parse(argv)
  runtime.set_up()
  with runtime.errors_for_humans():
    path = target(args.output, overwrite=args.overwrite)
    loaded = manager.load(args.checkpoint)
    made = program.build(loaded, args.outputs, size=args.size, batch_size=args.batch_size)
    print(f"Network of step {loaded.step} from {args.checkpoint}: {loaded.config.model.task}")
    exported = program.trace(made, args.platforms)
    data = bytes(exported.serialize())
    if wrong := judge(check.check(data, made), str(loaded.config.model.get("dtype", "float32"))):
      print("export: nothing was written: " + "; ".join(wrong), file=sys.stderr)
      return 1
    facts = describe(loaded, exported, made, args.outputs)
    write(path, data, facts)
  print(f"{path}: {len(data) / 1e6:.1f} MB for {', '.join(exported.platforms)}")
  print(f"  images {facts['input']['shape']} uint8 RGB: {made.sizes.text}")
  for x in facts["further_inputs"]:
    print(f"  {x['name']} {x['shape']} {x['dtype']}: {x['meaning']}")
  for x in facts["output"]:
    print(f"  {args.outputs}{x['place']} {x['shape']} {x['dtype']}")
  names = [x.name for x in made.sizes.inputs]
  print(
    f"Load it with jax and flatbuffers installed, without this package:\n"
    f"  from jax import export\n"
    f"  network = export.deserialize(bytearray(open({str(path)!r}, 'rb').read()))\n"
    f"  {args.outputs} = network.call({', '.join(['images', *names])})"
  )
  return 0


def _parse(argv: Sequence[str] | None) -> Any:
  parser = argparse.ArgumentParser(
    prog="python -m hrnet_jax.export",
    description="Writes a trained network as a program that needs JAX alone.",
  )
  add = parser.add_argument
  add("--checkpoint", required=True, help="a run's folder, or the folder of one of its steps")
  add("--output", required=True, help=f"a file, or a folder for {NAME}{SUFFIX}")
  add("--overwrite", action="store_true", help="replace files that are there")
  add(
    "--outputs",
    choices=program.OUTPUTS,
    default=program.OUTPUTS[0],
    help="the task's predictions, or what the network returns (default %(default)s)",
  )
  add(
    "--size",
    type=_size,
    help="one size for all images, such as 512x1024 (height x width); by default sizes stay open "
    "as far as the task allows",
  )
  add(
    "--batch_size",
    type=_count,
    default=0,
    help="one number for all batches; 0 leaves it open (default %(default)s)",
  )
  add(
    "--platforms",
    type=_platforms,
    default=program.PLATFORMS,
    help=f"where it is to run, with commas; default {','.join(program.PLATFORMS)}",
  )
  return parser.parse_args(argv)


def _size(text: str) -> tuple[int, int]:
  parts = text.lower().split("x")
  if len(parts) != 2 or not all(x.isdecimal() and int(x) for x in parts):
    raise argparse.ArgumentTypeError(f"{text!r} is no size; expected HEIGHTxWIDTH, as in 512x1024")
  return int(parts[0]), int(parts[1])


def _count(text: str) -> int:
  if not text.isdecimal():
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of images, or 0 for any")
  return int(text)


def _platforms(text: str) -> tuple[str, ...]:
  names = tuple(text.split(","))
  if unknown := sorted(set(names) - {*program.PLATFORMS, "rocm"}):
    raise argparse.ArgumentTypeError(
      f"unknown platform {unknown[0]!r}; known: {', '.join(program.PLATFORMS)}, rocm"
    )
  return names


if __name__ == "__main__":
  sys.exit(main())
