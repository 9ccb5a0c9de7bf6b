"""Verdicts and advice."""

import types
from typing import Any

import pytest

from hrnet_jax.preflight import chips, program, report
from hrnet_jax.preflight.collectives import Collective
from hrnet_jax.preflight.topology import Topology
from tests.helpers import toy

GIB = 2**30
SLICE = Topology("v5e:2x2", range(4), chips.find("TPU v5 lite"), hosts=1)
CPUS = Topology("cpu:4", range(4), None, hosts=1)


def setup(data: int = 4, space: int = 1, size: int = 64) -> Any:
  shapes = {"image": (8, size, size, 3), "label": (8, size, size)}
  mesh = types.SimpleNamespace(shape={"data": data, "space": space}, size=data * space)
  return program.StepSetup(None, (None, None), mesh, shapes, False, 1000, {"parameters": 4000})


def compiled(needed: float, **more: Any) -> program.CompiledStep:
  memory = {"parameters": GIB // 2, "temporaries": round(needed * GIB) - GIB // 2}
  fields = {"flops": 0, "traffic": 0, "collectives": [], "unknown_loops": 0} | more
  return program.CompiledStep(seconds=1.0, memory=memory, **fields)


def judge(result: Any, where: Topology = SLICE, memory: int | None = None, **sizes: int) -> Any:
  return report.judge(result, toy.get_config(), setup(**sizes), where, memory)


def test_fits() -> None:
  verdict = judge(compiled(10))
  assert verdict.fits
  assert verdict.text == "fits: needs 10.00 GiB of 15.75 GiB a device, 5.75 GiB to spare"
  assert "that is close" in judge(compiled(15.5)).text


def test_does_not_fit() -> None:
  verdict = judge(compiled(16))
  assert verdict.fits is False
  assert verdict.text.startswith("does not fit: needs 16.00 GiB of 15.75 GiB a device; try\n")
  assert judge(compiled(16), memory=32 * GIB).fits
  assert judge(compiled(10), memory=8 * GIB).fits is False


def test_without_a_chip_it_is_information() -> None:
  verdict = judge(compiled(10), CPUS)
  assert verdict.fits is None
  assert "--memory=16GiB" in verdict.text
  assert judge(compiled(10), CPUS, memory=4 * GIB).fits is False


def test_what_the_compiler_refuses_does_not_fit() -> None:
  refusal = program.TooLarge(20 * GIB, int(15.75 * GIB))
  assert judge(refusal).text.startswith("does not fit: needs 20.00 GiB of 15.75 GiB")
  # More memory than the chip has does not change what the compiler does.
  assert judge(refusal, memory=32 * GIB).fits is False


def test_advice_names_what_is_possible() -> None:
  text = judge(compiled(16)).text  # 2 examples on each of 4 devices
  assert "--config.model.dtype=bfloat16" in text
  assert "--config.train.accumulate=2: the batch in more parts" in text
  assert "--config.train.batch_size=4: the smallest" in text
  assert "mesh.space" not in text
  text = judge(compiled(16), data=8, size=64).text  # one example on each of 8
  assert "smallest" not in text
  assert "--config.mesh.space=2 --config.train.accumulate=2: a device has half as much" in text
  assert "mesh.space" not in judge(compiled(16), data=8, size=96).text  # 96 cannot be split


@pytest.mark.parametrize(
  ("message", "needed"),
  [
    (
      "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory "
      "required for HLO temporaries (346.04G) exceeds available HBM (15.75G). HLO module: jit_x.",
      346.04,
    ),
    (
      "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm. "
      "Exceeded hbm capacity by 4.75G.",
      20.5,
    ),
  ],
)
def test_refusals_of_the_compiler_are_understood(message: str, needed: float) -> None:
  refusal = program.refusal(message)
  assert refusal.needed == int(needed * GIB)
  assert refusal.usable == int(15.75 * GIB)


def test_other_errors_are_no_refusals() -> None:
  assert program.refusal("INTERNAL: (2.00G) exceeds available HBM (1.00G)") is None
  assert program.refusal("RESOURCE_EXHAUSTED: too many open files") is None


def test_bounds_and_rate() -> None:
  talk = [Collective("all-reduce", 3, 10**8, 2 * 10**8)]
  result = compiled(1, flops=197 * 10**9, traffic=819 * 10**7, collectives=talk)
  assert report.least_seconds(result, SLICE) == pytest.approx(
    {"arithmetic": 1e-3, "memory": 1e-2, "network": 1e-3 + 3e-6}
  )
  text = report.describe_step(result, 8, SLICE)
  assert "so at most 800 images/s, bound by memory" in text
  assert "3 all-reduce, 100.0 MB put in" in text
  assert report.least_seconds(result, CPUS) == {}
  assert "at least" not in report.describe_step(result, 8, CPUS)
