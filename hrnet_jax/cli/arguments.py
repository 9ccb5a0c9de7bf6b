"""Arguments that commands share, and how they are read."""

import argparse
from collections.abc import Iterable, Sequence
import difflib
import re
import sys
from typing import Any

from hrnet_jax import config as configs
from hrnet_jax.errors import UserError, printable

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OVERRIDE = re.compile(r"--?(no)?config\.")


def add_config(parser: argparse.ArgumentParser) -> None:
  """Adds `--config` and `--print_config`; `parse` reads `--config.key=value`."""
  parser.add_argument(
    "--config",
    metavar="NAME[:ARGUMENT]",
    help="the experiment: one of ours, such as quickstart, or a Python file with get_config(); "
    "--config.key=value changes a value",
  )
  parser.add_argument(
    "--print_config", action="store_true", help="print the config with its changes, and end"
  )


def add_cluster(parser: argparse.ArgumentParser) -> None:
  """Adds the flags by which a command joins other processes; see `distributed.cluster`."""
  add = parser.add_argument_group("several processes").add_argument
  add(
    "--coordinator_address",
    metavar="HOST:PORT",
    help="of process 0, where the environment does not say",
  )
  add("--num_processes", type=positive, metavar="N", help="how many processes there are")
  add("--process_id", type=count, metavar="I", help="which one this is, from 0")
  add(
    "--join_timeout",
    type=positive,
    default=300,
    metavar="SECONDS",
    help="to wait for the others (default %(default)s)",
  )


def say_if_slow() -> None:
  """One line about what would make this machine compute faster, once devices may be used."""
  from hrnet_jax.ops.cpu import onednn
  from hrnet_jax.run_log.log import info

  if hint := onednn.hint():
    info(hint)


def parse(
  parser: argparse.ArgumentParser, argv: Sequence[str], *, required: Sequence[str] = ()
) -> argparse.Namespace:
  """Reads a command line; with `--print_config` it prints the config and ends the program.

  Args:
    parser: of the command.
    argv: its arguments.
    required: flags that have to be given unless the config is only printed.

  Returns:
    The values; `config` is a locked `ConfigDict`, and `config_name` what it was given as.

  Raises:
    UserError: there is no such config, or it has no such key.
  """
  args, extras = parser.parse_known_args(argv)
  overrides = _take_overrides(parser, extras, allowed="config" in args)
  printing = getattr(args, "print_config", False)
  wanted = ["config"] if printing else required
  if missing := [f"--{name}" for name in wanted if getattr(args, name) is None]:
    parser.error(f"the following arguments are required: {', '.join(missing)}")
  _require_local(args)
  if getattr(args, "config", None) is None:
    if overrides:
      parser.error(f"{overrides[0]} needs a --config")
    return args
  args.config_name = args.config
  args.config = configs.override(configs.load(args.config), overrides)
  _check_local("config.data.data_dir", args.config.get("data", {}).get("data_dir"))
  _check_local("config.init_from", args.config.get("init_from"))
  if printing:
    print(configs.render(args.config))
    parser.exit()
  return args


def _require_local(args: argparse.Namespace) -> None:
  for name, value in vars(args).items():
    _check_local(f"--{name}", value)


def _check_local(name: str, value: Any) -> None:
  """Refuses `gs://bucket/run`, of which a folder called `gs:` would be made."""
  if isinstance(value, str) and _REMOTE.match(value):
    raise UserError(
      f"{name} is {value}, but only files of this machine are read and written; mount the bucket, "
      "for example with gcsfuse or s3fs, and name the folder"
    )


def complain(parser: argparse.ArgumentParser, reasons: Iterable[str]) -> int:
  """Says on stderr what failed; returns the exit status, 0 where nothing did."""
  reasons = list(reasons)
  for reason in reasons:
    print(printable(f"{parser.prog}: {reason}"), file=sys.stderr)
  return 1 if reasons else 0


def positive(text: str) -> int:
  """A whole number above 0."""
  if not text.isdecimal() or not int(text):
    raise argparse.ArgumentTypeError(f"{text} is not positive")
  return int(text)


def count(text: str) -> int:
  """A whole number, 0 or more."""
  if not text.isdecimal():
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
  return int(text)


def comma_separated(text: str) -> list[str]:
  """`a,b` -> `["a", "b"]`."""
  return [x for x in text.split(",") if x]


def _take_overrides(
  parser: argparse.ArgumentParser, extras: Sequence[str], *, allowed: bool
) -> list[str]:
  """Checks that all that argparse does not know is overrides and their values."""
  overrides: list[str] = []
  wait = False  # for the value of the flag before
  for text in extras:
    if allowed and _OVERRIDE.match(text):
      wait = "=" not in text
      overrides.append(text)
    elif wait and not text.startswith("--"):
      wait = False
      overrides.append(text)
    else:
      parser.error(f"unrecognized argument: {text}{_hint(parser, text)}")
  return overrides


def _hint(parser: Any, text: str) -> str:
  known = [name for action in parser._actions for name in action.option_strings]
  close = difflib.get_close_matches(text.partition("=")[0], known, 1)
  return f" (did you mean {close[0]}?)" if close else ""
