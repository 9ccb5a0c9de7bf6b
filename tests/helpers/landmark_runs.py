"""All landmark data sets in miniature, and a run of each with a toy network."""

from collections.abc import Callable
import importlib
import pathlib
from typing import Any

from hrnet_jax.data import prepared
from hrnet_jax.evaluation import score
from hrnet_jax.training import loop
from tests.helpers import face_miniatures

TOY = {
  "variant": None,
  "width": 4,
  "modules": (1, 1, 1),
  "blocks": 1,
  "bottlenecks": 1,
  "bottleneck_width": 4,
  "bn_momentum": 0.1,
  "init": "kaiming",
}
# The shipped config, what makes the data set, and the split to evaluate if it is another.
CASES: dict[str, tuple[str, Callable[[pathlib.Path], pathlib.Path], str]] = {
  "aflw": ("aflw", face_miniatures.aflw, ""),
  "cofw": ("cofw", face_miniatures.cofw, ""),
  "face300w": ("face300w", face_miniatures.face300w, "full_and_test"),
  "landmarks_csv": ("landmarks_csv", face_miniatures.landmarks_csv, ""),
  "wflw": ("wflw", face_miniatures.wflw, ""),
}


def config(name: str, folder: pathlib.Path) -> Any:
  """A shipped config with a toy network and six steps."""
  file, _, split = CASES[name]
  found = importlib.import_module(f"configs.landmarks.{file}").get_config()
  found.data.update({"data_dir": str(folder / "data"), "workers": 0, "threads": 0})
  found.data.eval_split = split or found.data.eval_split
  with found.model.unlocked():
    found.model.update(TOY)
  for transform in found.transform.values():
    transform.crop_size = 64
  found.optimizer.learning_rate = 2e-3
  found.train.update({"epochs": 0, "steps": 6, "batch_size": 8, "log_every": 3})
  found.eval.update({"batch_size": 8, "every_epochs": 100, "pictures": 1})
  return found


def run(name: str, folder: pathlib.Path) -> None:
  """Prepares in `folder/data`, trains and evaluates in `folder/NAME`, exports to its `export`."""
  source = CASES[name][1](folder / "source" / name)
  prepared.prepare(name, folder / "data", source=source)
  settings, workdir = config(name, folder), folder / name
  loop.train(settings, workdir)
  score.score(settings, workdir, export=workdir / "export")
