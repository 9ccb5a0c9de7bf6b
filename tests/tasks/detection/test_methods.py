"""The published detectors are what mmdetection's configs say."""

import pytest

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.tasks.detection.methods import NAMES, build_method


def test_faster_and_mask_learn_absolute_differences():
  for name in ("faster_rcnn", "mask_rcnn"):
    method = build_method(name)
    assert len(method.stages) == 1
    assert (method.rpn_beta, method.box_beta, method.border) == (0, 0, -1)
    assert not method.class_agnostic
    assert (method.train_proposals, method.test_proposals) == (1000, 1000)
  assert build_method("mask_rcnn").low_quality
  assert not build_method("faster_rcnn").low_quality


def test_a_cascade_gets_stricter():
  for name in ("cascade_rcnn", "cascade_mask_rcnn"):
    method = build_method(name)
    assert [stage.iou for stage in method.stages] == [0.5, 0.6, 0.7]
    assert [stage.weight for stage in method.stages] == [1, 0.5, 0.25]
    assert method.stages[2].stds == (0.033, 0.033, 0.067, 0.067)
    assert method.class_agnostic
    assert (method.rpn_beta, method.box_beta, method.border) == (1 / 9, 1, 0)
    assert method.train_proposals == 2000


@pytest.mark.parametrize("name", NAMES)
def test_masks_follow_the_name(name):
  assert build_method(name).masks == ("mask" in name)


def test_legacy_detectors_are_smooth_and_keep_all_proposals_in_tests():
  method = build_method("faster_rcnn", "legacy")
  assert method.convention is Convention.LEGACY
  assert (method.rpn_beta, method.box_beta, method.border) == (1 / 9, 1, 0)
  assert method.low_quality
  assert (method.test_candidates, method.test_proposals) == (2000, 2000)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("fast_rcnn",), r"unknown method 'fast_rcnn'; known: faster_rcnn, mask_rcnn"),
    (("mask_rcnn", "new"), r"unknown convention 'new'; known: modern, legacy"),
  ],
)
def test_unknown_names_are_refused_with_those_there_are(arguments, message):
  with pytest.raises(ValueError, match=message):
    build_method(*arguments)


def test_too_few_regions_are_refused():
  with pytest.raises(ValueError, match=r"model.roi_batch_size is 3, expected 4 or more"):
    build_method("mask_rcnn", roi_batch_size=3)


def test_regions_are_read_as_asked():
  assert build_method("mask_rcnn").roi_align == "gather"
  assert build_method("mask_rcnn", "legacy", roi_align="matrix").roi_align == "matrix"
  with pytest.raises(ValueError, match=r"unknown roi_align 'crop'; known: gather, matrix"):
    build_method("mask_rcnn", roi_align="crop")
