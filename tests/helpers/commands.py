"""Command lines of `hrnet` without a process for each, whose start takes longer than they do."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import io
import json
import os
import subprocess
import sys
from typing import NamedTuple

from tests.helpers import environment


class Done(NamedTuple):
  """How a command ended, and what it wrote."""

  returncode: int
  stdout: str
  stderr: str


def here(*argv: object) -> Done:
  """Runs a command line in this process, for messages; it must not leave anything behind.

  Devices are those of the tests; settings that the command changes are put back.
  """
  from absl import logging
  import jax

  from hrnet_jax.cli.main import main

  names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache")
  kept = {name: getattr(jax.config, name) for name in names}
  verbosity = logging.get_verbosity()
  try:
    return _run([str(x) for x in argv], main)
  finally:
    logging.set_verbosity(verbosity)
    for name, value in kept.items():
      jax.config.update(name, value)


@contextlib.contextmanager
def one_device() -> Iterator[None]:
  """Commands in this process use one device of the eight: compiling takes less than for several.

  Their convolutions are those of a machine with one device.
  """
  import pytest

  from hrnet_jax.distributed import sharding
  from hrnet_jax.ops.cpu import onednn
  from tests.helpers import toy

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sharding, "make_mesh", lambda shape, devices=None: toy.make_mesh(1))
    patch.setattr(onednn, "_unsuitable_devices", lambda: "")
    yield


def together(*lines: Sequence[object], devices: int = 1, **variables: object) -> list[Done]:
  """Runs command lines one after the other in one new process, which starts once for all.

  Args:
    lines: arguments of `hrnet`.
    devices: simulated ones.
    variables: further environment variables.
  """
  env = environment.ONE_THREAD | os.environ | {key: str(value) for key, value in variables.items()}
  env |= {"XLA_FLAGS": environment.xla_flags(*environment.QUICK, devices=devices)}
  process = subprocess.run(
    [sys.executable, "-m", "tests.helpers.commands"],
    input=json.dumps([[str(x) for x in line] for line in lines]),
    env=env,
    cwd=environment.ROOT,
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )
  assert process.returncode == 0, process.stderr
  return [Done(*x) for x in json.loads(process.stdout)]


def _run(argv: list[str], main: Callable[[list[str]], int]) -> Done:
  out, err = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    try:
      status = main(argv)
    except SystemExit as end:
      status = end.code
  return Done(status, out.getvalue(), err.getvalue())


def _run_all() -> None:
  from hrnet_jax.cli.main import main

  done = []
  for argv in json.load(sys.stdin):
    done.append(_run(argv, main))
    sys.stderr.write(done[-1].stderr)  # for whoever looks at a run that hangs
  json.dump(done, sys.stdout)


if __name__ == "__main__":
  _run_all()
