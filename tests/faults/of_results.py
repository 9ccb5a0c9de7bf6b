"""Files of results with faults: exports, predictions, evaluations, and any file as a whole."""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
import pathlib

import numpy as np

from hrnet_jax.checkpoint import workdir as workdirs
from hrnet_jax.evaluation import score
from hrnet_jax.evaluation.evaluate import Evaluation
from hrnet_jax.export import artefact
from hrnet_jax.files import write_whole
from hrnet_jax.predict.tables import Tables
from hrnet_jax.tasks.segmentation.predict import ScaledPhoto, SegmentationPredictor
from tests.faults.operation import NEW, OLD, PART, Operation, contents, replaces, scratch
from tests.helpers import toy

Write = Callable[[pathlib.Path, int], None]


def whole_file(folder: pathlib.Path, version: int) -> None:
  """One file."""
  write_whole(folder / "file.txt", f"{version}\n" * 1000)


def export(folder: pathlib.Path, version: int) -> None:
  """A program and the JSON beside it, which have to belong together."""
  artefact.write(folder / "net.jaxexport", bytes([version]) * 3000, {"step": version})


def config(folder: pathlib.Path, version: int) -> None:
  """The config and the manifest of a run."""
  values = toy.get_config().to_dict() | {"seed": version}
  workdirs.open_workdir(folder, values, {"name": "toy", "fingerprint": str(version)})


def predictions(folder: pathlib.Path, version: int) -> None:
  """A label map and a picture for a photo."""
  pixels = np.full((32, 32, 3), version, np.uint8)
  photo = ScaledPhoto(pathlib.Path("a.png"), pixels, (pixels,), size=(32, 32))
  label = np.full((32, 32), version - 1, np.uint8)
  predictor = SegmentationPredictor(("ground", "light"), ((0, 0, 0), (250, 220, 60)))
  predictor.save(photo, [label], folder / "a")


def table(folder: pathlib.Path, version: int) -> None:
  """A table that grows by a row for each photo."""
  tables = Tables()
  for photo in "ab":
    tables.append(folder / "table.csv", ["photo", "class"], [[photo, str(version)]])


def evaluation(folder: pathlib.Path, version: int) -> None:
  """Scores, the list of examples and pictures."""
  picture = np.full((8, 8, 3), version, np.uint8)
  result = Evaluation(
    report={"accuracy": version / 10},
    per_example_score={0: version / 10, 1: 0.5},
    pictures={0: picture},
    worst={1: picture},
    charts={"chart": picture},
    totals={},
  )
  facts = {"checkpoint": "c", "step": version}
  score._write(folder / "eval", facts, result, [{"name": "a"}, {"name": "b"}])


def each_file(write: Write, names: Sequence[str]) -> Callable[[pathlib.Path], str]:
  """Looks whether each file by itself is the old or the new one; `NEW` if all are new."""

  def look(folder: pathlib.Path) -> str:
    found, old, new = contents(folder, names), *(_written(write, x) for x in (1, 2))
    for name in names:
      if found[name] not in (old.get(name), new[name]):
        said = "gone" if found[name] is None else f"cut at {len(found[name])} bytes"
        return f"{name} is {said}"
    return NEW if all(found[name] == new[name] for name in names) else OLD

  return look


def together(write: Write, names: Sequence[str]) -> Callable[[pathlib.Path], str]:
  """Looks whether all files are old or all new; in part, whether the first is alone."""

  def look(folder: pathlib.Path) -> str:
    found, old, new = contents(folder, names), *(_written(write, x) for x in (1, 2))
    if found in (old, new):
      return NEW if found == new else OLD
    first, *others = names
    if found[first] in (old[first], new[first]) and all(found[x] is None for x in others):
      return PART
    kinds = {name: "old" if found[name] == old[name] else "new" for name in names}
    whole = all(found[name] in (old[name], new[name]) for name in names)
    return f"mixed: {kinds}" if whole else "damaged"

  return look


def whole_rows(folder: pathlib.Path) -> str:
  """The old table, the new one, or some of the new one's rows, of which the last may be cut."""
  path = folder / "table.csv"
  found = path.read_bytes() if path.exists() else None
  old, new = (_written(table, version)["table.csv"] for version in (1, 2))
  lines = new.splitlines(keepends=True)
  if found in (old, new):
    return NEW if found == new else OLD
  begun = b"".join(lines[:2])
  return PART if found and new.startswith(found) and len(found) >= len(begun) else f"{found!r}"


def config_as_run(folder: pathlib.Path) -> str:
  """Which seed the config has; the manifest's is the same, or the later one's."""
  config, manifest = (
    json.loads((folder / name).read_text()) for name in ("config.json", "manifest.json")
  )
  if config["seed"] not in (1, 2) or manifest["seed"] not in (config["seed"], 2):
    return f"config.json of {config['seed']}, manifest.json of {manifest['seed']}"
  return NEW if config["seed"] == 2 else OLD


@functools.cache
def _written(write: Write, version: int) -> Mapping[str, bytes | None]:
  folder = scratch()
  write(folder, version)
  files = [path for path in folder.rglob("*") if path.is_file()]
  return {str(path.relative_to(folder)): path.read_bytes() for path in files}


SCORES = ("eval/metrics.json", "eval/examples.csv", "eval/chart.png", "eval/worst/00001.png")
PAIR = ("net.jaxexport", "net.json")
OPERATIONS: tuple[Operation, ...] = (
  replaces("any file", whole_file, each_file(whole_file, ["file.txt"])),
  replaces("config of a run", config, config_as_run),
  replaces("export", export, together(export, PAIR)),
  replaces("predictions", predictions, each_file(predictions, ["a_labels.png", "a_overlay.png"])),
  replaces("table of predictions", table, whole_rows, survives=False),
  # TensorBoard's file comes last, when the rest is there; its errors are said.
  replaces("evaluation", evaluation, each_file(evaluation, SCORES), survives=False),
)
