"""Parity with HRNet/HRNet-Image-Classification, lib/models/cls_hrnet.py."""

import numpy as np

from hrnet_jax.parity.comparison import DecisionCounts, TorchComparison, equal_choices


def _decide(actual: np.ndarray, expected: np.ndarray) -> DecisionCounts:
  """Compares the best class and the set of the five best ones, `(B, K)`."""
  five = [np.sort(np.argsort(-x, -1, kind="stable")[:, :5], -1) for x in (actual, expected)]
  equal_top5 = int((five[0] == five[1]).all(-1).sum())
  return {**equal_choices(actual, expected), "equal_top5": equal_top5}


COMPARISON = TorchComparison(
  network="hrnet_jax.tasks.classification.torch_head:TorchClassifier",
  size=(224, 224),
  bn_momentum=0.1,
  upsample="nearest",
  decide=_decide,
  decision="best class of an image",
)
