"""Meshes, what each device gets, and sizes that are refused."""

import numpy as np
import pytest

from hrnet_jax.training import sharding
from tests import toy


@pytest.mark.parametrize(
  ("shape", "sizes"),
  [
    ({"data": -1, "space": 1}, (8, 1)),
    ({"data": 4, "space": 2}, (4, 2)),
    ({"space": 4, "data": -1}, (2, 4)),
    ({"data": 2, "space": -1}, (2, 4)),
    ({"space": 8}, (1, 8)),
  ],
)
def test_mesh_covers_the_devices(shape, sizes):
  mesh = sharding.make_mesh(shape)
  assert (mesh.shape["data"], mesh.shape["space"]) == sizes
  assert mesh.size == 8


@pytest.mark.parametrize(
  "shape",
  [
    {"data": 3, "space": 1},
    {"data": 16},
    {"data": -1, "space": 3},
    {"data": -1, "space": -1},
    {"data": 0, "space": 8},
    {"data": -1, "space": -2},
    {},
  ],
)
def test_mesh_that_does_not_cover_the_devices_is_refused(shape):
  with pytest.raises(ValueError, match=r"does not cover the 8 devices; use -1 for one axis"):
    sharding.make_mesh(shape)


def test_unknown_axis_is_named():
  with pytest.raises(ValueError, match=r"unknown mesh axes \['model'\]; known: data, space"):
    sharding.make_mesh({"data": 4, "model": 2})


def test_batch_and_height_are_split_and_nothing_else():
  mesh = toy.make_mesh(4, 2)
  batch = toy.make_batch((8, 64, 32)) | {"mask": np.arange(8) < 5}
  there = sharding.to_global(batch, mesh)
  shards = {name: {s.data.shape for s in x.addressable_shards} for name, x in there.items()}
  assert shards == {"image": {(2, 32, 32, 3)}, "label": {(2, 32, 32)}, "mask": {(2,)}}
  for name, value in batch.items():
    np.testing.assert_array_equal(there[name], value)
    assert there[name].dtype == value.dtype


def test_replicated_is_whole_everywhere():
  placed = sharding.jax.device_put(np.arange(6.0), sharding.replicated(toy.make_mesh(4, 2)))
  assert [s.data.shape for s in placed.addressable_shards] == [(6,)] * 8


def test_batch_size_must_divide_over_the_data_axis():
  sharding.check_batch(toy.make_mesh(4, 2), 12, "train.batch_size")
  with pytest.raises(ValueError, match=r"eval.batch_size is 10, not a multiple of 4: 4 devices"):
    sharding.check_batch(toy.make_mesh(4, 2), 10, "eval.batch_size")
  with pytest.raises(ValueError, match=r"train.batch_size is 0"):
    sharding.check_batch(toy.make_mesh(1), 0, "train.batch_size")


def test_every_part_of_an_accumulated_batch_must_divide():
  sharding.check_batch(toy.make_mesh(4), 16, "train.batch_size", 4)
  message = r"train.batch_size is 12, not a multiple of 8: .* times 2 parts \(train.accumulate\)"
  with pytest.raises(ValueError, match=message):
    sharding.check_batch(toy.make_mesh(4), 12, "train.batch_size", 2)
  with pytest.raises(ValueError, match=r"train.accumulate is 0, expected 1 or more"):
    sharding.check_batch(toy.make_mesh(4), 12, "train.batch_size", 0)


def test_height_is_refused_with_the_multiple_to_use():
  mesh = toy.make_mesh(2, 2)
  assert sharding.height_multiple(mesh) == 64
  sharding.check_height(mesh, 128)
  with pytest.raises(ValueError, match=r"height 96 .* over 2 devices .* a multiple of 64"):
    sharding.check_height(mesh, 96)
  with pytest.raises(ValueError, match=r"image height 64 .* a multiple of 128"):
    sharding.to_global(toy.make_batch((2, 64, 64)), toy.make_mesh(2, 4))


def test_any_height_goes_where_it_is_not_split():
  mesh = toy.make_mesh(8)
  assert sharding.height_multiple(mesh) == 1
  sharding.check_height(mesh, 473)
