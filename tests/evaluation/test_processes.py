"""The same checkpoint on one device, on eight, and on two processes: the same confusion matrix."""

import csv
import json
import os

import numpy as np
from PIL import Image
import pytest

from tests.helpers import pods, toy

pytestmark = pytest.mark.slow

CONFIG = "tests/helpers/toy_test_config.py"


def score(run, data, processes, devices):
  """Runs the command in so many processes and reads what they left."""
  out = run / f"out_{processes}_{devices}"
  options = (f"--config={CONFIG}", f"--checkpoint={run}", f"--export={out / 'files'}")
  pods.run("eval.py", data, out, *options, processes=processes, devices=devices)
  metrics = json.loads((out / "eval" / "metrics.json").read_text())
  with (out / "eval" / "examples.csv").open() as file:
    examples = list(csv.reader(file))
  files = {p.name: np.asarray(Image.open(p)) for p in sorted((out / "files").iterdir())}
  return metrics, examples, files


def test_devices_and_processes_change_nothing(run, data):
  assert os.environ["JAX_PLATFORMS"] == "cpu"
  alone = score(run, data, 1, 1)
  assert alone[0]["pixels"] == toy.NUM_VAL * 64 * 63
  assert len({row[2] for row in alone[1][1:]}) >= 5  # the random network tells examples apart
  assert len(alone[2]) == toy.NUM_VAL
  for processes, devices in ((1, 8), (2, 1), (2, 4)):
    metrics, examples, files = score(run, data, processes, devices)
    assert metrics["confusion"] == alone[0]["confusion"], (processes, devices)
    assert metrics["iou"] == alone[0]["iou"]
    assert examples == alone[1]
    assert files.keys() == alone[2].keys()
    for name, label in files.items():
      np.testing.assert_array_equal(label, alone[2][name], err_msg=name)
