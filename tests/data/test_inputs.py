"""Config to batches: how a task looks at a data set, and the size of evaluation."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.data import inputs, prepared
from hrnet_jax.data.datasets import shapes
from hrnet_jax.data.inputs import Inputs
from tests.helpers import coco_miniature, toy

TRANSFORM = {
  "segmentation": {"train": {"crop_size": (32, 32)}, "eval": {}},
  "classification": {
    "train": {"crop_size": (32, 32)},
    "eval": {"crop_size": (32, 32), "resize": 36},
  },
  "detection": {
    "train": {"canvas": ((128, 128),), "scales": ((128, 128),), "masks": True},
    "eval": {"canvas": ((128, 160), (160, 128)), "scale": (128, 128), "max_objects": 9},
  },
  "landmarks": {
    "train": {"crop": "affine", "crop_size": 32},
    "eval": {"crop": "affine", "crop_size": 32},
  },
}


def config(task, data_dir, **evaluate):
  return ml_collections.ConfigDict(
    {
      "seed": 0,
      "model": {"task": task},
      "data": {
        "name": "shapes",
        "data_dir": str(data_dir),
        "train_split": "train",
        "eval_split": "val",
        "workers": 0,
        "threads": 0,
      },
      "transform": {
        "train": TRANSFORM[task]["train"],
        "eval": TRANSFORM[task]["eval"] | evaluate,
      },
      "train": {"batch_size": 4},
      "eval": {"batch_size": 4},
    }
  )


def make(settings, dataset=None):
  """The inputs of a config."""
  return Inputs(settings, dataset or inputs.open_dataset(settings), registry.task_of(settings))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  """Three scenes and two."""
  folder = tmp_path_factory.mktemp("shapes")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(shapes, "SPLIT_SIZES", {"train": 3, "val": 2})
    inputs.open_dataset(config("segmentation", folder))
  return folder


def test_each_task_sees_its_own_examples(data_dir):
  whole = inputs.open_dataset(config("segmentation", data_dir))
  single = inputs.open_dataset(config("classification", data_dir))
  assert whole.splits() == {"train": 3, "val": 2}
  assert min(single.splits().values()) >= 6  # at least three shapes in a scene
  assert len(whole.class_names) == len(single.class_names) + 1


def test_batches_of_classification(data_dir):
  settings = config("classification", data_dir)
  source = make(settings)
  with source.train() as loader:
    batch = next(loader)
  assert batch["image"].shape == (4, 32, 32, 3)
  assert (batch["label"].shape, batch["label"].dtype) == ((4,), np.int32)
  with source.eval(height_multiple=64) as loader:  # cuts to its own size, whatever is asked
    batches = list(loader)
  assert {b["image"].shape for b in batches} == {(4, 32, 32, 3)}
  count = source.dataset.splits()["val"]
  assert sum(int(b["mask"].sum()) for b in batches) == count


def test_size_is_found_where_a_transform_pads(data_dir):
  settings = config("segmentation", data_dir)
  source = make(settings)
  with source.eval(batch_multiple=1) as loader:
    assert next(loader)["image"].shape == (2, 128, 128, 3)  # no more than there are
  with source.eval(height_multiple=96, batch_multiple=1) as loader:
    assert next(loader)["image"].shape == (2, 192, 128, 3)
  settings = config("segmentation", data_dir, size=(160, 128))
  with make(settings, source.dataset).eval(batch_multiple=1) as loader:
    assert next(loader)["image"].shape == (2, 160, 128, 3)


def test_batches_of_detection(data_dir):
  settings = config("detection", data_dir)
  source = make(settings)
  assert source.dataset.class_names == ("disc", "box", "triangle", "star", "kite")
  with source.train() as loader:
    batch = next(loader)
  assert {key: value.shape for key, value in batch.items()} == {
    "image": (4, 128, 128, 3),
    "image_size": (4, 2),
    "boxes": (4, 100, 4),
    "classes": (4, 100),
    "valid": (4, 100),
    "masks": (4, 100, 112, 112),
  }
  scenes = source.dataset.source("val")
  with source.eval(batch_multiple=1) as loader:
    (batch,) = list(loader)
  assert batch["image"].shape == (2, 160, 128, 3)  # square images are put on the tall canvas
  assert batch["mask"].tolist() == [True, True]
  for row in range(2):
    count = len(scenes[row]["classes"])
    np.testing.assert_array_equal(batch["boxes"][row, :count], scenes[row]["boxes"])
    assert batch["valid"][row].sum() == count


@pytest.fixture(scope="module")
def coco_dir(tmp_path_factory):
  """Two splits with four images each, of three shapes."""
  folder = tmp_path_factory.mktemp("coco")
  source = coco_miniature.write(folder / "source")
  prepared.prepare("coco/mini", folder / "data", source=source)
  return folder / "data"


def test_wide_and_tall_images_make_batches_of_their_own(coco_dir):
  settings = config("detection", coco_dir)
  settings.data.name, settings.train.batch_size = "coco/mini", 2
  settings.transform.train = {"canvas": ((64, 96), (96, 64)), "scales": ((96, 64),)}
  source = make(settings)
  with source.train() as loader:
    shapes = [next(loader)["image"].shape for _ in range(4)]
  wide, tall = (2, 64, 96, 3), (2, 96, 64, 3)
  # Two of each in every pass: c and b, a and d.
  assert sorted(shapes[:2]) == sorted(shapes[2:]) == [wide, tall]
  with source.eval(batch_multiple=4) as loader:
    (first, second) = list(loader)
  assert first["index"].tolist() == [1, 2, -1, -1]
  assert second["index"].tolist() == [0, 3, -1, -1]
  assert second["image_id"].tolist() == [10, 40, 40, 40]
  with source.eval(limit=1, batch_multiple=1) as loader:
    (batch,) = list(loader)
  assert batch["index"].tolist() == [0]
  with source.eval(batch_size=1) as loader:
    assert [x["index"].tolist() for x in loader] == [[1], [2], [0], [3]]
  settings.data.train_split = "train_objects"
  with make(settings, source.dataset).train() as loader:
    assert next(loader)["valid"].sum(1).tolist() == [2, 2]


def labels_of(loader, count):
  with loader:
    return [next(loader)["label"] for _ in range(count)]


def test_examples_come_from_another_split_after_the_switch(data_dir):
  settings = config("segmentation", data_dir)
  source = make(settings)
  plain, both = labels_of(source.train(), 3), labels_of(source.train(switch=(3, "val")), 6)
  np.testing.assert_array_equal(both[:3], plain)
  known = {name: labels_of(source.train(switch=(1, name)), 9)[1:] for name in ("train", "val")}
  np.testing.assert_array_equal(both[3:], known["val"][:3])
  # Even of the same split the order and the augmentation are others.
  assert not np.array_equal(known["train"][:3], plain)


def test_the_position_counts_on_over_the_switch(data_dir):
  settings = config("segmentation", data_dir)
  source = make(settings)
  straight = labels_of(source.train(switch=(3, "val")), 6)
  for start in range(6):
    loader = source.train(start=start, switch=(3, "val"))
    assert loader.state() == {"next_batch": start}
    np.testing.assert_array_equal(labels_of(loader, 6 - start), straight[start:])
    assert loader.state() == {"next_batch": 6}
    loader.close()
    with pytest.raises(ValueError, match="closed"):
      next(loader)


def test_only_the_first_examples_where_there_is_a_limit(data_dir):
  settings = config("segmentation", data_dir)
  settings.eval.batch_size = 1
  source = make(settings)
  with source.eval(batch_multiple=1) as loader:
    everything = [batch["image"] for batch in loader]
  assert len(everything) == 2
  for limit, expected in ((1, 1), (2, 2), (5, 2), (0, 2)):
    with source.eval(limit=limit) as loader:
      images = [batch["image"] for batch in loader]
    np.testing.assert_array_equal(images, everything[:expected])


def test_classes_of_images_are_not_read_from_label_maps(data_dir):
  settings = config("classification", data_dir)
  whole = inputs.open_dataset(config("segmentation", data_dir))
  with make(settings, whole).train() as loader, pytest.raises(ValueError, match="label maps"):
    next(loader)


def transform_of(settings, dataset, monkeypatch):
  """The training transform that the loader gets."""
  seen = []

  def load(source, transform, **options):
    seen.append(transform.transform)

  monkeypatch.setattr(inputs.pipeline, "train_loader", load)
  make(settings, dataset).train()
  return seen[0].__self__  # of its method


def test_partners_of_landmarks_are_known_from_the_data_set(data_dir, monkeypatch):
  settings = config("landmarks", data_dir)
  dataset = inputs.open_dataset(settings)
  assert transform_of(settings, dataset, monkeypatch).flip_pairs == dataset.flip_pairs == ((1, 2),)
  settings.transform.train.flip_pairs = ((3, 4),)
  assert transform_of(settings, dataset, monkeypatch).flip_pairs == ((3, 4),)


def test_landmarks_without_partners_are_not_mirrored_unasked(data_dir, monkeypatch):
  settings = config("landmarks", data_dir)
  bare = dataclasses.replace(inputs.open_dataset(settings), flip_pairs=())
  with pytest.raises(
    ValueError, match=r"'shapes' has no flip pairs.*set transform\.train\.flip to"
  ):
    make(settings, bare).train()
  settings.transform.train.flip = False
  assert not transform_of(settings, bare, monkeypatch).flip
  with settings.unlocked():
    settings.transform.train = {"crop": "affine", "crop_size": 32, "flip_pairs": ()}
  assert transform_of(settings, bare, monkeypatch).flip  # said so: all lie on the axis


def test_pairs_of_landmarks_are_none_of_classes(data_dir, monkeypatch):
  settings = config("segmentation", data_dir)
  dataset = inputs.open_dataset(settings)
  assert dataset.flip_pairs
  assert transform_of(settings, dataset, monkeypatch).flip_pairs == ()


def test_every_task_has_views_only_of_known_data_sets():
  for name in registry.task_names("train_transform"):
    assert set(registry.task_spec(name).views) <= set(registry.dataset_builders())
  assert all(
    registry.task_spec(name).has("train_transform") for name in registry.task_names("views")
  )


@pytest.mark.parametrize("task", ["segmentation", "classification", "detection", "landmarks"])
def test_a_damaged_image_is_named(task, data_dir, monkeypatch):
  settings = config(task, data_dir)
  records = list(inputs.open_dataset(settings).source("train"))
  damaged = [record | {"image": record["image"][:100]} for record in records]
  monkeypatch.setattr(type(inputs.open_dataset(settings)), "source", lambda self, split: damaged)
  name = damaged[0]["name"].split("/")[0][:5]
  with (
    make(settings).train() as loader,
    pytest.raises(ValueError, match=f"{name}.*corrupt or t"),
  ):
    next(loader)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_have_the_channels_of_the_network(channels, data_dir, monkeypatch):
  """Files are turned to grey or RGB; arrays have what they have."""
  for task in ("segmentation", "classification", "detection", "landmarks"):
    settings = config(task, data_dir)
    dataset = inputs.open_dataset(settings)
    records = {split: list(dataset.source(split)) for split in ("train", "val")}
    if channels == 5:
      noise = np.random.default_rng(0).integers(0, 256, (128, 128, 5), np.uint8)
      records = {split: [x | {"image": noise} for x in known] for split, known in records.items()}
    with monkeypatch.context() as patch, settings.unlocked():
      settings.model.channels = channels
      patch.setattr(type(dataset), "source", lambda self, split, records=records: records[split])
      batches = make(settings, dataset)
      for loader in (batches.train(), batches.eval(batch_multiple=1)):
        with loader:
          assert next(loader)["image"].shape[3] == channels


def test_files_of_five_channels_are_refused(data_dir):
  settings = config("segmentation", data_dir)
  with settings.unlocked():
    settings.model.channels = 5
  message = r"train_0000\d: image files are read with 1, 3 or 4 channels, but model.channels is 5"
  with make(settings).train() as loader, pytest.raises(ValueError, match=message):
    next(loader)


def test_what_cannot_work_is_said_before_the_first_step(dataset):
  settings = toy.get_config()
  inputs.Inputs(settings, dataset, registry.task_of(settings)).check()
  settings.data.eval_split = "test"
  with pytest.raises(ValueError, match=r"no split 'test'; known: train, val"):
    inputs.Inputs(settings, dataset, registry.task_of(settings)).check()
  settings.data.eval_split = "val"
  settings.transform.eval = {"sise": (32, 32)}
  with pytest.raises(TypeError, match=r"config\.transform\.eval\.sise is a key that nothing takes"):
    inputs.Inputs(settings, dataset, registry.task_of(settings)).check()


def test_a_batch_that_no_memory_holds_is_refused_before_it_is_read(data_dir):
  settings = config("segmentation", data_dir)
  settings.train.batch_size = 10**9
  message = r"train\.batch_size is 1000000000: a batch of this process takes \d+\.\d GiB of memory"
  with pytest.raises(ValueError, match=message):
    make(settings).check()
