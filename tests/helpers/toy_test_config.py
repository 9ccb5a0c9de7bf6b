"""The toy under a test protocol; `--config=tests/helpers/toy_test_config.py` works."""

import ml_collections

from tests.helpers import toy


def get_config() -> ml_collections.ConfigDict:
  """Windows at three scales, mirrored as well."""
  config = toy.get_config()
  config.eval.protocol = {
    "kind": "windows",
    "base_size": 64,
    "crop_size": (48, 48),
    "scales": (0.5, 1.0, 1.25),
    "flip": True,
  }
  return config
