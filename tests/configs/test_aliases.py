"""Configs against those of version 0.1, and the table of their names in the docs."""

from collections.abc import Iterator
import json
import pathlib
import re
from typing import Any

import pytest

from hrnet_jax import config as configs
from hrnet_jax.checkpoint.legacy import ABSENT, upgrade

ROOT = pathlib.Path(__file__).parents[2]
# Every config of version 0.1 with all of its arguments, as JSON has it: name -> values.
OLD = json.loads((ROOT / "tests/configs/golden_configs.json").read_text())
PAGE = (ROOT / "docs/configs.md").read_text()


def rows(heading: str) -> list[list[str]]:
  """What is in backquotes in the cells of the table under a heading."""
  section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
  lines = [x for x in section.splitlines() if x.startswith("| ") and "`" in x]
  return [re.findall(r"`([^`]+)`", line) for line in lines]


ALIASES: dict[str, str] = dict(rows("Names in version 0.1"))


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  if isinstance(tree, dict) and tree:
    for key, value in tree.items():
      yield from flatten(value, f"{prefix}.{key}" if prefix else key)
  else:
    yield prefix, tree


def plain(text: str) -> dict[str, Any]:
  return json.loads(json.dumps(configs.load(text).to_dict()))


def test_every_old_config_has_a_new_name():
  assert {name.partition(":")[0] for name in OLD} == set(ALIASES)


@pytest.mark.parametrize("name", OLD)
def test_a_new_config_is_the_old_one_with_new_keys_that_are_empty(name):
  file, colon, argument = name.partition(":")
  new = dict(flatten(plain(ALIASES[file] + colon + argument)))
  old = dict(flatten(upgrade(OLD[name])))
  gone = {key for key in old.keys() - new.keys() if old[key] != {}}
  assert not gone
  assert {key: new[key] for key in old.keys() & new.keys()} == {
    key: old[key] for key in old.keys() & new.keys()
  }
  added = new.keys() - old.keys()
  assert {key: new[key] for key in added} == {key: ABSENT.get(key, "no default") for key in added}


def test_old_names_still_lead_to_the_config(tmp_path):
  assert ALIASES == configs.module("renamed").OLD_NAMES
  old, new = "segmentation/image_folder_w18_small_v1", "segmentation/image_folder:w18_small_v1"
  for text in (old, f"configs/{old}.py"):
    assert plain(text) == plain(new)
  (tmp_path / "mine.py").write_text(
    "from configs.segmentation import image_folder_w18_small_v1 as base\n"
    "def get_config():\n  config = base.get_config()\n  config.train.steps = 7\n  return config\n"
  )
  assert configs.load(str(tmp_path / "mine.py")).train.steps == 7
  with pytest.raises(ValueError, match="no config of that name"):
    configs.load("segmentation/image_folder_w19")


def old_name(repository: str, yaml: str) -> str:
  """The file of version 0.1 for an experiment of the reference, whose name it took over."""
  stem = yaml.removesuffix(".yaml").replace("-", "_")
  if "Segmentation" in repository:
    return f"segmentation/{'ocr_branch/' if 'HRNet-OCR' in repository else ''}{stem}"
  if "Landmark" in repository:
    return f"landmarks/{stem.split('/')[0].replace('300w', 'face300w')}_w18"
  return f"classification/imagenet_{stem.removeprefix('cls_hrnet_').partition('_sgd')[0]}"


def test_names_of_the_reference_lead_to_the_config_of_the_same_old_name():
  lines = re.findall(r"^\| (HRNet-\S+(?:, \S+)?) \| `(\S+)` \| `(\S+)` \|$", PAGE, re.MULTILINE)
  assert len(lines) == 9 + 26 + 4 + 8
  for repository, yaml, name in lines:
    assert ALIASES[old_name(repository, yaml)] == name, yaml


def test_every_file_is_in_the_list():
  listed = {row[0] for row in rows("Files and their arguments") if "/" in row[0]} | {"quickstart"}
  assert listed == set(configs.names())
