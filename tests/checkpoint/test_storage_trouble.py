"""Storage that fails for a while: unreadable is not damaged, and what cannot be written waits."""

from collections.abc import Callable
import pathlib
import threading
from typing import Any

import numpy as np
import pytest

from hrnet_jax import files
from hrnet_jax.checkpoint import handlers, manager, networks, reading, writer
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.reading import Gone, Unreadable
from hrnet_jax.distributed import collectives
from hrnet_jax.errors import UserError
from tests.helpers import states, toy
from tests.helpers.states import FACTS, small_at


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
  """A workdir with two checkpoints."""
  states.save(tmp_path, {1: None, 2: None}, make=small_at)
  return tmp_path


def times(number: int, error: Exception, action: Callable[..., Any]) -> Callable[..., Any]:
  """An action that fails so many times first."""
  left = [error] * number

  def attempt(*args: Any, **kwargs: Any) -> Any:
    if left:
      raise left.pop()
    return action(*args, **kwargs)

  return attempt


def restored(run: pathlib.Path) -> Any:
  with Checkpoints(run, facts=FACTS) as saver:
    return saver.restore(small_at(0), toy.make_mesh(1))


SAID = [
  OSError(5, "Input/output error"),
  OSError(116, "Stale file handle"),
  ValueError("UNKNOWN: Error reading 'd/x': Input/output error [os_error_code='5']"),
]


@pytest.mark.parametrize("error", SAID)
def test_errors_that_pass_are_waited_out(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
  monkeypatch.setattr(handlers, "_restore", times(3, error, handlers._restore))
  states.assert_same_bits(restored(run)[0], small_at(2))
  assert states.steps(run) == [1, 2]
  assert not (run / "damaged").exists()


def test_errors_that_stay_are_told_and_nothing_is_called_damaged(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(files, "PATIENCE", 0.2)
  monkeypatch.setattr(handlers, "_restore", times(99, SAID[2], handlers._restore))
  before = states.files_of(run)
  for read in (restored, networks.load):
    with pytest.raises(Unreadable, match=r"checkpoints/2 cannot be read now, .*Errno 5"):
      read(run)
  assert states.files_of(run) == before


def test_bytes_that_the_system_does_not_give_are_not_judged(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """The storage library may say anything; plain reads decide."""
  monkeypatch.setattr(files, "PATIENCE", 0.2)
  strange = ValueError("DATA_LOSS: manifest is corrupt")
  monkeypatch.setattr(handlers, "_restore", times(99, strange, handlers._restore))
  with monkeypatch.context() as patch:
    fail = times(99, OSError(5, "Input/output error"), pathlib.Path.open)
    patch.setattr(pathlib.Path, "open", fail)
    with pytest.raises(Unreadable, match="cannot be read now"):
      reading.reliably(run / "checkpoints" / "2", lambda: handlers._restore(run, None))
  with pytest.raises(Damaged, match=r"checkpoints/2 is damaged: DATA_LOSS: manifest is corrupt"):
    networks.load(run)


def test_a_folder_that_is_away_while_it_is_read_is_waited_for(run: pathlib.Path) -> None:
  (run / "checkpoints").rename(run / "away")
  timer = threading.Timer(0.3, lambda: (run / "away").rename(run / "checkpoints"))
  timer.start()
  found = handlers.read(run / "checkpoints" / "2", {"variables": None}, ("facts",))
  states.assert_same_bits(found["variables"], small_at(2).variables)


def vote(monkeypatch: pytest.MonkeyPatch, other: int) -> None:
  """A second process that always finds the same."""
  monkeypatch.setattr(
    collectives, "exchange", lambda x: np.array([x, other]) if np.ndim(x) == 0 else x[None]
  )


def test_trouble_in_another_process_ends_all(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  before = states.files_of(run)
  vote(monkeypatch, manager._Found.NOT_USABLE)
  with pytest.raises(UserError, match=r"checkpoints/2: another process cannot use it"):
    restored(run)
  vote(monkeypatch, manager._Found.GONE)
  with pytest.raises(UserError, match=r"checkpoints/2: another process cannot use it"):
    restored(run)
  assert states.files_of(run) == before


def test_damage_that_another_process_sees_counts(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with monkeypatch.context() as patch:
    vote(patch, manager._Found.DAMAGED)
    with pytest.raises(UserError, match=r"no checkpoint of .* can be used"):
      restored(run)
  (run / "checkpoints" / "2" / "loader" / "metadata").unlink()
  vote(monkeypatch, manager._Found.WHOLE)
  states.assert_same_bits(restored(run)[0], small_at(1))
  assert [x.name[:2] for x in (run / "damaged").iterdir()] == ["2_"]


def test_one_that_was_removed_is_not_waited_for(run: pathlib.Path) -> None:
  with pytest.raises(Gone, match="checkpoints/7 is not there any more"):
    handlers.read(run / "checkpoints" / "7", {"variables": None})
  with pytest.raises(Gone, match="checkpoints/7 is not there any more"):
    networks.load(run / "checkpoints" / "7")


def test_a_folder_that_is_away_while_it_is_written_to_is_waited_for(
  run: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
  with Checkpoints(run, facts=FACTS) as saver:
    (run / "checkpoints").rename(run / "away")
    saver.save(small_at(3), {"next_batch": 30})
    assert not (run / "checkpoints").exists()  # nobody makes one under a mount point
    (run / "away").rename(run / "checkpoints")
    saver.finish()
  assert states.steps(run) == [2, 3]
  assert not capsys.readouterr().err


@pytest.mark.parametrize("number", [5, 28])
def test_a_last_save_that_fails_is_tried_again(
  run: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  number: int,
) -> None:
  """28: no room, or no inodes, where statistics of the disk still show room."""
  monkeypatch.setattr(manager, "_PAUSE", 0.01)
  with Checkpoints(run, facts=FACTS) as saver:
    monkeypatch.setattr(writer, "_check_room", times(2, OSError(number, "no"), lambda *_: None))
    saver.save(small_at(3), {"next_batch": 30})
    saver.finish()
  assert states.steps(run) == [2, 3]
  assert capsys.readouterr().err.count("could not be written") == (number == 28)


def test_other_failures_end_the_run_at_once(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with Checkpoints(run, facts=FACTS) as saver:
    monkeypatch.setattr(writer, "_check_room", times(99, OSError(30, "read-only"), lambda *_: None))
    saver.save(small_at(3), {"next_batch": 30})
    with pytest.raises(OSError, match=r"goes on from step 2"):
      saver.finish()


def test_a_failure_leaves_what_was_there(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  before = states.files_of(run)
  with Checkpoints(run, facts=FACTS, keep_last=1) as saver:
    for name in ("_write_arrays", "_write_description"):
      with monkeypatch.context() as patch:
        patch.setattr(handlers, name, times(99, OSError(13, "denied"), lambda *_: None))
        saver.save(small_at(3), {"next_batch": 30})
        assert saver.latest == 2
    with monkeypatch.context() as patch:
      patch.setattr(files, "publish", times(99, OSError(13, "denied"), files.publish))
      saver.save(small_at(3), {"next_batch": 30})
      assert saver.latest == 2
    assert states.files_of(run) == before
    saver.save(small_at(3), {"next_batch": 30})
  assert states.steps(run) == [3]


def test_the_old_goes_after_the_new_has_come(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  publish, seen = files.publish, []

  def look(temporary: pathlib.Path, path: pathlib.Path) -> None:
    seen.append(states.files_of(run / "checkpoints" / "2"))
    publish(temporary, path)

  monkeypatch.setattr(files, "publish", look)
  before = states.files_of(run / "checkpoints" / "2")
  states.save(run, {3: None}, keep_last=1, make=small_at)
  assert before in seen
  assert states.steps(run) == [3]


def test_a_name_that_may_not_outlive_a_power_cut_is_made_sure_of(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """The checkpoint has its name, but its folder could not be brought to the disk at once."""
  sync, left = files.sync_names, [OSError(5, "Input/output error")]

  def fail(folder: pathlib.Path) -> None:
    if left and folder == run / "checkpoints":
      raise left.pop()
    sync(folder)

  with Checkpoints(run, facts=FACTS) as saver:
    monkeypatch.setattr(files, "sync_names", fail)
    saver.save(small_at(3), {"next_batch": 30})
    saver.finish()
  assert not left
  states.assert_same_bits(restored(run)[0], small_at(3))


def test_a_step_that_is_there_stays(run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
  before = states.files_of(run)
  with Checkpoints(run, facts=FACTS) as saver:
    saver.save(small_at(2), {"next_batch": 99})
  assert states.files_of(run) == before
  assert "checkpoints/2 is there already, and stays" in capsys.readouterr().err


def test_nobody_waits_without_end(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  monkeypatch.setattr(writer, "_PATIENCE", 0.0)
  released = threading.Event()
  monkeypatch.setattr(manager, "publish_folder", lambda *_: released.wait())
  with Checkpoints(run, facts=FACTS) as saver:
    saver.save(small_at(3), {"next_batch": 30})
    saver.save(small_at(4), {"next_batch": 40})  # does not begin a second one
    with pytest.raises(OSError, match="could not be written"):
      saver.finish()
    thread = saver._write
  released.set()
  thread.join()
  said = capsys.readouterr().err
  assert "waiting until the checkpoint of step 3 is written" in said
  assert "storage hangs; the checkpoint of step 3 is not written after" in said
  assert thread.daemon
