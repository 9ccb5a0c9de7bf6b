"""Photos to classes: what the network sees, and the files."""

import csv
import types

import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import images
from hrnet_jax.predict import folder
from hrnet_jax.tasks.classification import predict, task
from hrnet_jax.tasks.classification.transforms import ClassificationEvalTransform

NAMES = ("red", "green", "blue")


class Channels:
  """Stands for a network: a score for each colour, its mean in the image."""

  head = types.SimpleNamespace(num_outputs=3)

  def apply(self, variables, x, *, train: bool):
    assert not train
    assert x.shape[1:] == (32, 32, 3)
    return 10 * x.mean((1, 2))


def make(monkeypatch, **options):
  config = {
    "model": {"task": "classification", "num_classes": 3},
    "loss": {"label_smoothing": 0.0},
    "transform": {"eval": {"crop_size": [32, 32], "resize": 36}},
  }
  loaded = types.SimpleNamespace(
    config=ml_collections.ConfigDict(config),
    variables_for=lambda model: {},
    dataset={"name": "colours", "class_names": list(NAMES), "palette": [[0, 0, 0]] * 3},
  )
  monkeypatch.setattr(task, "build_model", lambda **options: Channels())
  return folder.trained_network(loaded, **options)


@pytest.fixture
def predictor(monkeypatch):
  return make(monkeypatch)


def store(path, colour, size=(50, 70)):
  path.write_bytes(images.encode_png(np.full((*size, 3), colour, np.uint8)))
  return path


def table(output):
  with (output / predict.TABLE).open(newline="") as file:
    return list(csv.reader(file))


def test_best_classes_of_each_photo_are_written(predictor, tmp_path):
  paths = [
    store(tmp_path / "a.png", (250, 10, 20)),
    store(tmp_path / "b, c.png", (0, 90, 250), size=(200, 33)),
  ]
  output = tmp_path / "out"
  output.mkdir()
  assert not folder.predict_all(predictor, paths, output, max_side=99, batch_size=2)
  head, first, second = table(output)
  assert head == ["photo", "class_1", "score_1", "class_2", "score_2", "class_3", "score_3"]
  assert (first[0], first[1::2]) == ("a.png", ["red", "blue", "green"])
  assert (second[0], second[1::2]) == ("b, c.png", ["blue", "green", "red"])
  assert sum(map(float, first[2::2])) == pytest.approx(1, abs=1e-5)
  names = sorted(path.name for path in output.iterdir())
  assert names == ["a_classes.png", "b, c_classes.png", "predictions.csv"]


def test_probabilities_of_all_classes_are_a_table_of_their_own(monkeypatch, tmp_path):
  network = make(monkeypatch, probabilities=True)
  paths = [store(tmp_path / "a.png", (250, 10, 20)), store(tmp_path / "b.png", (0, 90, 250))]
  assert not folder.predict_all(network, paths, tmp_path, max_side=99, batch_size=1)
  with (tmp_path / predict.PROBABILITIES).open(newline="") as file:
    head, *rows = csv.reader(file)
  assert head == ["photo", *NAMES]
  assert [row[0] for row in rows] == ["a.png", "b.png"]
  values = np.array([row[1:] for row in rows], float)
  np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)
  assert values.argmax(1).tolist() == [0, 2]
  assert table(tmp_path)[1][2] == rows[0][1]  # the best class's score


def test_network_sees_what_it_was_evaluated_on(predictor, tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
  (tmp_path / "a.png").write_bytes(images.encode_png(pixels))
  photo = predictor.predictor.load(tmp_path / "a.png", max_side=10)
  want = ClassificationEvalTransform(crop_size=(32, 32), resize=36).apply(pixels)
  np.testing.assert_array_equal(photo.inputs[0], want)
  np.testing.assert_array_equal(photo.pixels, pixels)


def test_table_of_an_earlier_run_is_replaced(predictor, tmp_path):
  (tmp_path / predict.TABLE).write_text("old\n")
  path = store(tmp_path / "a.png", (250, 10, 20))
  folder.predict_all(predictor, [path], tmp_path, max_side=99, batch_size=1)
  assert [row[0] for row in table(tmp_path)] == ["photo", "a.png"]
