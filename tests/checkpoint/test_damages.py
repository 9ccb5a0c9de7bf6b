"""Every file of a checkpoint damaged in every way: right bits, the checkpoint before, or an error.

Never other bits, and never is one checkpoint in the way of another.
"""

from collections import Counter
from collections.abc import Callable
import pathlib
import re
import shutil

import jax
import numpy as np
import pytest

from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState
from tests.helpers import states, toy
from tests.helpers.states import FACTS, small_at

Damage = Callable[[pathlib.Path], None]


def flip(at: float, bit: int) -> Damage:
  """Turns a bit over, at a part of the file."""

  def change(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[min(int(at * len(data)), len(data) - 1)] ^= 1 << bit
    path.write_bytes(data)

  return change


def cut(part: float) -> Damage:
  """Leaves the beginning."""

  def change(path: pathlib.Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])

  return change


DAMAGES: dict[str, Damage] = {
  "first bit": flip(0.0, 7),
  "a bit before the middle": flip(0.4, 0),
  "a bit near the end": flip(0.9, 4),
  "cut off": cut(0.5),
  "empty": cut(0.0),
  "lost": pathlib.Path.unlink,
}


def same(state: TrainState, expected: TrainState) -> bool:
  pairs = zip(*map(jax.tree.leaves, jax.device_get((state, expected))), strict=True)
  return all(np.array_equal(x, y) for x, y in pairs)


def resumed(run: pathlib.Path) -> str:
  """How a run goes on whose newest checkpoint, of step 2, was damaged."""
  with Checkpoints(run, facts=FACTS) as saver:
    state, position = saver.restore(small_at(0), toy.make_mesh(1))
    step = int(state.step)
    assert same(state, small_at(step))
    assert position == {"next_batch": 10 * step}
    saver.save(small_at(3), {"next_batch": 30})
    saver.finish()
  assert networks.load(run / "checkpoints" / "3").step == 3
  assert (run / "damaged").exists() == (step == 1)
  return {2: "same bits", 1: "fell back"}[step]


def loaded(run: pathlib.Path) -> str:
  """How it is read by itself."""
  try:
    network = networks.load(run / "checkpoints" / "2")
  except Damaged as error:
    text = str(error)
    return "refused" if re.fullmatch(rf"{run}/checkpoints/2 is damaged: .*", text) else text
  states.assert_same_bits(network.variables, small_at(2).variables)
  return "same bits"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A workdir with two checkpoints; the score of the newest is the best."""
  path = tmp_path_factory.mktemp("whole")
  states.save(path, {1: 0.1, 2: 0.2}, make=small_at)
  return path


def outcomes(
  whole: pathlib.Path, folder: pathlib.Path, kinds: list[str], *, older: bool = False
) -> dict[str, Counter[str]]:
  """Tries all files; `older` damages the checkpoint that is not the newest."""
  counts: dict[str, Counter[str]] = {"resume": Counter(), "load": Counter()}
  names = [x for x in states.files_of(whole) if x.parts[1] == ("1" if older else "2")]
  for number, name in enumerate(names):
    for kind in kinds:
      run = folder / f"{number}_{kind}"
      shutil.copytree(whole, run)
      DAMAGES[kind](run / name)
      counts["load"][loaded(run)] += 1
      counts["resume"][resumed(run)] += 1
      shutil.rmtree(run)
  return counts


def test_the_items_of_plain_data(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
  """Those whose loss would be noticed last."""
  for item in ("loader", "facts", "digests"):
    for kind in ("a bit before the middle", "cut off", "lost"):
      run = tmp_path / f"{item}_{kind}"
      shutil.copytree(whole, run)
      DAMAGES[kind](run / "checkpoints" / "2" / item / "metadata")
      assert resumed(run) == "fell back"


def test_a_checkpoint_that_is_not_needed_is_not_in_the_way(
  whole: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  for name in ("metrics/metrics", "facts/metadata", "digests/metadata", "training/manifest.ocdbt"):
    run = tmp_path / name.replace("/", "_")
    shutil.copytree(whole, run)
    cut(0.5)(run / "checkpoints" / "1" / name)
    assert networks.load(run).step == 2
    assert resumed(run) == "same bits"


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGES)
def test_every_file(
  whole: pathlib.Path, tmp_path: pathlib.Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
  counts = outcomes(whole, tmp_path, [kind])
  older = outcomes(whole, tmp_path, [kind], older=True)
  tried = sum(counts["resume"].values())
  with capsys.disabled():
    print(f"\n{kind}: {tried} files; {counts}; of the older checkpoint {older}")
  assert tried > 20
  assert counts["resume"].keys() <= {"same bits", "fell back"}
  assert counts["load"].keys() <= {"same bits", "refused"}
  assert counts["resume"]["fell back"] >= 5
  assert older["resume"].keys() == older["load"].keys() == {"same bits"}
