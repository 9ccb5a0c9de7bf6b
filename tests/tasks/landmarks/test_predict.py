"""Photos to landmarks: a bright spot is found where it is, in every crop that shows it."""

import csv
import types

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.predict import folder
from hrnet_jax.tasks.landmarks import predict, task

SPOTS = {"red": (0, (120, 60)), "blue": (2, (150, 84))}  # channel, and x and y of the middle


class Spots:
  """Stands for a network: a heat map of red and one of blue, at stride 4."""

  def apply(self, variables, x, *, train: bool):
    assert not train
    assert x.shape[1:] == (64, 64, 3)
    cells = x.reshape(len(x), 16, 4, 16, 4, 3).mean((2, 4))
    return jnp.maximum(cells[..., [0, 2]] - cells[..., [1]], 0)


def make(monkeypatch, boxes=None, options=None, **transform):
  config = {
    "model": {"task": "landmarks", "num_landmarks": 2},
    "data": {"eval_split": "val"},
    "loss": {"targets": "gaussian", "sigma": 1.0},
    "transform": {
      "train": {"crop": "affine", "crop_size": 64},
      "eval": {"crop": "affine", "crop_size": 64} | transform,
    },
    "eval": {"decoding": {"refine": "none"}},
  }
  loaded = types.SimpleNamespace(
    config=ml_collections.ConfigDict(config),
    variables_for=lambda model: {},
    dataset={"name": "spots", "landmark_names": ["red", "blue"], "flip_pairs": []},
  )
  monkeypatch.setattr(task, "build_model", lambda **options: Spots())
  options = (options or {}) | ({"boxes": str(boxes)} if boxes else {})
  return folder.trained_network(loaded, **options)


def store(path, size=(140, 200), offset=(0, 0)):
  pixels = np.full((*size, 3), 90, np.uint8)
  for channel, (x, y) in SPOTS.values():
    x, y = x + offset[0], y + offset[1]
    pixels[y - 4 : y + 5, x - 4 : x + 5] = np.eye(3, dtype=np.uint8)[channel] * 255
  path.write_bytes(images.encode_png(pixels))
  return path


def run(predictor, paths, output, batch_size=2):
  output.mkdir(exist_ok=True)
  failed = folder.predict_all(predictor, paths, output, max_side=9, batch_size=batch_size)
  with (output / predict.TABLE).open(newline="") as file:
    return failed, list(csv.reader(file))


def points(row):
  return np.array(row[5:], float).reshape(-1, 2)


TRUTH = np.array([place for _, place in SPOTS.values()])
HEAD = ["image_name", "x_min", "y_min", "x_max", "y_max", "x0", "y0", "x1", "y1"]


@pytest.mark.parametrize(
  "options", [{}, {"first_pixel": 1.0}, {"margin": 2.0}, {"crop": "reference"}]
)
def test_the_whole_photo_is_one_crop(options, monkeypatch, tmp_path):
  predictor = make(monkeypatch, **options)
  failed, (head, row) = run(predictor, [store(tmp_path / "a.png")], tmp_path / "out")
  assert not failed
  assert head == HEAD
  # The long side of 200 pixels fills the crop, whatever the margin; the rest is black.
  assert row[:5] == ["a.png", "-0.500", "-30.500", "199.500", "169.500"]
  assert np.abs(points(row) - TRUTH).max() < 200 / 16 / 2 + 1  # the middle of a cell
  assert (tmp_path / "out/a_points.png").is_file()


def test_every_box_is_a_face_and_points_are_drawn_into_the_photo(monkeypatch, tmp_path):
  (tmp_path / "boxes.csv").write_text(
    "photo,x0,y0,x1,y1\na.png,110,50,160,95\nb.png,90,20,180,120\na.png,100,44,170,110\n"
  )
  predictor = make(monkeypatch, boxes=tmp_path / "boxes.csv")
  paths = [store(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
  failed, (_, *rows) = run(predictor, paths, tmp_path / "out")
  assert list(failed) == [tmp_path / "c.png"]
  assert "the file of boxes has none for c.png" in failed[tmp_path / "c.png"]
  assert [row[0] for row in rows] == ["a.png", "a.png", "b.png"]
  assert [row[1] for row in rows] == ["110.000", "100.000", "90.000"]
  for row, side in zip(rows, (50, 70, 100), strict=True):
    assert np.abs(points(row) - TRUTH).max() < 1.25 * side / 16 / 2 + 1
  names = sorted(path.name for path in (tmp_path / "out").iterdir())
  assert names == ["a_points.png", "b_points.png", "predictions.csv"]
  picture = images.decode_image((tmp_path / "out/a_points.png").read_bytes(), "a")
  before = images.decode_image((tmp_path / "a.png").read_bytes(), "a")
  assert picture.shape == before.shape
  changed = (picture != before).any(-1)
  assert changed[57:64, 117:124].any()  # around the red spot
  # Nothing is drawn far from the boxes; the second one's number stands above it.
  assert not changed[:20].any()
  assert not changed[:, :90].any()


def test_predictions_can_be_learned_from(monkeypatch, tmp_path):
  source = tmp_path / "photos"
  source.mkdir()
  paths = [store(source / f"{i}.png", offset=(2 * i, i)) for i in range(3)]
  _, rows = run(make(monkeypatch), paths, tmp_path / "out")
  for split in ("train", "val"):
    (source / f"{split}.csv").write_text("\n".join(",".join(row) for row in rows))
  dataset, _ = prepared.prepare("landmarks_csv", tmp_path / "data", source=source)
  record = dataset.source("train")[1]
  np.testing.assert_allclose(record["points"], points(rows[2]), atol=1e-3)
  assert record["scale"] == pytest.approx(1.0)


def test_confidences_are_the_peaks_of_the_heat_maps(monkeypatch, tmp_path):
  (tmp_path / "boxes.csv").write_text(
    "photo,x0,y0,x1,y1\na.png,100,44,170,110\na.png,0,0,40,40\nb.png,100,44,170,110\n"
  )
  network = make(monkeypatch, boxes=tmp_path / "boxes.csv", options={"probabilities": True})
  paths = [store(tmp_path / name) for name in ("a.png", "b.png")]
  _, predictions = run(network, paths, tmp_path / "out")
  with (tmp_path / "out" / predict.CONFIDENCES).open(newline="") as file:
    head, *rows = csv.reader(file)
  assert head == ["image_name", "confidence0", "confidence1"]
  assert [row[0] for row in rows] == [row[0] for row in predictions[1:]]
  sure, nothing, again = np.array([row[1:] for row in rows], float)
  assert (sure > 1).all()
  np.testing.assert_array_equal(sure, again)
  assert (nothing < 0.5).all()


def test_a_wrong_file_of_boxes_stops_the_command(monkeypatch, tmp_path):
  with pytest.raises(FileNotFoundError, match=r"boxes\.csv"):
    make(monkeypatch, boxes=tmp_path / "boxes.csv")
  (tmp_path / "boxes.csv").write_text("photo\n")
  with pytest.raises(ValueError, match="no column 'x0'"):
    make(monkeypatch, boxes=tmp_path / "boxes.csv")


def test_boxes_mean_nothing_to_other_tasks():
  loaded = types.SimpleNamespace(
    config=ml_collections.ConfigDict({"model": {"task": "segmentation"}})
  )
  with pytest.raises(ValueError, match="--boxes means nothing to a network for segmentation"):
    folder.trained_network(loaded, boxes="boxes.csv")


def test_boxes_of_no_photo_are_counted(monkeypatch, tmp_path):
  path = tmp_path / "boxes.csv"
  path.write_text("photo,x0,y0,x1,y1\na.png,1,1,9,9\nsub/a.png,1,1,9,9\nA.png,1,1,9,9\n")
  describe = make(monkeypatch, boxes=path).predictor.describe
  assert describe({"a.png"}).startswith("--boxes: boxes of 2 names are left out, such as A.png")
  assert describe({"a.png", "A.png", "sub/a.png", "b.png"}) == ""
  assert make(monkeypatch).predictor.describe({"a.png"}) == ""
