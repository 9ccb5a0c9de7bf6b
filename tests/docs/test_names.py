"""What the pages name exists: commands, flags, configs, their keys, files, targets of make."""

import argparse
from collections.abc import Iterator
import functools
import importlib
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

from hrnet_jax import config as configs
from hrnet_jax.cli.main import COMMANDS
from hrnet_jax.errors import UserError
from tests.helpers import pages
from tests.helpers.pages import ROOT

EXAMPLES = [ROOT / "docs/tutorials", ROOT / "docs/extend/examples"]
TASKS = "segmentation|landmarks|detection|classification"
SECTIONS = "mesh|model|data|transform|loss|optimizer|train|eval|checkpoint"
CONFIG_NAME = re.compile(rf"(?:quickstart|(?:{TASKS})/[a-z0-9_]+)(?::[a-z0-9_]+)?")
CONFIG_KEY = re.compile(
  rf"(?:--)?(?:config\.)?((?:{SECTIONS})(?:\.(?!(?:lst|py|csv|json|txt|png|apply)\b)[a-z0-9_]+)+)(?:=.*)?"
)
FILE = re.compile(
  r"(?:hrnet_jax|configs|tests|docs|benchmarks|tools|models|ops|data|tasks|training|distributed|"
  r"checkpoint|evaluation|predict|export|convert|parity|preflight)/[\w./*-]*|\w+\.py"
)


@functools.cache
def flags_of(command: str) -> set[str]:
  """All flags of a subcommand."""
  parser = argparse.ArgumentParser(prog=command)
  importlib.import_module(f"hrnet_jax.cli.{command}").add_arguments(parser)
  return {flag for action in parser._actions for flag in action.option_strings}


@functools.cache
def load(text: str) -> Any:
  """A config by its name, with the files that the pages show."""
  sys.path[:0] = map(str, EXAMPLES)
  try:
    for folder in EXAMPLES:
      if (folder / text.partition(":")[0]).is_file():
        return configs.load(str(folder / text))
    return configs.load(text)
  finally:
    del sys.path[: len(EXAMPLES)]


@functools.cache
def known_keys() -> dict[str, bool]:
  """Keys of all our configs: `model.variant` -> whether anything may lie below it."""
  keys: dict[str, bool] = {}
  for name in configs.names():
    _collect(configs.load(name).to_dict(), "", keys)
  return keys


def _collect(tree: dict[str, Any], prefix: str, keys: dict[str, bool]) -> None:
  for key, value in tree.items():
    path = f"{prefix}{key}"
    section = isinstance(value, dict)
    keys[path] = keys.get(path, False) or (section and not value)
    if section:
      _collect(value, f"{path}.", keys)


def is_key(path: str) -> bool:
  """Whether a config of ours has the key, or an empty section in which it may be."""
  parts = path.split(".")
  above = (".".join(parts[:n]) for n in range(1, len(parts)))
  return path in known_keys() or any(known_keys().get(x, False) for x in above)


def test_commands_have_their_flags() -> None:
  assert not [
    f"{pages.name(page)}: {problem} in {' '.join(words)}"
    for page in pages.PAGES
    for words in pages.command_lines(page)
    for problem in _unknown_flags(words)
  ]


def _unknown_flags(words: list[str]) -> Iterator[str]:
  for start in (i for i, word in enumerate(words) if pathlib.PurePath(word).name == "hrnet"):
    command, *rest = [*words[start + 1 :], ""]
    if command not in COMMANDS:
      if command not in ("--help", "--version"):
        yield f"command {command!r}"
      continue
    flags = {word.partition("=")[0] for word in rest if word.startswith("--")}
    yield from (f for f in flags - flags_of(command) if not f.startswith("--config."))


def test_configs_take_the_overrides() -> None:
  problems = []
  for page in pages.PAGES:
    for words in pages.command_lines(page):
      named = [w.partition("=")[2] for w in words if w.startswith("--config=")]
      overrides = [w for w in words if w.startswith("--config.")]
      try:
        if named and not _is_placeholder(named[0]):
          configs.override(load(named[0]), overrides)
      except UserError as error:
        problems.append(f"{pages.name(page)}: {' '.join(words)}: {error}")
      keys = (word.partition("=")[0].removeprefix("--config.") for word in overrides)
      problems += [f"{pages.name(page)}: {key}" for key in keys if not is_key(key)]
  assert not problems


def _is_placeholder(name: str) -> bool:
  return name.isupper() or name.startswith("my_config")


def test_named_configs_and_keys_exist() -> None:
  problems = []
  for page in pages.PAGES:
    for text in pages.inline(page):
      if CONFIG_NAME.fullmatch(text) and page.name != "configs.md":  # has names of version 0.1
        try:
          load(text)
        except UserError as error:
          problems.append(f"{pages.name(page)}: {error}")
      elif (match := CONFIG_KEY.fullmatch(text)) and not FILE.fullmatch(text):
        problems += [] if is_key(match[1]) else [f"{pages.name(page)}: {text}"]
  assert not problems


def test_named_files_exist() -> None:
  problems = []
  for page in pages.PAGES:
    for text in filter(FILE.fullmatch, pages.inline(page)):
      places = [ROOT, ROOT / "hrnet_jax", page.parent, *EXAMPLES]
      placeholder = re.search(r"^my_|[A-Z]{3}", text) or CONFIG_NAME.fullmatch(text)
      if not placeholder and not any(any(place.glob(text.rstrip("/"))) for place in places):
        problems.append(f"{pages.name(page)}: {text}")
  assert not problems


def test_blocks_say_whether_they_run() -> None:
  assert not [
    f"{pages.name(page)}: {block.text}"
    for page in {*pages.PAGES} - {*pages.RUN, pages.README}
    for block in pages.blocks(page)
    if block.language == "bash" and pages.NOT_RUN not in block.title
  ]


def test_targets_of_make_exist() -> None:
  known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
  for page in pages.PAGES:
    for words in pages.command_lines(page):
      if words[0] == "make":
        assert words[1] in known, (page, words)


def test_pages_named_in_the_code_exist() -> None:
  files = subprocess.run(
    ["git", "ls-files", "*.py", "*.toml", "Makefile", "*.yml"],
    cwd=ROOT, capture_output=True, text=True, check=True,
  ).stdout.split()  # fmt: skip
  assert not [
    f"{file} names {named}"
    for file in files
    for named in re.findall(r"docs/[\w/-]+\.(?:md|png|svg|py)", (ROOT / file).read_text())
    if not (ROOT / named).exists()
  ]


@pytest.mark.parametrize("name", ["house", "network", "image_path", "config_path"])
def test_pictures_are_those_of_the_script(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.syspath_prepend(ROOT / "docs/images")
  script = importlib.import_module("draw_architecture")
  assert (ROOT / f"docs/images/{name}.svg").read_text() == script.PICTURES[f"{name}.svg"]().text()


def test_the_picture_of_the_house_has_the_layers_that_are_enforced(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.syspath_prepend(ROOT / "docs/images")
  monkeypatch.syspath_prepend(ROOT / "tools")
  drawn = importlib.import_module("draw_architecture").LAYERS
  enforced = importlib.import_module("check_style").LAYERS
  assert [set(layer) for layer in reversed(drawn)] == [set(layer) for layer in enforced]
