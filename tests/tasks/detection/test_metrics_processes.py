"""Detections that two processes collected are scored as if one had."""

import json
import subprocess
import sys

import pytest

from hrnet_jax.tasks.detection import metrics
from tests.helpers import environment, pods
from tests.tasks.detection.test_metrics import RECORDS, TRUTH, found, perfect

SCRIPT = """
import json, sys
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from hrnet_jax.distributed import collectives
from hrnet_jax.tasks.detection import metrics as coco
from tests.tasks.detection import test_metrics_processes as test

detections = test.detections()
own = {i: x for i, x in detections.items() if i % 2 == jax.process_index()}
together = {}
for data in collectives.gather_bytes(coco.pack(own)):
  together |= coco.unpack(data)
assert sorted(own) == ([0, 2] if jax.process_index() == 0 else [1])
print(json.dumps(coco.evaluate(test.TRUTH, together, "segm").figures))
"""


def detections():
  """One object found well, one badly, one not, and one that is not there."""
  return {
    0: found([[0, 0, 20, 20], [30, 10, 60, 40]], [0.9, 0.8], [0, 1]),
    1: found([[5, 5, 30, 30]], [0.95], [0]),
    2: perfect(RECORDS[2]),
  }


@pytest.mark.slow
def test_two_processes_score_the_whole(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", environment.xla_flags(devices=2))
  address = f"127.0.0.1:{pods.free_port()}"
  started = [
    subprocess.Popen(
      [sys.executable, "-c", SCRIPT, address, str(i)],
      cwd=pods.toy.ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  done = [(*p.communicate(timeout=200), p.returncode) for p in started]
  expected = json.loads(json.dumps(metrics.evaluate(TRUTH, detections(), "segm").figures))
  for out, err, status in done:
    assert status == 0, err
    assert str(json.loads(out.splitlines()[-1])) == str(expected)  # NaN is not equal to itself
  assert 0 < expected["AP"] < 1
