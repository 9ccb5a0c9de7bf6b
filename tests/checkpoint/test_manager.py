"""Saved and restored bit for bit; the best and the newest are kept, and found again."""

import re
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest

import hrnet_jax
from hrnet_jax import files
from hrnet_jax.checkpoint import networks, writer
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import Checkpoints
from tests.helpers import toy
from tests.helpers.states import (
  FACTS,
  MODEL,
  as_format_1,
  assert_same_bits,
  files_of,
  save,
  state_at,
  steps,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A workdir after five checkpoints, one of them without validation."""
  path = tmp_path_factory.mktemp("run")
  save(path, {1: 0.1, 2: 0.9, 3: 0.2, 4: None, 5: 0.3})
  return path


def test_the_best_and_the_two_newest_are_kept(run):
  assert steps(run) == [2, 4, 5]


def test_everything_comes_back_bit_for_bit(run):
  with Checkpoints(run, facts=FACTS) as saver:
    assert saver.latest == 5
    state, position = saver.restore(state_at(0), toy.make_mesh(1))
    assert saver.path(5) == run / "checkpoints" / "5"
  assert position == {"next_batch": 50}
  assert_same_bits(state, state_at(5))
  assert state.step.dtype == jnp.int32


@pytest.mark.parametrize(("data", "space"), [(8, 1), (2, 2)])
def test_other_devices_can_go_on(run, data, space):
  mesh = toy.make_mesh(data, space)
  with Checkpoints(run, facts=FACTS) as saver:
    state, _ = saver.restore(state_at(0, mesh), mesh)
  assert_same_bits(state, state_at(5))
  for x in jax.tree.leaves(state):
    assert x.sharding.device_set == set(mesh.devices.flat)


def test_the_layout_is_that_of_the_storage_library(run):
  """So that its own tools, and earlier versions, read what is written."""
  state = state_at(5)
  with ocp.CheckpointManager(run / "checkpoints") as found:
    assert sorted(found.all_steps()) == [2, 4, 5]
    items = found.restore(
      5,
      args=ocp.args.Composite(variables=ocp.args.StandardRestore(), loader=ocp.args.JsonRestore()),
    )
  assert_same_bits(items["variables"], state.variables)
  assert items["loader"] == {"next_batch": 50}


def test_a_state_may_change_while_it_is_written(tmp_path):
  state = state_at(7)
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    saver.save(state, {"next_batch": 1})
    for x in jax.tree.leaves(state):
      x.delete()  # as donation to the next step does
  assert_same_bits(networks.load(tmp_path).variables, state_at(7).variables)


def test_a_workdir_stands_for_its_best_checkpoint(run):
  loaded = networks.load(run)
  assert (loaded.step, loaded.path) == (2, run / "checkpoints" / "2")
  assert_same_bits(loaded.variables, state_at(2).variables)
  assert loaded.config.model.to_dict() == toy.get_config().model.to_dict() | {"modules": [1, 1, 1]}
  assert loaded.dataset == FACTS["dataset"]
  assert {x.device for x in jax.tree.leaves(loaded.variables)} == {jax.devices()[0]}


def test_a_folder_stands_for_itself(run):
  loaded = networks.load(str(run / "checkpoints" / "5"))
  assert loaded.step == 5
  assert_same_bits(loaded.variables, state_at(5).variables)
  assert networks.find(run / "checkpoints") == run / "checkpoints" / "2"


def test_variables_are_checked_against_the_network_that_takes_them(run):
  loaded = networks.load(run)
  assert loaded.variables_for(MODEL) is loaded.variables
  other = hrnet_jax.build_model(**toy.MODEL | {"num_classes": 4, "blocks": 2})
  with pytest.raises(ValueError, match="does not fit the network that its config") as error:
    loaded.variables_for(other)
  lines = str(error.value).splitlines()
  assert str(loaded.path) in lines[0]
  assert lines[1].endswith("absent in the checkpoint, float32(4,) in the network")
  assert re.fullmatch(r"  and \d+ more", lines[-1])


def test_reading_a_checkpoint_needs_no_network(run):
  code = (
    "import sys\n"
    "from hrnet_jax.checkpoint import manager, networks\n"
    f"networks.load({str(run)!r})\n"
    "print([x for x in sys.modules if x.startswith(('hrnet_jax.models', 'hrnet_jax.tasks'))])"
  )
  done = subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, capture_output=True, text=True)
  assert done.stdout.strip() == "[]", done.stderr


def test_without_a_score_the_newest_is_taken(tmp_path):
  save(tmp_path, {3: None, 8: None, 11: None})
  assert steps(tmp_path) == [8, 11]
  assert networks.find(tmp_path) == tmp_path / "checkpoints" / "11"


def test_one_may_be_kept_beside_the_best(tmp_path):
  save(tmp_path, {1: 0.5, 2: 0.4, 3: 0.3}, keep_last=1)
  assert steps(tmp_path) == [1, 3]
  save(tmp_path, {4: 0.6}, keep_last=1)
  assert steps(tmp_path) == [4]


def test_what_was_not_completed_does_not_count(tmp_path):
  save(tmp_path, {1: None})
  left = tmp_path / "checkpoints" / "9.orbax-checkpoint-tmp"
  (left / "variables").mkdir(parents=True)
  assert networks.find(tmp_path).name == "1"
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert saver.latest == 1
  assert not left.exists()


def test_no_checkpoint_is_said_with_the_place(tmp_path):
  message = rf"{re.escape(str(tmp_path))} holds no checkpoint: expected .*checkpoints"
  with pytest.raises(FileNotFoundError, match=message):
    networks.load(tmp_path)
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(FileNotFoundError, match="checkpoints holds no complete checkpoint"):
    networks.load(tmp_path)
  assert Checkpoints(tmp_path, facts=FACTS).latest is None


def damage(folder, change):
  """Changes the file of a checkpoint that holds most of its weights."""
  files = (folder / "variables" / "ocdbt.process_0" / "d").iterdir()
  file = max(files, key=lambda path: path.stat().st_size)
  file.write_bytes(change(bytearray(file.read_bytes())))


def flip(content):
  content[len(content) // 2] ^= 16
  return content


@pytest.mark.parametrize("change", [flip, lambda x: x[: len(x) // 2], lambda x: b""])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, capsys, change):
  save(tmp_path, {1: None, 2: None})
  damage(tmp_path / "checkpoints" / "2", change)
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    state, position = saver.restore(state_at(0), toy.make_mesh(1))
    assert_same_bits(state, state_at(1))
    assert position == {"next_batch": 10}
    saver.save(state_at(2), {"next_batch": 20})  # the place is free
  said = capsys.readouterr().err
  assert f"{tmp_path / 'checkpoints' / '2'} is damaged: " in said
  assert f"moved to {tmp_path / 'damaged' / '2_'}" in said
  assert steps(tmp_path) == [1, 2]
  assert len(list((tmp_path / "damaged").iterdir())) == 1
  assert_same_bits(networks.load(tmp_path).variables, state_at(2).variables)


def test_a_damaged_position_is_seen(tmp_path):
  save(tmp_path, {1: None, 2: None})
  path = next((tmp_path / "checkpoints" / "2" / "loader").glob("metadata"))
  path.write_text(path.read_text().replace("20", "21"))
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert saver.restore(state_at(0), toy.make_mesh(1))[1] == {"next_batch": 10}


def test_if_none_can_be_used_nothing_is_changed(tmp_path):
  save(tmp_path, {1: None, 2: None})
  for step in (1, 2):
    damage(tmp_path / "checkpoints" / str(step), flip)
  before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    message = r"(?s)no checkpoint of .* can be used:.*checkpoints/2: .*checkpoints/1: .*--workdir"
    with pytest.raises(ValueError, match=message):
      saver.restore(state_at(0), toy.make_mesh(1))
  assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
  with pytest.raises(Damaged, match=r"checkpoints/2 is damaged: .*use another"):
    networks.load(tmp_path)


def test_digests_are_missed_where_a_version_writes_them(tmp_path, capsys):
  save(tmp_path, {2: None, 3: None})
  shutil.rmtree(tmp_path / "checkpoints" / "3" / "digests")
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert_same_bits(saver.restore(state_at(0), toy.make_mesh(1))[0], state_at(2))
  assert "checkpoints/3 is damaged: its digests are missing" in capsys.readouterr().err


def test_checkpoints_without_digests_of_an_earlier_version_are_named(tmp_path, capsys):
  save(tmp_path, {3: None})
  as_format_1(tmp_path / "checkpoints" / "3", digests=False)
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert_same_bits(saver.restore(state_at(0), toy.make_mesh(1))[0], state_at(3))
  assert_same_bits(networks.load(tmp_path).variables, state_at(3).variables)
  said = capsys.readouterr().err
  assert said.count("checkpoints/3 is not checked: it was written by an earlier version") == 1


def test_checkpoints_with_digests_of_an_earlier_version_are_taken(tmp_path, capsys):
  save(tmp_path, {3: 0.5, 4: 0.4})
  for step in (3, 4):
    as_format_1(tmp_path / "checkpoints" / str(step))
  assert networks.load(tmp_path).step == 3
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert_same_bits(saver.restore(state_at(0), toy.make_mesh(1))[0], state_at(4))
  assert not capsys.readouterr().err


@pytest.mark.parametrize("old", [False, True])
def test_a_folder_under_another_step_is_found_out(tmp_path, capsys, old):
  save(tmp_path, {2: None, 3: None})
  (tmp_path / "checkpoints" / "3").rename(tmp_path / "checkpoints" / "7")
  if old:
    as_format_1(tmp_path / "checkpoints" / "7")
  else:
    with pytest.raises(Damaged, match="checkpoints/7 is damaged: step: the content is not what"):
      networks.load(tmp_path)
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert_same_bits(saver.restore(state_at(0), toy.make_mesh(1))[0], state_at(2))
  assert "checkpoints/7 is damaged: " in capsys.readouterr().err


def test_a_folder_without_room_is_said_and_tried_again(tmp_path, capsys, monkeypatch):
  with Checkpoints(tmp_path, facts=FACTS, retry_seconds=0.05) as saver:
    saver.save(state_at(1), {"next_batch": 10})
    assert saver.latest == 1
    with monkeypatch.context() as patch:
      patch.setattr(files, "PATIENCE", 0.1)
      patch.setattr(writer.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
      saver.save(state_at(2), {"next_batch": 20})
      with pytest.raises(OSError, match=r"could not be written .* goes on from step 1"):
        saver.finish()
    said = capsys.readouterr().err
    assert said.count("the checkpoint of step 2 could not be written: ") == 1
    assert "has room for 0 MiB" in said
    time.sleep(0.06)
    assert saver.retry_is_due
    saver.save(state_at(3), {"next_batch": 30})
    saver.finish()
    assert not saver.retry_is_due
  assert steps(tmp_path) == [1, 3]


def test_a_score_can_be_added_to_what_is_there(tmp_path):
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    saver.save(state_at(1), {"next_batch": 10, "evaluation_due": 1})
    assert saver.latest == 1
    before = files_of(tmp_path / "checkpoints" / "1")
    assert saver.restore(state_at(0), toy.make_mesh(1))[1] == {
      "next_batch": 10,
      "evaluation_due": 1,
    }
    saver.add_score(1, 0.5)
    assert saver.latest == 1
    after = files_of(tmp_path / "checkpoints" / "1")
    assert [str(x) for x in after if after[x] != before.get(x)] == ["metrics/metrics"]
    assert saver.restore(state_at(0), toy.make_mesh(1))[1] == {"next_batch": 10}
    saver.save(state_at(2), {"next_batch": 20}, score=0.4)
  assert networks.find(tmp_path).name == "1"


def test_added_scores_decide_what_is_kept(tmp_path):
  save(tmp_path, {1: 0.5, 2: None}, keep_last=1)
  with Checkpoints(tmp_path, facts=FACTS, keep_last=1) as saver:
    saver.add_score(2, 0.6)
  assert steps(tmp_path) == [2]


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path):
  with Checkpoints(tmp_path, facts=FACTS) as saver:
    assert saver.restore(state_at(0), toy.make_mesh(1)) is None


def test_at_least_one_is_kept(tmp_path):
  with pytest.raises(ValueError, match=r"checkpoint.keep_last is 0, expected 1 or more"):
    Checkpoints(tmp_path, facts=FACTS, keep_last=0)
