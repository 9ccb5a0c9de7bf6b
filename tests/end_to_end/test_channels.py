"""Images with one channel and with five: a step, predictions and a program, rightly normalised."""

import pathlib

import jax
import ml_collections
import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.export import check, program
from hrnet_jax.predict import folder
from tests.helpers import one_step

STATISTICS = {
  1: {"mean": (0.4,), "std": (0.3,)},
  5: {"mean": (0.1, 0.2, 0.3, 0.4, 0.5), "std": (0.5, 0.4, 0.3, 0.2, 0.1)},
}
INFO = DatasetInfo(name="x", class_names=("a", "b"), palette=((0, 0, 0), (250, 250, 0)))
TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}


def make_config(channels: int) -> ml_collections.ConfigDict:
  model = {"task": "segmentation", "num_classes": 2, "upsample": "bilinear", "channels": channels}
  return ml_collections.ConfigDict(
    {
      "model": model | TOY,
      "data": {"normalize": STATISTICS[channels]},
      "loss": {},
      "transform": {"eval": {}},
    }
  )


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 5])
def test_every_step_of_the_way(channels: int, tmp_path: pathlib.Path) -> None:
  config, rng = make_config(channels), np.random.default_rng(0)
  task = registry.build_task(config, INFO)
  pixels = rng.integers(0, 256, (2, 64, 96, channels), np.uint8)
  batch = {"image": pixels, "label": rng.integers(0, 2, (2, 64, 96)).astype(np.uint8)}
  devices = np.array(jax.devices()[:1]).reshape(1, 1)
  mesh = jax.sharding.Mesh(devices, ("data", "space"))
  state, scalars = one_step.run(task, mesh, batch)
  assert np.isfinite(scalars["loss"])

  facts = {"config": config.to_dict(), "dataset": INFO.to_dict()}
  networks.export(tmp_path / "run", state.variables, facts)
  mean, std = (np.array(STATISTICS[channels][key]) for key in ("mean", "std"))
  normalised = ((pixels / 255 - mean) / std).astype(np.float32)
  logits = jax.jit(lambda v, x: task.outputs(v, x))(state.variables, normalised)
  expected = np.asarray(task.predict(logits, (64, 96)))

  names = ["a.npy", "b.npy"] if channels == 5 else ["a.png", "b.png"]
  (tmp_path / "in").mkdir()
  for name, image in zip(names, pixels, strict=True):
    if channels == 5:
      np.save(tmp_path / "in" / name, image)
    else:
      (tmp_path / "in" / name).write_bytes(images.encode_png(image[..., 0]))
  failed = folder.predict_folder(
    tmp_path / "run", tmp_path / "in", tmp_path / "out", max_side=99, batch_size=2
  )
  assert not failed
  for stem, label in zip("ab", expected, strict=True):
    path = tmp_path / "out" / f"{stem}_labels.png"
    assert (images.decode_label(path.read_bytes(), stem) == label).mean() > 0.999
    assert (tmp_path / "out" / f"{stem}_overlay.png").is_file()

  made = program.build(networks.load(tmp_path / "run"), "predictions", size=(64, 96))
  data = bytes(program.trace(made, ("cpu",)).serialize())
  (agreement, *_) = check.check(data, made)
  assert agreement.shape == (1, 64, 96, channels)
  assert agreement.folding < check.TOLERANCE["float32"]
  found = jax.jit(lambda x: made.folded(x)[0])(pixels)
  assert (np.asarray(found) == expected).mean() > 0.999


def test_statistics_are_asked_for() -> None:
  config = make_config(5)
  config.data.normalize = {}
  with pytest.raises(
    ValueError, match=r"model\.channels is 5, .*; set data\.normalize to \{'mean'"
  ):
    registry.build_task(config, INFO)
