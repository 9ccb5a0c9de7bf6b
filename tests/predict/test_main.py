"""The predict command: files written, sizes kept, failures reported."""

import contextlib
import errno
import os
import pathlib
import types

import cv2
import ml_collections
import numpy as np
from PIL import Image
import pytest

from hrnet_jax.cli.main import main
from hrnet_jax.data import images
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.predict import folder
from hrnet_jax.tasks.segmentation import task as segmentation

DATASET = {
  "class_names": ["dark", "bright", "other"],
  "palette": [[0, 0, 90], [250, 200, 0], [0, 120, 0]],
}


class Brightness:
  """Stands for a task: class 1 where the red channel is above the mean colour, else 0."""

  normalize = Normalize()
  model = None

  def __init__(self):
    self.shapes = []

  def outputs(self, variables, x):
    self.shapes.append(x.shape)  # when traced: once for every shape
    return x[..., 0] > variables["params"]

  def predict(self, outputs, size):
    assert outputs.shape[1:] == size
    return outputs.astype(np.uint8)


@pytest.fixture
def task(monkeypatch):
  """Puts `Brightness` in the place of what the checkpoint holds."""
  config = ml_collections.ConfigDict({"model": {"task": "segmentation"}})
  variables = {"params": np.float32(0)}
  fake = types.SimpleNamespace(
    config=config,
    variables_for=lambda model: variables,
    step=7,
    dataset=DATASET,
    in_use=contextlib.nullcontext,
  )
  stand_in = Brightness()
  monkeypatch.setattr(folder.networks, "load", lambda path: fake)
  monkeypatch.setattr(folder.registry, "build_task", lambda config, dataset: stand_in)
  return stand_in


def photo(height: int, width: int) -> np.ndarray:
  """Bright on the left, dark on the right."""
  pixels = np.zeros((height, width, 3), np.uint8)
  pixels[:, : width // 2] = 255
  return pixels


def store(path: pathlib.Path, pixels: np.ndarray) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(images.encode_png(pixels))


def run(source: pathlib.Path, output: pathlib.Path, *more: str) -> int:
  return main(["predict", "--checkpoint=run", f"--input={source}", f"--output={output}", *more])


def labels(output: pathlib.Path, stem: str) -> np.ndarray:
  path = output / f"{stem}_labels.png"
  return images.decode_label(path.read_bytes(), str(path))


def test_one_photo_gives_labels_of_its_size_and_an_overlay(task, tmp_path, capsys):
  store(tmp_path / "a.png", photo(50, 70))
  assert run(tmp_path / "a.png", tmp_path / "out") == 0
  assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a_labels.png", "a_overlay.png"]
  np.testing.assert_array_equal(labels(tmp_path / "out", "a"), photo(50, 70)[..., 0] > 127)
  overlay = cv2.imread(str(tmp_path / "out" / "a_overlay.png"))
  assert overlay.shape[1] >= 7 * 70  # the largest whole factor that stays within 512
  assert task.shapes == [(1, 64, 96, 3)]
  said = capsys.readouterr().out
  assert "step 7" in said
  assert "1 of 1 photos done" in said


def test_folder_is_grouped_by_padded_shape(task, tmp_path):
  for name, size in {"a": (50, 70), "b": (20, 20), "c": (64, 96), "d": (33, 65)}.items():
    store(tmp_path / f"{name}.png", photo(*size))
  (tmp_path / "notes.txt").write_text("not a photo")
  (tmp_path / "folder.png").mkdir()
  assert run(tmp_path, tmp_path / "out", "--batch_size=2") == 0
  assert task.shapes == [(2, 64, 96, 3), (1, 32, 32, 3), (1, 64, 96, 3)]
  assert len(list((tmp_path / "out").iterdir())) == 8
  np.testing.assert_array_equal(labels(tmp_path / "out", "d"), photo(33, 65)[..., 0] > 127)


def test_folders_in_the_folder_are_counted(task, tmp_path, capsys):
  store(tmp_path / "in/a.png", photo(40, 40))
  store(tmp_path / "in/more/b.png", photo(40, 40))
  (tmp_path / "in/.hidden").mkdir()
  assert run(tmp_path / "in", tmp_path / "out") == 0
  assert f"{tmp_path / 'in'}: 1 folders in it are not looked into" in capsys.readouterr().err


def test_an_output_that_cannot_be_made_is_named(task, tmp_path, capsys):
  store(tmp_path / "a.png", photo(40, 40))
  (tmp_path / "file").write_text("")
  assert run(tmp_path / "a.png", tmp_path / "file/out") == 1
  assert f"--output: {tmp_path / 'file/out'} cannot be made" in capsys.readouterr().err


def test_large_photo_is_reduced_for_the_network_alone(task, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(folder.tqdm.tqdm, "write", lambda self, text: print(text))
  store(tmp_path / "a.png", photo(120, 400))
  assert run(tmp_path / "a.png", tmp_path / "out", "--max_side=100") == 0
  assert task.shapes == [(1, 32, 128, 3)]
  np.testing.assert_array_equal(labels(tmp_path / "out", "a"), photo(120, 400)[..., 0] > 127)
  assert "a.png: reduced from 400 x 120 to 100 x 30 for the network" in capsys.readouterr().out


def test_broken_photo_is_named_and_the_others_are_done(task, tmp_path, capsys):
  store(tmp_path / "a.png", photo(40, 40))
  store(tmp_path / "c.png", photo(40, 40))
  (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
  assert run(tmp_path, tmp_path / "out") == 1
  written = capsys.readouterr()
  assert "2 of 3 photos done" in written.out
  assert "b.png: corrupt" in written.err
  assert len(list((tmp_path / "out").iterdir())) == 4


def encoded(kind: str, pixels: np.ndarray, path: pathlib.Path) -> None:
  """Stores the photo in another pixel format; what is seen stays the same."""
  image = Image.fromarray(pixels)
  if kind == "turned":  # stored lying on its side, with the note to turn it back
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
  elif kind == "deep":
    path.write_bytes(cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes())
  else:
    image.convert(kind).save(path)


@pytest.mark.parametrize(
  ("kind", "suffix"),
  [
    *[(kind, "png") for kind in ("L", "LA", "RGBA", "P", "1", "deep", "turned")],
    *[(kind, "jpg") for kind in ("L", "CMYK", "turned")],
    *[("RGB", "webp"), ("RGB", "TIFF"), ("RGB", "bmp")],
  ],
)
def test_pixel_formats_are_read(kind, suffix, task, tmp_path):
  encoded(kind, photo(40, 64), tmp_path / f"a.{suffix}")
  assert run(tmp_path, tmp_path / "out") == 0
  found = labels(tmp_path / "out", "a")
  assert found.shape == (40, 64)
  assert (found == (photo(40, 64)[..., 0] > 127)).mean() > 0.98  # JPEG blurs the edge


@pytest.mark.parametrize("source", ["a.png", "."])
def test_folder_of_the_input_is_never_written_to(source, task, tmp_path, capsys):
  store(tmp_path / "a.png", photo(40, 40))
  assert run(tmp_path / source, tmp_path) == 1
  assert "holds the input" in capsys.readouterr().err
  assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_arguments_that_cannot_work_are_explained(task, tmp_path, capsys):
  (tmp_path / "empty").mkdir()
  assert run(tmp_path / "absent", tmp_path / "out") == 1
  assert "absent does not exist" in capsys.readouterr().err
  assert run(tmp_path / "empty", tmp_path / "out") == 1
  assert "no photo in" in capsys.readouterr().err
  store(tmp_path / "a.png", photo(40, 40))
  store(tmp_path / "a.jpg", photo(40, 40))
  assert run(tmp_path, tmp_path / "out") == 1
  assert "a.jpg and a.png would both be written to a_*.png" in capsys.readouterr().err
  (tmp_path / "file").write_text("")
  assert run(tmp_path / "a.png", tmp_path / "file") == 1
  assert "is a file; name a folder" in capsys.readouterr().err
  with pytest.raises(SystemExit):
    run(tmp_path / "a.png", tmp_path / "out", "--max_side=0")
  assert "0 is not positive" in capsys.readouterr().err


def test_task_without_predictions_is_named():
  config = ml_collections.ConfigDict({"model": {"task": "juggling"}})
  with pytest.raises(
    ValueError, match="task 'juggling'; known: classification, detection, landmarks, segmentation"
  ):
    folder.trained_network(types.SimpleNamespace(config=config))


def test_missing_checkpoint_is_an_error_in_one_line(tmp_path, capsys):
  store(tmp_path / "a.png", photo(40, 40))
  more = [f"--checkpoint={tmp_path / 'absent'}", f"--input={tmp_path}"]
  assert main(["predict", *more, f"--output={tmp_path / 'out'}"]) == 1
  error = capsys.readouterr().err
  assert error.startswith("hrnet predict: ")
  assert "absent" in error


class Channels:
  """Stands for a network: the scores are the colour channels, weighted, at stride 4."""

  head = types.SimpleNamespace(num_outputs=3)
  backbone = types.SimpleNamespace(upsample=Resize.BILINEAR_ALIGNED)

  def apply(self, variables, x, *, train: bool):
    return x[:, ::4, ::4] * variables["params"]["weight"]


def test_segmentation_takes_the_best_class_of_the_enlarged_scores(tmp_path, monkeypatch):
  pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
  store(tmp_path / "a.png", pixels)
  model = {"task": "segmentation", "num_classes": 3, "upsample": "bilinear_aligned"}
  variables = {"params": {"weight": np.float32([1, -1, 0.5])}}
  loaded = types.SimpleNamespace(
    config=ml_collections.ConfigDict({"model": model, "loss": {}}),
    variables_for=lambda model: variables,
    dataset={**DATASET, "name": "colours", "fingerprint": "0"},
  )
  monkeypatch.setattr(segmentation, "build_model", lambda **options: Channels())
  predictor = folder.trained_network(loaded)
  options = {"max_side": 99, "batch_size": 1}
  assert not folder.predict_all(predictor, [tmp_path / "a.png"], tmp_path, **options)

  padded = np.zeros((1, 64, 64, 3), np.uint8)  # black, not zero after normalisation
  padded[0, :40, :50] = pixels
  scores = Normalize()(padded)[:, ::4, ::4] * np.float32([1, -1, 0.5])
  want = resize(scores, (64, 64), "bilinear_aligned").argmax(-1)[0, :40, :50]
  assert set(np.unique(want)) == {0, 1, 2}
  assert (labels(tmp_path, "a") == want).mean() > 0.999  # jit rounds differently


@pytest.mark.parametrize("max_side", [99, 40])
def test_probabilities_of_all_classes_have_the_size_of_the_photo(tmp_path, monkeypatch, max_side):
  pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
  store(tmp_path / "a.png", pixels)
  model = {"task": "segmentation", "num_classes": 3, "upsample": "bilinear_aligned"}
  loaded = types.SimpleNamespace(
    config=ml_collections.ConfigDict({"model": model, "loss": {}}),
    variables_for=lambda model: {"params": {"weight": np.float32([1, -1, 0.5])}},
    dataset={**DATASET, "name": "colours", "fingerprint": "0"},
  )
  monkeypatch.setattr(segmentation, "build_model", lambda **options: Channels())
  network = folder.trained_network(loaded, probabilities=True)
  options = {"max_side": max_side, "batch_size": 1}
  assert not folder.predict_all(network, [tmp_path / "a.png"], tmp_path, **options)
  with np.load(tmp_path / "a_probabilities.npz") as file:
    probabilities, names = file["probabilities"], file["classes"].tolist()
  assert names == DATASET["class_names"]
  assert (probabilities.dtype, probabilities.shape) == (np.float16, (3, 40, 50))
  np.testing.assert_allclose(probabilities.astype(float).sum(0), 1, atol=2e-3)
  agree = probabilities.argmax(0) == labels(tmp_path, "a")
  assert agree.mean() > (0.99 if max_side > 50 else 0.9)  # of reduced photos, edges are blurred


def test_probabilities_mean_nothing_where_there_are_scores():
  loaded = types.SimpleNamespace(config=ml_collections.ConfigDict({"model": {"task": "detection"}}))
  with pytest.raises(ValueError, match="--probabilities means nothing to a network for detection"):
    folder.trained_network(loaded, probabilities=True)


def test_a_photo_whose_results_cannot_be_written_does_not_stop_the_others(
  task, tmp_path, capsys, monkeypatch
):
  name = "b" * 245  # with the ending of a result it is longer than a name may be
  for stem in ("a", name, "c"):
    store(tmp_path / f"{stem}.png", photo(40, 40))
  assert run(tmp_path, tmp_path / "out") == 1
  written = capsys.readouterr()
  assert "2 of 3 photos done" in written.out
  assert "its results cannot be written (File name too long)" in written.err
  assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_full_disk_is_said_for_each_photo_and_leaves_no_half_files(
  task, tmp_path, capsys, monkeypatch
):
  for stem in "ab":
    store(tmp_path / f"{stem}.png", photo(40, 40))

  def full(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, "fsync", full)
  assert run(tmp_path, tmp_path / "out") == 1
  written = capsys.readouterr()
  assert "0 of 2 photos done" in written.out
  for stem in "ab":
    assert f"{stem}.png: its results cannot be written (No space left on device)" in written.err
  assert not list((tmp_path / "out").iterdir())


def test_what_is_no_photo_is_named_and_counted(task, tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  store(tmp_path / "a.png", photo(40, 40))
  store(tmp_path / "._a.png", photo(40, 40))
  (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
  assert run("~", tmp_path / "out") == 0
  assert f"{tmp_path}: 1 file is left out (1 .mp4); looked for .jpg" in capsys.readouterr().err
  assert run(tmp_path / "clip.mp4", tmp_path / "out") == 1
  assert "clip.mp4: a video; what is read are JPEG" in capsys.readouterr().err


def test_programs_of_many_shapes_are_forgotten(task, tmp_path, monkeypatch):
  monkeypatch.setattr(folder, "_MOST_SHAPES", 2)
  forgotten = []
  monkeypatch.setattr(folder.jax, "clear_caches", lambda: forgotten.append(len(task.shapes)))
  for index in range(5):
    store(tmp_path / f"{index}.png", photo(40, 32 * (index + 1)))
  assert run(tmp_path, tmp_path / "out") == 0
  assert forgotten == [2, 4]


def test_a_photo_that_does_not_fit_into_the_memory_does_not_stop_the_others(
  task, tmp_path, capsys, monkeypatch
):
  for stem, side in (("a", 40), ("b", 100), ("c", 40)):
    store(tmp_path / f"{stem}.png", photo(side, side))
  outputs = task.outputs

  def narrow(variables, x):
    if x.shape[1] > 64:
      raise folder.jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
    return outputs(variables, x)

  monkeypatch.setattr(task, "outputs", narrow)
  assert run(tmp_path, tmp_path / "out") == 1
  written = capsys.readouterr()
  assert "2 of 3 photos done" in written.out
  assert "b.png: not enough memory; lower --max_side or --batch_size" in written.err
