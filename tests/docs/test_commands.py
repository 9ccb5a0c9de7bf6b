"""Every command of README, the first pages and the tutorials runs, and prints what they show.

Numbers aside: steps are few here, so scores and times differ.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from tests.helpers import environment, pages
from tests.helpers.pages import ROOT, RUN

DOCS = ROOT / "docs"
# Every training run takes two steps and few scenes; targets of make are tested below.
_INSTEAD = (
  (r"--config=quickstart\b", "--config=quickstart --config.data.eval_split='val[:16]'"),
  (r"--config\.train\.(?:steps|epochs)=\d+", ""),
  (r"\bhrnet train\b", "hrnet train --config.train.epochs=0 --config.train.steps=2"),
  (r"(?m)^make .*$", ""),
)
_ANY = re.compile(r"/home/you\S*|[\d.,:-]*\d[\d.,:]*|\.\.\.")  # paths, numbers, what is left out


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """Prepared data sets, which the pages share: the generated ones take long to draw."""
  return tmp_path_factory.mktemp("data_sets")


@pytest.fixture
def home(tmp_path: pathlib.Path, data_sets: pathlib.Path) -> pathlib.Path:
  """A folder in which the commands are typed, with `docs` of the checkout and `hrnet` on PATH."""
  (tmp_path / "bin").mkdir()
  for name, module in (("hrnet", "-m hrnet_jax"), ("python", "")):
    shim = tmp_path / "bin" / name
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
    shim.chmod(0o755)
  folder = tmp_path / "work"
  folder.mkdir()
  (tmp_path / "data").symlink_to(data_sets, target_is_directory=True)
  (folder / "docs").symlink_to(DOCS)
  for example in ("tutorials/my_yard.py",):
    (folder / pathlib.PurePath(example).name).symlink_to(DOCS / example)
  return folder


def shell(home: pathlib.Path, text: str) -> str:
  """Runs a block with few steps; returns all that it printed."""
  for pattern, instead in _INSTEAD:
    text = re.sub(pattern, instead, text)
  run = subprocess.run(
    ["bash", "-euo", "pipefail", "-c", text],
    cwd=home,
    env={
      **os.environ,
      "PATH": f"{home.parent / 'bin'}:{os.environ['PATH']}",
      "PYTHONPATH": str(ROOT),
      "HRNET_JAX_DATA": str(home.parent / "data"),
      "XLA_FLAGS": environment.xla_flags(*environment.QUICK, devices=1),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    timeout=900,
  )
  assert run.returncode == 0, f"{text}\n{run.stdout}"
  return run.stdout


def check_output(expected: str, printed: str) -> None:
  """Every line of `expected` has been printed, in this order, with other numbers and paths."""
  place, lines = 0, printed.splitlines()
  for line in filter(None, map(str.strip, expected.splitlines())):
    if line == "...":
      continue
    parts = [re.escape(x) for x in _ANY.split(line)]
    pattern = re.compile(r"\s*" + r"\S*".join(re.sub(r"(\\ )+", r"\\s+", x) for x in parts) + r".*")
    found = [i for i in range(place, len(lines)) if pattern.fullmatch(lines[i])]
    assert found, f"{line!r} is not in\n{printed}"
    place = found[0] + 1


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=pages.name)
def test_commands_run_from_top_to_bottom(page: pathlib.Path, home: pathlib.Path) -> None:
  printed = ""
  for block in pages.blocks(page):
    if block.language == "bash" and block.runs:
      printed = shell(home, block.text)
    elif block.title == pages.OUTPUT:
      check_output(block.text, printed)


@pytest.mark.slow
@pytest.mark.parametrize(
  "page",
  [p for p in pages.PAGES if any(b.language == "python" and b.runs for b in pages.blocks(p))],
  ids=pages.name,
)
def test_python_runs_from_top_to_bottom(page: pathlib.Path, home: pathlib.Path) -> None:
  texts = [b.text for b in pages.blocks(page) if b.language == "python" and b.runs]
  (home / "page.py").write_text("\n".join(texts))
  shell(home, "python page.py")


def test_make_quickstart_runs_what_the_quickstart_shows() -> None:
  recipe = subprocess.run(
    ["make", "--dry-run", "--assume-old=.venv/.run", "quickstart"],
    cwd=ROOT, capture_output=True, text=True, check=True,
  ).stdout  # fmt: skip
  commands = re.findall(r"^\.venv/bin/(hrnet (?:train|eval) .*)$", recipe, re.MULTILINE)
  assert len(commands) == 2, recipe
  assert commands == shown(pages.QUICKSTART)[:2]


def test_readme_shows_what_the_quickstart_shows() -> None:
  """And so it need not be run a second time."""
  commands = [x for x in shown(pages.README) if not x.startswith("make ")]
  assert commands
  assert set(commands) <= set(shown(pages.QUICKSTART))


def shown(page: pathlib.Path) -> list[str]:
  """Command lines of a page's blocks that run."""
  runs = [b for b in pages.blocks(page) if b.language == "bash" and b.runs]
  return [shlex.join(words) for block in runs for words in block.commands()]


def test_output_is_compared_but_for_numbers() -> None:
  printed = "made x: 3 files\nbox   97.1   2.4\nstep 2: validation mean_iou 0.1\n"
  check_output("made x: 121 files\n...\nstep 69: validation mean_iou 0.94", printed)
  check_output("box 1.0 2.0", printed)
  with pytest.raises(AssertionError, match="is not in"):
    check_output("made y: 121 files", printed)
  with pytest.raises(AssertionError, match="is not in"):
    check_output("step 69: validation\nmade x: 121 files", printed)
