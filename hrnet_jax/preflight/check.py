"""Checks one config on one slice, and prints a report: what `hrnet preflight` does."""

from typing import Any

from hrnet_jax.preflight import program, report
from hrnet_jax.preflight.topology import open_topology


def check(name: str, config: Any, topology: str, *, memory: int | None = None) -> dict[str, Any]:
  """Compiles the config's train step for a slice and prints what it needs.

  Args:
    name: of the config, for the report.
    config: see `configs/`.
    topology: see `open_topology`; JAX must not have started its devices.
    memory: bytes of a device instead of what its maker says.

  Returns:
    The report as plain values; `["verdict"]["fits"]` is the answer.

  Raises:
    ValueError, TypeError: the config does not fit the slice, or there is no such slice.
  """
  where = open_topology(topology)
  setup = program.set_up(config, where)
  print(report.describe_setup(name, config, setup, where), flush=True)
  print("compiling; for a large network this takes minutes", flush=True)
  result: program.CompiledStep | program.TooLarge
  try:
    result = program.compile_step(setup)
    print(report.describe_step(result, config.train.batch_size, where), flush=True)
  except program.TooLarge as error:
    result = error
    print(report.describe_arguments(setup), flush=True)
  verdict = report.judge(result, config, setup, where, memory)
  print(verdict.text, flush=True)
  return report.plain_values(name, config, setup, where, result, verdict)
