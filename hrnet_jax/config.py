"""Configs: a name, a path of ours or a user's own file -> `ConfigDict`, with values changed.

Ours lie in the folder `configs/` of a checkout, and in the package `hrnet_jax.configs` of an
installed wheel. Either way they are modules of a package called `configs`, from which a user's own
file may import them.
"""

from collections.abc import Iterator, Mapping, Sequence
import difflib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import pathlib
import re
import sys
import traceback
import types
from typing import Any

from absl import flags
import ml_collections
from ml_collections import config_flags

from hrnet_jax.errors import UserError

_PACKAGE = "configs"
_HERE = pathlib.Path(__file__).parent
_HELPERS = ("common", "renamed", "__init__")  # modules that are no configs
_WIDTH = 100  # columns of a config in text


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """Values of nested mappings by dotted key, in the order of keys; an empty mapping is a value."""
  if isinstance(tree, Mapping) and tree:
    for key, value in sorted(tree.items(), key=lambda x: str(x[0])):
      yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
  else:
    yield prefix, tree


def folder() -> pathlib.Path:
  """Where our configs are: inside of the installed package, or beside it in a checkout."""
  installed = _HERE / _PACKAGE
  return installed if installed.is_dir() else _HERE.parent / _PACKAGE


def names() -> list[str]:
  """Our configs in alphabetical order, such as `quickstart` or `FOLDER/NAME`."""
  found = (p.relative_to(folder()).with_suffix("").as_posix() for p in folder().rglob("*.py"))
  return sorted(name for name in found if name.split("/")[-1] not in _HELPERS)


def module(name: str) -> types.ModuleType:
  """The module of one of our configs.

  Args:
    name: one of `names()`.
  """
  _make_importable()
  return importlib.import_module(f"{_PACKAGE}.{name.replace('/', '.')}")


def load(text: str) -> ml_collections.ConfigDict:
  """The config that a text stands for.

  Args:
    text: `NAME` or `NAME:ARGUMENT`. NAME is one of `names()`, the same with `configs/` before and
      `.py` behind, or a Python file that has `get_config()`. A name of an earlier version stands
      for what it is called now.

  Raises:
    UserError: there is no such config, it takes no such argument, or the file has an error.
  """
  name, colon, argument = (_renamed().get(_plain_name(text)) or text).partition(":")
  own, path = _find(text, name)
  get_config = getattr(_import_file(text, path) if own is None else module(own), "get_config", None)
  if get_config is None:
    raise UserError(f"--config={text}: {path} has no function get_config()")
  if not colon:
    return get_config()
  if not inspect.signature(get_config).parameters:
    raise UserError(f"--config={text}: {name} takes no argument; leave :{argument} out")
  try:
    return get_config(argument)
  except ValueError as error:
    raise UserError(f"--config={text}: {error}") from error


def override(
  config: ml_collections.ConfigDict, arguments: Sequence[str]
) -> ml_collections.ConfigDict:
  """A locked copy with values changed by a command line.

  A value keeps its type. Keys of an empty section may be anything, as whoever reads the section
  checks them.

  Args:
    config: from `load`.
    arguments: such as `--config.train.steps=4`, as absl reads flags: a value may also follow as the
      next argument, and `--noconfig.model.remat` is False.

  Raises:
    UserError: there is no such key, or a value is of another type.
  """
  config = config.copy_and_resolve_references()
  config.unlock()
  for argument in arguments:
    if argument.startswith("-") and "." in argument:
      _open(config, argument.partition("=")[0].split(".")[1:])
  values = flags.FlagValues()
  try:
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=[*arguments])
    left = values(["hrnet", *arguments])[1:]
  except (AttributeError, KeyError) as error:
    raise UserError(_no_key(error)) from error
  except (flags.Error, TypeError, ValueError) as error:
    raise UserError(str(error)) from error
  if left:
    raise UserError(f"unexpected arguments {' '.join(left)}")
  return values.config.copy_and_resolve_references().lock()


def render(config: ml_collections.ConfigDict) -> str:
  """The config as Python text, a nested dict."""
  return "\n".join(_lines(config.to_dict(), "", ""))


def _lines(value: Any, key: str, indent: str) -> Iterator[str]:
  end = "," if indent else ""
  if not isinstance(value, dict) or (len(f"{indent}{key}{value!r}{end}") <= _WIDTH and indent):
    yield f"{indent}{key}{value!r}{end}"
    return
  yield f"{indent}{key}{{"
  for name, inner in value.items():
    yield from _lines(inner, f"{name!r}: ", indent + "  ")
  yield f"{indent}}}{end}"


def _find(text: str, name: str) -> tuple[str | None, pathlib.Path]:
  """The name among ours, if it is one of them, and the file."""
  path = pathlib.Path(name).expanduser()
  if path.suffix != ".py":
    own = _plain_name(name)
  elif path.is_file():
    inside = folder().resolve() in path.resolve().parents
    if not inside:
      return None, path
    own = path.resolve().relative_to(folder().resolve()).with_suffix("").as_posix()
  else:
    own = _plain_name(name)
  if own in names():
    return own, folder() / f"{own}.py"
  close = difflib.get_close_matches(own, names(), 1)
  raise UserError(
    f"--config={text}: there is no file {name!r} and no config of that name"
    + (f"; did you mean {close[0]}?" if close else "")
    + f" There are: {', '.join(names())}"
  )


def _plain_name(text: str) -> str:
  """`configs/FOLDER/NAME.py` -> `FOLDER/NAME`."""
  path = pathlib.PurePath(text)
  path = path.with_suffix("") if path.suffix == ".py" else path
  return path.as_posix().removeprefix(f"{_PACKAGE}/")


def _renamed() -> dict[str, str]:
  return module("renamed").OLD_NAMES


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Imports `configs.FOLDER.NAME` under a name of an earlier version."""

  def find_spec(
    self, fullname: str, path: object = None, target: object = None
  ) -> importlib.machinery.ModuleSpec | None:
    """As `MetaPathFinder.find_spec`."""
    del path, target
    package, _, name = fullname.partition(".")
    if package != _PACKAGE or not name.count(".") or self._name(fullname) not in _renamed():
      return None
    return importlib.machinery.ModuleSpec(fullname, self)

  def exec_module(self, module: types.ModuleType) -> None:
    """As `Loader.exec_module`."""
    module.get_config = functools.partial(load, self._name(module.__name__))  # type: ignore[attr-defined]

  @staticmethod
  def _name(fullname: str) -> str:
    return fullname.partition(".")[2].replace(".", "/")


def _import_file(text: str, path: pathlib.Path) -> types.ModuleType:
  """A user's own file as a module; its mistakes become messages that name file and line."""
  _make_importable()
  spec = importlib.util.spec_from_file_location("hrnet_jax_user_config", path.resolve())
  if spec is None or spec.loader is None:
    raise UserError(f"--config={text}: {path} cannot be read as Python")
  loaded = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(loaded)
  except Exception as error:
    where = [
      x.lineno for x in traceback.extract_tb(error.__traceback__) if x.filename == spec.origin
    ]
    line = f", line {where[-1]}" if where else ""
    raise UserError(f"--config={text}: {path}{line}: {type(error).__name__}: {error}") from error
  return loaded


def _make_importable() -> None:
  """Makes the package `configs` ours, and that of the folders on `sys.path` behind it."""
  if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
    sys.meta_path.append(_OldNames())
  known = sys.modules.get(_PACKAGE)
  if known is not None and str(folder()) in map(str, getattr(known, "__path__", ())):
    return
  package = types.ModuleType(_PACKAGE, "Configs of HRNet-JAX, and of the user behind them.")
  others = (pathlib.Path(x) / _PACKAGE for x in sys.path)
  package.__path__ = list(dict.fromkeys(map(str, (folder(), *(x for x in others if x.is_dir())))))
  sys.modules[_PACKAGE] = package


def _open(config: ml_collections.ConfigDict, keys: Sequence[str]) -> None:
  """Makes room for a key in a section that is empty, and for any value where there is None."""
  section, opened = config, False
  for position, key in enumerate(keys):
    if not isinstance(section, ml_collections.ConfigDict):
      return
    last = position == len(keys) - 1
    opened |= position > 0 and not section
    if key in section:
      if last and section[key] is None:
        section[key] = ml_collections.config_dict.placeholder(object)
    elif opened:
      section[key] = ml_collections.config_dict.placeholder(object) if last else {}
    else:
      return
    section = section.get(key)


def _no_key(error: Exception) -> str:
  message: Any = error
  while isinstance(message, Exception):
    message = message.args[0]
  # The key stands in quotes, perhaps with one like it that there is.
  text = re.sub(r"""\s*Did you mean ("[^"]+") instead of .*""", r"; did you mean \1?", str(message))
  return f"the config has no key {text}" if text.startswith("'") else text
