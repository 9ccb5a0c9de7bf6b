"""The official landmark pipeline in numbers: `name -> annotation, decisions and what came out`."""

import functools
import json
import pathlib
from typing import Any

import numpy as np

from hrnet_jax.tasks.landmarks.datasets import aflw, cofw, face300w, wflw
from hrnet_jax.tasks.landmarks.transforms import (
  FaceRecord,
  LandmarksDecisions,
  LandmarksEvalTransform,
  LandmarksTrainTransform,
)

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FLIP_PAIRS = {
  "300W": face300w.FLIP_PAIRS,
  "AFLW": aflw.FLIP_PAIRS,
  "COFW": cofw.FLIP_PAIRS,
  "WFLW": wflw.FLIP_PAIRS,
}
NUM_LANDMARKS = {"300W": 68, "AFLW": 19, "COFW": 29, "WFLW": 98}


def load(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """The meta entry and the arrays of a file in `tests/golden`."""
  with np.load(GOLDEN / path) as file:
    arrays = {key: file[key] for key in file.files}
  return json.loads(str(arrays.pop("meta"))), arrays


@functools.cache
def cases() -> dict[str, dict[str, Any]]:
  """The fourteen examples, each with its arrays `points_in` and `tpts`."""
  meta, arrays = load("landmarks_transforms/points.npz")
  return {
    name: case | {key: arrays[f"{name}.{key}"] for key in ("points_in", "tpts")}
    for name, case in meta.items()
  }


def annotation(case: dict[str, Any]) -> tuple[np.ndarray, float]:
  """Center and scale; those of COFW are not annotated but follow from the points."""
  if case["annotation"]["scale"] is not None:
    return np.array(case["annotation"]["center"]), case["annotation"]["scale"]
  low, high = np.floor(case["points_in"].min(0)), np.ceil(case["points_in"].max(0))
  return (low + high) / 2, (high - low).max() / 200


def decisions(case: dict[str, Any]) -> LandmarksDecisions:
  """The draws of a case."""
  draws = case["decisions"]
  return LandmarksDecisions(draws["scale_factor"] or 1.0, draws["rot"], draws["flip"])


def apply(case: dict[str, Any], image: np.ndarray | None = None) -> dict[str, np.ndarray]:
  """What our transform makes of a case; points do not need the pixels of the image."""
  image = np.zeros(case["source"]["shape"], np.uint8) if image is None else image
  face = FaceRecord(image, case["points_in"], *annotation(case))
  options = {"crop": "reference", "stretch_shrunk": case["dataset"] != "COFW"}
  if not case["train"]:
    return LandmarksEvalTransform(**options).apply(face)
  transform = LandmarksTrainTransform(**options, flip_pairs=FLIP_PAIRS[case["dataset"]])
  return transform.apply(face, decisions(case))
