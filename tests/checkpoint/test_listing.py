"""What is not a checkpoint is passed over with a word; leftovers go; readers outlive rotation."""

import pathlib
import shutil
import threading

import pytest

from hrnet_jax.checkpoint import handlers, listing, networks, reading
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.reading import Gone
from tests.helpers import states, toy
from tests.helpers.states import FACTS, small_at


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
  """A workdir with two checkpoints, of which the first is the best."""
  states.save(tmp_path, {12: 0.9, 13: 0.1}, make=small_at)
  return tmp_path


def test_strangers_are_passed_over_with_one_word(
  run: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
  folder = run / "checkpoints"
  (folder / "best").symlink_to("12")
  shutil.copytree(folder / "12", folder / "12_copy")
  shutil.copytree(folder / "12", folder / "012")
  for name in ("14", "notes.txt", ".DS_Store", "²"):
    (folder / name).write_text("")
  (folder / "99999999999").mkdir()
  (folder / "15").symlink_to("nowhere")
  assert networks.load(run).step == 12
  with Checkpoints(run, facts=FACTS) as saver:
    states.assert_same_bits(saver.restore(small_at(0), toy.make_mesh(1))[0], small_at(13))
    saver.save(small_at(16), {"next_batch": 160})
  assert sorted(listing.steps_in(folder)) == [12, 13, 16]
  said = capsys.readouterr().err
  assert said == (
    f"{folder}: 012, 12_copy, 14, 15, 99999999999 and 3 more passed over: checkpoints are folders "
    "that are called by their step\n"
  )
  assert (folder / "best").is_symlink()
  assert (folder / "12_copy" / "facts").is_dir()


def test_a_checkpoint_may_lie_elsewhere(run: pathlib.Path) -> None:
  (run / "checkpoints" / "13").rename(run / "large_disk")
  (run / "checkpoints" / "13").symlink_to(run / "large_disk")
  states.save(run, {14: None, 15: None}, make=small_at)
  assert states.steps(run) == [12, 14, 15]
  assert (run / "large_disk" / "facts").is_dir()  # the link went


def test_leftovers_of_killed_runs_go(run: pathlib.Path) -> None:
  folder = run / "checkpoints"
  before = states.files_of(folder)
  left = [
    folder / "14.orbax-checkpoint-tmp" / "variables",
    folder / "14.orbax-checkpoint-tmp-1234" / "variables",
    folder / ".14.hrnet-0123456789ab.tmp" / "variables",
  ]
  for path in left:
    path.mkdir(parents=True)
  (folder / "13" / "metrics" / ".metrics.hrnet-0123456789ab.tmp").write_text("{")
  (folder / ".notes.tmp").write_text("a user's")
  assert networks.find(run).name == "12"  # readers leave them alone
  assert all(path.exists() for path in left)
  with Checkpoints(run, facts=FACTS) as saver:
    assert saver.latest == 13
  assert states.files_of(folder) == before | {pathlib.Path(".notes.tmp"): b"a user's"}


def test_readers_outlive_rotation(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
  """A run that keeps one checkpoint saves every step, while another process loads."""
  stop, last = threading.Event(), 0

  def train() -> None:
    nonlocal last
    with Checkpoints(tmp_path, facts=FACTS, keep_last=1) as saver:
      while not stop.is_set():
        last += 1
        saver.save(small_at(last), {"next_batch": last})

  states.save(tmp_path, {0: None}, keep_last=1, make=small_at)
  thread = threading.Thread(target=train)
  thread.start()
  try:
    while last < 8 and thread.is_alive():
      loaded = networks.load(tmp_path)
      states.assert_same_bits(loaded.variables, small_at(loaded.step).variables)
  finally:
    stop.set()
    thread.join()
  assert last >= 8
  assert states.steps(tmp_path) == [last]


def test_what_goes_while_it_is_read_is_chosen_again(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  read = handlers.read

  def lose(folder: pathlib.Path, *args: object) -> object:
    if folder.name == "12":
      shutil.rmtree(folder, ignore_errors=True)
      raise Gone(folder)
    return read(folder, *args)

  monkeypatch.setattr(handlers, "read", lose)
  assert networks.load(run).step == 13
  assert "checkpoints/12 was removed while it was read; choosing again" in capsys.readouterr().err
  states.save(run, {12: 0.9}, keep_last=3, make=small_at)
  with pytest.raises(Gone):  # by its name it is that one or none
    networks.load(run / "checkpoints" / "12")


def test_files_that_are_open_stay(run: pathlib.Path) -> None:
  folder = run / "checkpoints" / "13"
  with reading.held(folder, ("variables", "facts", "digests")) as copy:
    listing.remove(folder)
    found = handlers.read(copy, {"variables": None}, ("facts",))
    assert sorted(x.name for x in copy.iterdir()) == ["digests", "facts", "variables"]
  states.assert_same_bits(found["variables"], small_at(13).variables)
  assert not copy.exists()
  with pytest.raises(Gone), reading.held(folder, ("variables",)):
    pass
