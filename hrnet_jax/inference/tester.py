"""How a config wants a network tested: step, batches and where the weights have to be."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
from jax.sharding import Mesh

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.inference.protocol import Protocol
from hrnet_jax.inference.protocol_step import ProtocolStep
from hrnet_jax.tasks.protocol import Task
from hrnet_jax.training import sharding
from hrnet_jax.training.evaluate import SharedStep, Step
from hrnet_jax.training.step import make_eval_step

# For tasks with a test protocol: its values by name -> the options of the step.
PROTOCOLS: dict[str, type] = {"segmentation": Protocol}
_PREPARATION = ("resize", "short_side", "stride", "keep_padding")


@dataclasses.dataclass(frozen=True)
class Tester:
  """Everything `evaluate` needs but the weights.

  Attributes:
    step: scores batches.
    batches: makes a loader for one pass.
    place: brings variables from the devices of the whole mesh to where the step wants them.
    text: the manner of testing, for people.
  """

  step: Step
  batches: Callable[[], Loader]
  place: Callable[[Mapping[str, Any]], Mapping[str, Any]]
  text: str


def build(config: Any, task: Task, dataset: Dataset, mesh: Mesh) -> Tester:
  """Takes `config.eval.protocol` if there is one; otherwise images are tested as in validation.

  Raises:
    ValueError: a value of the protocol is wrong, or the task has none.
  """
  values = dict(config.eval.get("protocol") or {})
  if not values:
    inputs = Inputs(config, dataset, *sharding.data_share(mesh))
    multiple = sharding.height_multiple(mesh)
    step = SharedStep(make_eval_step(task, mesh), mesh)
    return Tester(step, lambda: inputs.eval(height_multiple=multiple), lambda x: x, "as validation")
  name = config.model.task
  if name not in PROTOCOLS:
    raise ValueError(f"task {name!r} has no eval.protocol; leave it empty")
  protocol, local = PROTOCOLS[name](**values), sharding.local_mesh()
  options = {key: getattr(protocol, key) for key in _PREPARATION}
  inputs = Inputs(config, dataset, jax.process_index(), jax.process_count())
  return Tester(
    ProtocolStep(task, config.model.upsample, protocol, local),
    lambda: inputs.test(local.size, **options),
    lambda variables: sharding.put_whole(variables, local),
    describe(protocol),
  )


def describe(protocol: Protocol) -> str:
  """One line for people."""
  scales = ", ".join(f"{scale:g}" for scale in protocol.scales)
  mirrored = ", mirrored as well" if protocol.flip else ""
  return f"{protocol.kind} at scales {scales} of {protocol.base_size} pixels{mirrored}"
