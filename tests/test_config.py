"""Configs by name and by file, values changed on a command line, and messages."""

import pathlib
import sys

import ml_collections
import pytest

from hrnet_jax import config as configs
from hrnet_jax.errors import ConfigKeyError, UserError, config_keys

ROOT = pathlib.Path(__file__).parents[1]
OWN = """
from configs import quickstart

def get_config(steps="3"):
  config = quickstart.get_config()
  config.train.steps = int(steps)
  return config
"""


@pytest.fixture
def config():
  return ml_collections.ConfigDict(
    {
      "seed": 0,
      "rate": 0.5,
      "flag": True,
      "size": (1, 2),
      "nothing": None,
      "empty": {},
      "part": {"name": "x", "empty": {}},
    }
  )


def test_a_name_and_a_path_of_ours_are_the_same(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  texts = (
    "quickstart",
    "configs/quickstart.py",
    "quickstart.py",
    str(ROOT / "configs/quickstart.py"),
  )
  loaded = [configs.load(text).to_dict() for text in texts]
  assert all(x == loaded[0] for x in loaded)


def test_an_argument_comes_after_a_colon():
  assert configs.load("detection/coco:mask_rcnn_w32_2x").model.method == "mask_rcnn"
  assert configs.load("configs/detection/coco.py:mask_rcnn_w32_2x").model.method == "mask_rcnn"


def test_a_file_of_the_user_may_build_on_ours(tmp_path, monkeypatch):
  (tmp_path / "my.py").write_text(OWN)
  monkeypatch.chdir(tmp_path)
  assert configs.load("my.py").train.steps == 3
  assert configs.load(f"{tmp_path}/my.py:5").train.steps == 5


def test_folders_called_configs_are_searched_behind_ours(tmp_path, monkeypatch):
  (tmp_path / "configs").mkdir()
  (tmp_path / "configs/mine.py").write_text(OWN)
  monkeypatch.delitem(sys.modules, "configs")
  monkeypatch.syspath_prepend(tmp_path)
  (tmp_path / "top.py").write_text("from configs.mine import get_config\n")
  assert configs.load(str(tmp_path / "top.py")).train.steps == 3


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("detection/coko", r"no config of that name; did you mean detection/coco\? There are: .*quick"),
    ("gone.py", "there is no file 'gone.py' and no config of that name"),
    ("quickstart:x", "quickstart takes no argument; leave :x out"),
    ("detection/coco:rcnn", "--config=detection/coco:rcnn: unknown detector 'rcnn'; expected"),
  ],
)
def test_a_config_that_there_is_not(text, message):
  with pytest.raises(UserError, match=message):
    configs.load(text)


@pytest.mark.parametrize(
  ("code", "message"),
  [
    ("x = 1\n", "has no function get_config"),
    ("x =\n", r"my\.py: SyntaxError: "),
    ("\nimport no_such_module\n", r"my\.py, line 2: ModuleNotFoundError: No module named"),
  ],
)
def test_a_file_with_an_error_is_named(code, message, tmp_path):
  (tmp_path / "my.py").write_text(code)
  with pytest.raises(UserError, match=message):
    configs.load(str(tmp_path / "my.py"))


def test_values_keep_their_types(config):
  arguments = ["--config.seed=3", "--config.rate", "1", "--noconfig.flag", "--config.size=(3,4)"]
  changed = configs.override(config, [*arguments, "--config.part.name=3", "--config.nothing=7"])
  assert (changed.seed, changed.rate, changed.flag, changed.size) == (3, 1.0, False, (3, 4))
  assert (changed.part.name, changed.nothing) == ("3", 7)
  assert isinstance(changed.rate, float)
  assert changed.is_locked
  assert config.seed == 0
  assert configs.override(config, ["--config.size=5", "--config.size=6"]).size == (5, 6)


def test_an_empty_section_takes_any_key(config):
  arguments = ["--config.empty.head=10.0", "--config.part.empty.a.b=(1,2)"]
  changed = configs.override(config, arguments)
  assert changed.empty.to_dict() == {"head": 10.0}
  assert changed.part.empty.to_dict() == {"a": {"b": (1, 2)}}
  assert configs.override(config, ["--config.empty={'k': 1}"]).empty.to_dict() == {"k": 1}


@pytest.mark.parametrize(
  ("argument", "message"),
  [
    ("--config.sead=3", "the config has no key 'sead'; did you mean \"seed\"?"),
    ("--config.part.nam=3", "the config has no key 'nam'; did you mean \"name\"?"),
    ("--config.zzz=3", "the config has no key 'zzz'"),
    ("--config.seed=1.5", "--config.seed=1.5: invalid literal"),
    ("--config.part=3", "Failed to parse '3' as a ConfigDict"),
    ("--config.seed.x=3", "does not exist"),
  ],
)
def test_what_cannot_be_set(config, argument, message):
  with pytest.raises(UserError) as caught:
    configs.override(config, [argument])
  assert message in str(caught.value)


def test_a_config_in_text_is_python(config):
  text = configs.render(config)
  assert eval(text) == config.to_dict()  # a literal of ours
  assert "  'part': {'empty': {}, 'name': 'x'},\n" in text
  long = ml_collections.ConfigDict({"a": {f"key_{i}": i for i in range(20)}})
  assert "\n    'key_0': 0,\n" in configs.render(long)


def build(*, name, size=3):
  return name, size


def test_keys_that_nothing_takes_are_named(config):
  with config_keys(config, "part"):
    assert build(name="x") == ("x", 3)
  config.part.nam = "y"
  with (
    pytest.raises(ConfigKeyError, match=r"config\.part\.nam is a key that nothing takes"),
    config_keys(config, "empty", "part", "absent.part"),
  ):
    build(name="x", nam="y")
  with (
    pytest.raises(ConfigKeyError, match=r"config\.empty lacks name"),
    config_keys(config, "empty"),
  ):
    build()
  assert issubclass(ConfigKeyError, TypeError)


def test_a_bug_of_ours_is_no_mistake_of_the_user(config):
  for options in ({"name": 1, "other": 2}, {"size": 2}):
    with pytest.raises(TypeError) as caught, config_keys(config, "part"):
      build(**options)
    assert not isinstance(caught.value, UserError)
  with pytest.raises(TypeError, match="unsupported"), config_keys(config, "part"):
    1 + "x"  # noqa: B018
