"""Trains and uses high-resolution networks.

  hrnet train --config=quickstart --workdir=runs/quickstart
  hrnet eval --config=quickstart --workdir=runs/quickstart
  hrnet predict --checkpoint=runs/quickstart --input=photo.jpg --output=predictions

`hrnet COMMAND --help` explains a command. Exit status: 0; 1 after a mistake in the input, which is
said in one line, or where a command's verdict is no; 2 after wrong usage; 130 when interrupted.
With $HRNET_JAX_TRACEBACK set, mistakes show the code that found them.
"""

import argparse
from collections.abc import Sequence
import difflib
import importlib
import sys
from typing import NoReturn

from absl import flags, logging

from hrnet_jax import __version__
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
  restart_with_huge_pages()
  sys.exit(main([*first, *sys.argv[1:]]))


def main(argv: Sequence[str]) -> int:
  """Runs a command line.

  Args:
    argv: without the name of the program.

  Returns:
    The exit status; as with argparse, help and wrong usage raise SystemExit.
  """
  name, *rest = [*argv] or ["--help"]
  if name not in COMMANDS:
    return _about(name)
  # Grain reads absl's flags, which nobody parses here; JAX and Orbax log through absl.
  flags.FLAGS.mark_as_parsed()
  logging.use_absl_handler()
  command = importlib.import_module(f"hrnet_jax.cli.{name}")
  parser = argparse.ArgumentParser(
    prog=f"hrnet {name}",
    description=command.__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  command.add_arguments(parser)
  try:
    return command.main(parser, rest)
  except Exception as error:
    if not is_about_input(error):
      raise
    print(describe(parser.prog, error), file=sys.stderr)
    return 1
  except KeyboardInterrupt as stop:
    print(f"{parser.prog}: interrupted{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
    return 130


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
