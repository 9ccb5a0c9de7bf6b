"""Values of a test protocol are checked before anything is compiled."""

import pytest

from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig

VALUES = {"kind": "windows", "base_size": 520, "crop_size": [480, 480]}


def test_lists_become_tuples():
  protocol = MultiScaleConfig(**VALUES, scales=[0.5, 1], flip_pairs=[[1, 2]])
  assert (protocol.crop_size, protocol.scales) == ((480, 480), (0.5, 1))
  assert hash(protocol) == hash(MultiScaleConfig(**VALUES, scales=(0.5, 1), flip_pairs=((1, 2),)))


@pytest.mark.parametrize(
  ("key", "value", "expected"),
  [
    ("kind", "sliding", "unknown eval.protocol.kind 'sliding'; known: whole, windows"),
    ("base_size", 0, "eval.protocol.base_size is 0, expected a number of pixels"),
    ("crop_size", 480, r"eval.protocol.crop_size is 480, expected \(height, width\)"),
    ("scales", (), r"eval.protocol.scales is \(\), expected one scale or more"),
    ("scales", (1.0, -1), "expected one scale or more, above 0"),
    ("resize", (1, 2, 3), r"eval.protocol.resize is \(1, 2, 3\)"),
  ],
)
def test_wrong_values_are_named(key, value, expected):
  with pytest.raises(ValueError, match=expected):
    MultiScaleConfig(**VALUES | {key: value})


def test_classes_that_change_places():
  assert MultiScaleConfig(**VALUES).mirrored_classes(4) is None
  assert MultiScaleConfig(**VALUES, flip_pairs=((1, 3),)).mirrored_classes(4) == [0, 3, 2, 1]
  with pytest.raises(ValueError, match=r"has \(1, 4\); there are 4 classes"):
    MultiScaleConfig(**VALUES, flip_pairs=((1, 4),)).mirrored_classes(4)
