"""Config to batches: how a task looks at a data set, and the size of evaluation."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import inputs
from hrnet_jax.data.builders import shapes
from hrnet_jax.data.inputs import Inputs

TRANSFORM = {
  "segmentation": {"train": {"crop_size": (32, 32)}, "eval": {}},
  "classification": {
    "train": {"crop_size": (32, 32)},
    "eval": {"crop_size": (32, 32), "resize": 36},
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
  source = Inputs(settings, inputs.open_dataset(settings))
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
  source = Inputs(settings, inputs.open_dataset(settings))
  with source.eval() as loader:
    assert next(loader)["image"].shape == (4, 128, 128, 3)
  with source.eval(height_multiple=96) as loader:
    assert next(loader)["image"].shape == (4, 192, 128, 3)
  settings = config("segmentation", data_dir, size=(160, 128))
  with Inputs(settings, source.dataset).eval() as loader:
    assert next(loader)["image"].shape == (4, 160, 128, 3)


def labels_of(loader, count):
  with loader:
    return [next(loader)["label"] for _ in range(count)]


def test_examples_come_from_another_split_after_the_switch(data_dir):
  settings = config("segmentation", data_dir)
  source = Inputs(settings, inputs.open_dataset(settings))
  plain, both = labels_of(source.train(), 3), labels_of(source.train(switch=(3, "val")), 6)
  np.testing.assert_array_equal(both[:3], plain)
  known = {name: labels_of(source.train(switch=(1, name)), 9)[1:] for name in ("train", "val")}
  np.testing.assert_array_equal(both[3:], known["val"][:3])
  # Even of the same split the order and the augmentation are others.
  assert not np.array_equal(known["train"][:3], plain)


def test_the_position_counts_on_over_the_switch(data_dir):
  settings = config("segmentation", data_dir)
  source = Inputs(settings, inputs.open_dataset(settings))
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
  source = Inputs(settings, inputs.open_dataset(settings))
  with source.eval() as loader:
    everything = [batch["image"] for batch in loader]
  assert len(everything) == 2
  for limit, expected in ((1, 1), (2, 2), (5, 2), (0, 2)):
    with source.eval(limit=limit) as loader:
      images = [batch["image"] for batch in loader]
    np.testing.assert_array_equal(images, everything[:expected])


def test_classes_of_images_are_not_read_from_label_maps(data_dir):
  settings = config("classification", data_dir)
  whole = inputs.open_dataset(config("segmentation", data_dir))
  with Inputs(settings, whole).train() as loader, pytest.raises(ValueError, match="label maps"):
    next(loader)


def transform_of(settings, dataset, monkeypatch):
  """The training transform that the loader gets."""
  seen = []
  monkeypatch.setattr(
    inputs.pipeline, "train_loader", lambda source, transform, **options: seen.append(transform)
  )
  Inputs(settings, dataset).train()
  return seen[0]


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
    Inputs(settings, bare).train()
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
  assert set(inputs.VIEWS) <= set(inputs.TRANSFORMS)
  for views in inputs.VIEWS.values():
    assert set(views) <= set(inputs.registry.BUILDERS)
