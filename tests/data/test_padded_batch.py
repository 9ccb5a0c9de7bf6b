"""Examples of several sizes in one batch, and out of it again."""

import numpy as np
import pytest

from hrnet_jax.data import padded_batch

SIZES = [(3, 5), (70, 20), (64, 64)]


def examples():
  rng = np.random.default_rng(0)
  return [
    {
      "image": rng.integers(0, 256, (*size, 3)).astype(np.uint8),
      "label": rng.integers(0, 5, size[::-1]).astype(np.uint8),
      "index": np.int32(i),
    }
    for i, size in enumerate(SIZES)
  ]


def test_maps_are_padded_and_sizes_kept():
  batch = padded_batch.StackPadded({"image": 0, "label": 255})(examples())
  assert batch["image"].shape == (3, 128, 64, 3)
  assert batch["label"].shape == (3, 64, 128)
  assert batch["image_size"].tolist() == [list(size) for size in SIZES]
  assert batch["label_size"].tolist() == [list(size[::-1]) for size in SIZES]
  assert batch["index"].tolist() == [0, 1, 2]
  assert not batch["image"][0, 3:].any()
  assert not batch["image"][0, :, 5:].any()
  assert (batch["label"][0, 5:] == 255).all()
  assert (batch["label"][0, :, 3:] == 255).all()


@pytest.mark.parametrize("multiple", [1, 64])
def test_examples_come_out_as_they_went_in(multiple):
  batch = padded_batch.StackPadded({"image": 7, "label": 255}, multiple)(examples())
  assert batch["image"].shape[1:3] == ((70, 64) if multiple == 1 else (128, 64))
  for row, expected in enumerate(examples()):
    found = padded_batch.example(batch, row)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
      np.testing.assert_array_equal(found[key], value)


def test_a_batch_of_one_size_gives_its_rows():
  batch = {"image": np.arange(24).reshape(2, 3, 4), "crop_size": np.array([3, 4])}
  assert padded_batch.example(batch, 1)["image"].tolist() == batch["image"][1].tolist()
  assert padded_batch.example(batch, 1)["crop_size"] == 4  # no map of this name, so no size of one
