"""Meshes, what each device gets, and sizes that are refused."""

import types

import numpy as np
import pytest

from hrnet_jax.distributed import sharding
from tests.helpers import toy


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
  batch = toy.make_batch((8, 128, 32)) | {"mask": np.arange(8) < 5}
  there = sharding.to_global(batch, mesh)
  shards = {name: {s.data.shape for s in x.addressable_shards} for name, x in there.items()}
  assert shards == {"image": {(2, 64, 32, 3)}, "label": {(2, 64, 32)}, "mask": {(2,)}}
  for name, value in batch.items():
    np.testing.assert_array_equal(there[name], value)
    assert there[name].dtype == value.dtype


def test_points_are_not_split_along_the_height():
  batch = toy.make_batch((4, 128, 32)) | {"points": np.arange(4 * 6 * 2.0).reshape(4, 6, 2)}
  there = sharding.to_global(batch, toy.make_mesh(2, 4))
  assert {s.data.shape for s in there["points"].addressable_shards} == {(2, 6, 2)}


def test_one_process_reads_everything():
  assert sharding.data_share(toy.make_mesh(4, 2)) == (0, 1)


class Device:
  """What a mesh wants to know of a device of another process."""

  def __init__(self, process, number):
    self.process_index, self.id, self.platform = process, number, "fake"


@pytest.mark.parametrize(
  ("shape", "processes", "shares"),
  [
    ((8, 1), 2, [(0, 2), (1, 2)]),
    ((4, 2), 4, [(0, 4), (1, 4), (2, 4), (3, 4)]),
    ((2, 4), 4, [(0, 2), (0, 2), (1, 2), (1, 2)]),  # two processes for each image
    ((1, 8), 2, [(0, 1), (0, 1)]),
  ],
)
def test_every_process_reads_a_run_of_rows(monkeypatch, shape, processes, shares):
  owners = np.repeat(np.arange(processes), 8 // processes)
  devices = np.array([Device(p, i) for i, p in enumerate(owners)]).reshape(shape)
  mesh = types.SimpleNamespace(devices=devices, shape={"data": shape[0], "space": shape[1]})
  found = []
  for process in range(processes):
    monkeypatch.setattr(sharding.jax, "process_index", lambda process=process: process)
    found.append(sharding.data_share(mesh))
  assert found == shares


def test_processes_that_cannot_share_equally_are_refused(monkeypatch):
  devices = np.array([Device(p, i) for i, p in enumerate([0, 0, 0, 1])]).reshape(4, 1)
  mesh = types.SimpleNamespace(devices=devices, shape={"data": 4, "space": 1})
  monkeypatch.setattr(sharding.jax, "process_count", lambda: 2)
  with pytest.raises(ValueError, match=r"2 processes cannot take equal parts of a batch on mesh"):
    sharding.data_share(mesh)


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
  for height in (64, 128):
    sharding.check_height(mesh, height)
  for height in (96, 160):
    with pytest.raises(ValueError, match=rf"height {height} .* over 2 devices .* a multiple of 64"):
      sharding.check_height(mesh, height)
  with pytest.raises(ValueError, match=r"image height 64 .* a multiple of 128"):
    sharding.to_global(toy.make_batch((2, 64, 64)), toy.make_mesh(2, 4))


def test_gradients_need_more_rows():
  mesh = toy.make_mesh(2, 2)
  sharding.check_height(mesh, 128, gradients=True)
  for height in (64, 96, 160):
    message = rf"height {height} .* over 2 devices .* a multiple of 64, 128 or more"
    with pytest.raises(ValueError, match=message):
      sharding.check_height(mesh, height, gradients=True)
  sharding.check_height(toy.make_mesh(1, 2), 64, gradients=True)


def test_any_height_goes_where_it_is_not_split():
  mesh = toy.make_mesh(8)
  assert sharding.height_multiple(mesh) == 1
  sharding.check_height(mesh, 473)
