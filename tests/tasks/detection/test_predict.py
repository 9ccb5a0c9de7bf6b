"""Photos to objects: what the network sees, and boxes and masks in pixels of the photo."""

import json
import types

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import images
from hrnet_jax.ops import rle
from hrnet_jax.predict import folder
from hrnet_jax.tasks.detection import task
from hrnet_jax.tasks.detection.detector import InferenceOutputs
from hrnet_jax.tasks.detection.methods import build_method
from hrnet_jax.tasks.detection.postprocess import PaddedDetections

WIDE, TALL = (64, 96), (96, 64)


class Red:
  """Stands for a network: finds what is red, the whole image, and something that is not valid."""

  def __init__(self, convention, *, masks=True):
    self.method = build_method("mask_rcnn" if masks else "faster_rcnn", convention)
    self.num_classes = 2
    self.shapes = []

  def apply(self, variables, x, *, train, size):
    assert not train
    self.shapes.append(x.shape)  # when traced: once for every shape
    offset = self.method.convention.offset
    box = jnp.stack([*_extent((x[..., 0] > 1).any(1)), *_extent((x[..., 0] > 1).any(2))], -1)
    zeros, count = jnp.zeros(len(x)), len(x)
    whole = jnp.stack([zeros, zeros, size[:, 1] - offset, size[:, 0] - offset], -1)
    boxes = jnp.stack([box[:, [0, 2, 1, 3]] - jnp.array([0, 0, offset, offset]), whole, 0 * box], 1)
    detections = PaddedDetections(
      boxes,
      jnp.tile(jnp.array([0.9, 0.2, 0.0]), (count, 1)),
      jnp.tile(jnp.array([1, 0, 0]), (count, 1)),
      jnp.tile(jnp.array([True, True, False]), (count, 1)),
    )
    # The left half of a box.
    half = jnp.zeros((count, 3, 28, 28)).at[..., :14].set(1.0)
    return InferenceOutputs(detections, half if self.method.masks else None)


def _extent(found):
  """First and end of what is True in rows `(B, n)`."""
  return found.argmax(1), found.shape[1] - found[:, ::-1].argmax(1)


def make(monkeypatch, *, canvas=(WIDE, TALL), convention="modern", masks=True):
  transform = {"canvas": canvas, "scale": (96, 64), "max_objects": 3, "masks": masks}
  config = {
    "model": {"task": "detection", "convention": convention},
    "data": {"eval_split": "val"},
    "loss": {},
    "transform": {"eval": transform},
  }
  facts = {"class_names": ["all", "red"], "palette": [[90, 90, 90], [0, 200, 0]], "class_ids": []}
  loaded = types.SimpleNamespace(
    config=ml_collections.ConfigDict(config), variables_for=lambda model: {}, dataset=facts
  )
  network = Red(convention, masks=masks)
  monkeypatch.setattr(task, "build_model", lambda **options: network)
  return folder.trained_network(loaded), network


def store(path, size, box):
  pixels = np.full((*size, 3), 60, np.uint8)
  x0, y0, x1, y1 = box
  pixels[y0:y1, x0:x1] = (255, 0, 0)
  path.write_bytes(images.encode_png(pixels))
  return path


def run(predictor, paths, output, batch_size=1):
  output.mkdir()
  failed = folder.predict_all(predictor, paths, output, max_side=9, batch_size=batch_size)
  read = {path.name: json.loads(path.read_text()) for path in sorted(output.glob("*.json"))}
  return failed, {name.removesuffix("_objects.json"): facts for name, facts in read.items()}


@pytest.mark.parametrize("convention", ["modern", "legacy"])
def test_boxes_and_masks_are_in_pixels_of_the_photo(convention, monkeypatch, tmp_path):
  predictor, network = make(monkeypatch, convention=convention)
  # Twice as large as its picture on the canvas, which it does not fill.
  path = store(tmp_path / "a.png", (128, 160), (40, 20, 100, 80))
  failed, facts = run(predictor, [path], tmp_path / "out")
  assert not failed
  assert network.shapes == [(1, *WIDE, 3)]
  red, whole = facts["a"].pop("objects")
  assert facts["a"] == {"photo": "a.png", "width": 160, "height": 128}
  assert (red["class"], red["score"], whole["class"], whole["score"]) == ("red", 0.9, "all", 0.2)
  # A legacy box ends with its last pixel, and the scaled one with that of the photo.
  less = 1 if convention == "legacy" else 0
  assert red["bbox"] == pytest.approx([40, 20, 60 - less, 60 - less], abs=1e-3)
  assert whole["bbox"] == pytest.approx([0, 0, 160 - less, 128 - less], abs=1e-3)
  assert red["segmentation"]["size"] == [128, 160]
  mask = rle.decode(red["segmentation"]["counts"], (128, 160))
  expected = np.zeros((128, 160), np.uint8)
  expected[20:80, 40:70] = 1
  assert (mask != expected).sum() <= 2 * 60  # the middle of the box lies within two columns
  picture = images.decode_image((tmp_path / "out/a_objects.png").read_bytes(), "a")
  assert picture.shape == (128, 160, 3)
  changed = (picture != images.decode_image(path.read_bytes(), "a")).any(-1)
  assert changed[21:79, 41:69].all()  # painted
  assert changed[50, 98:102].any()  # the frame's right side
  assert not changed[85:].any()  # what has a low score is not drawn
  assert not changed[:, 105:].any()


def test_photos_are_grouped_by_their_orientation(monkeypatch, tmp_path):
  predictor, network = make(monkeypatch, masks=False)
  sizes = {"a": (64, 96), "b": (90, 60), "c": (32, 48), "d": (50, 50)}
  paths = [store(tmp_path / f"{k}.png", size, (8, 4, 16, 24)) for k, size in sizes.items()]
  failed, facts = run(predictor, paths, tmp_path / "out", batch_size=2)
  assert not failed
  assert sorted(network.shapes) == [(2, *WIDE, 3), (2, *TALL, 3)]
  for name, (height, width) in sizes.items():
    red, whole = facts[name]["objects"]
    # Resizing blurs the edges by a pixel of the canvas at most.
    assert red["bbox"] == pytest.approx([8, 4, 8, 20], abs=1.6), name
    assert whole["bbox"] == pytest.approx([0, 0, width, height], abs=1e-3), name
    assert "segmentation" not in red


def test_a_photo_that_does_not_fit_is_named_and_the_others_are_done(monkeypatch, tmp_path):
  predictor, _ = make(monkeypatch, canvas=(WIDE,))
  paths = [
    store(tmp_path / "tall.png", (96, 30), (4, 4, 9, 9)),
    store(tmp_path / "wide.png", (30, 96), (4, 4, 9, 9)),
  ]
  failed, facts = run(predictor, paths, tmp_path / "out")
  assert list(facts) == ["wide"]
  assert "tall.png: 30x96 pixels after resizing do not fit" in failed[tmp_path / "tall.png"]
