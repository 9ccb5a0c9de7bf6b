"""Trains and uses high-resolution networks.

  hrnet train --config=quickstart --workdir=runs/quickstart
  hrnet eval --config=quickstart --workdir=runs/quickstart
  hrnet predict --checkpoint=runs/quickstart --input=photo.jpg --output=predictions

`hrnet COMMAND --help` explains a command. Exit status: 0; 1 after a mistake in the input, which is
said in one line, or where a command's verdict is no; 2 after wrong usage; 75 when a run hung and
train.watchdog.abort ended it; 130 when interrupted (Ctrl-C), also after train has saved a
checkpoint; 143 when SIGTERM ended train before it could save one, and 0 when it could.
With $HRNET_JAX_TRACEBACK set, mistakes show the code that found them.
"""

# Nothing here takes long to import, so that Ctrl-C is answered from the beginning.
import argparse
from collections.abc import Sequence
import difflib
import importlib
import sys
from typing import NoReturn

from hrnet_jax import __version__, ending
from hrnet_jax.cli.memory import restart_with_huge_pages
from hrnet_jax.errors import describe, is_about_input

# Imported only when it is asked for, so that help is there at once.
COMMANDS = {
  "train": "train a config",
  "eval": "score a checkpoint on a whole split",
  "predict": "run a checkpoint on photos",
  "prepare": "turn a folder of images and labels into a data set",
  "convert": "read weights of PyTorch, or write them",
  "export": "write a checkpoint as a program that needs JAX alone",
  "parity": "compare a network with PyTorch's, part by part",
  "preflight": "say whether a config fits a slice of TPUs, without the slice",
  "models": "list the published networks with their sizes",
  "plot": "draw curves of training runs",
}


def run(*first: str) -> NoReturn:
  """Is the program: runs the process's command line, and ends with its status.

  Args:
    first: arguments before those of the command line.
  """
  ending.hold()
  restart_with_huge_pages()
  process = ending.CommandProcess("hrnet")
  status = 1
  try:
    process.start()
    status = main([*first, *sys.argv[1:]])
  except KeyboardInterrupt:  # before there was a command
    ending.leave(ending.INTERRUPTED, f"{process.name}: interrupted")
  except SystemExit as end:
    status = end.code if isinstance(end.code, int) else 1
    raise
  finally:
    # An error that is a bug goes on to Python, which shows where it is.
    process.last_call(status)
  sys.exit(status)


def main(argv: Sequence[str]) -> int:
  """Runs a command line.

  Args:
    argv: without the name of the program.

  Returns:
    The exit status; as with argparse, help and wrong usage raise SystemExit.
  """
  name, *rest = [*argv] or ["--help"]
  program = f"hrnet {name}"
  try:
    if name not in COMMANDS:
      return _about(name)
    return _run(name, program, rest)
  except ending.Stopped as stop:
    if not stop.silent:
      print(f"{program}: interrupted; {stop}", file=sys.stderr)
    return ending.INTERRUPTED
  except KeyboardInterrupt as stop:
    return _interrupted(program, str(stop))
  except Exception as error:
    if is_about_input(error):
      print(describe(program, error), file=sys.stderr)
      return 1
    if ending.interrupted():  # libraries turn it into errors of their own
      return _interrupted(program, "")
    raise


def _run(name: str, program: str, argv: Sequence[str]) -> int:
  if process := ending.command():
    process.name = program
  from absl import flags, logging

  # Grain reads absl's flags, which nobody parses here; JAX and Orbax log through absl.
  flags.FLAGS.mark_as_parsed()
  logging.use_absl_handler()
  command = importlib.import_module(f"hrnet_jax.cli.{name}")
  parser = argparse.ArgumentParser(
    prog=program,
    description=command.__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  command.add_arguments(parser)
  return command.main(parser, argv)


def _interrupted(program: str, more: str) -> int:
  """Says so; in a process of its own, ends it, before threads complain of what they miss."""
  text = f"{program}: interrupted{f'; {more}' if more else ''}"
  if ending.command():
    ending.leave(ending.INTERRUPTED, text)
  print(text, file=sys.stderr)
  return ending.INTERRUPTED


def _about(argument: str) -> int:
  """Help, the version, or a message about a command that there is not."""
  if argument == "--version":
    import jax

    from hrnet_jax.ops.cpu import onednn

    jax.config.update("jax_platforms", "cpu")  # an accelerator may be in use by a run
    print(f"hrnet {__version__}\nconvolutions on a CPU: {onednn.description()}")
    return 0
  if argument in ("-h", "--help", "help"):
    rows = "\n".join(f"  {name:<11}{text}" for name, text in COMMANDS.items())
    print(f"usage: hrnet COMMAND [--flags]\n\n{__doc__}\ncommands:\n{rows}")
    return 0
  close = difflib.get_close_matches(argument, COMMANDS, 1)
  hint = f"; did you mean {close[0]}?" if close else ""
  print(
    f"hrnet: unknown command {argument!r}{hint} (there are: {', '.join(COMMANDS)})",
    file=sys.stderr,
  )
  return 2
