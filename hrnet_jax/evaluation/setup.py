"""How a config wants a network tested: step, batches and where the weights have to be."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from hrnet_jax import registry
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed import sharding
from hrnet_jax.errors import UserError, config_keys
from hrnet_jax.evaluation import memory
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import SharedStep, Step
from hrnet_jax.tasks.interface import Task


class TestProcedure(NamedTuple):
  """How a task is tested when the config has an `eval.protocol`.

  Attributes:
    options: class whose fields are keys of `config.eval.protocol`; `text` describes it to people.
    preparation: those of its fields that are options of `transform`.
    transform: class of the host transform of whole images; besides these it takes `padding`, the
      colour of what is added to an image.
    fill: by array of an example, the value that fills it up to the size of the batch.
    step: task, options and mesh of this process -> `evaluate.Step`.
  """

  options: type
  preparation: tuple[str, ...]
  transform: type
  fill: Mapping[str, int]
  step: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class TestSetup:
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


def build(config: Any, task: Task, dataset: Dataset, mesh: Mesh) -> TestSetup:
  """Takes `config.eval.protocol` if there is one; otherwise images are tested as in validation.

  Raises:
    ValueError: a value of the protocol is wrong, or the task has none.
  """
  values, spec = dict(config.eval.get("protocol") or {}), registry.task_of(config)
  if not values:
    inputs = Inputs(config, dataset, spec, *sharding.data_share(mesh))
    step, batches = memory.in_fitting_groups(
      SharedStep(make_eval_step(task, mesh), mesh),
      inputs,
      jax.eval_shape(lambda: init_variables(task.model, seed=0)),
      inputs.eval_example(sharding.height_multiple(mesh)),
    )
    return TestSetup(step, batches, lambda x: x, "as validation")
  procedure = spec.part("test_procedure")
  if procedure is None:
    raise UserError(f"task {config.model.task!r} has no eval.protocol; leave it empty")
  with config_keys(config, "eval.protocol"):
    protocol = procedure.options(**values)
  local = sharding.local_mesh()
  options = {key: getattr(protocol, key) for key in procedure.preparation}
  inputs = Inputs(config, dataset, spec, jax.process_index(), jax.process_count())
  return TestSetup(
    memory.InParts(procedure.step(task, protocol, local), local.size),
    lambda: inputs.test(local.size, padding=task.normalize.mean_color, **options),
    lambda variables: sharding.device_put_replicated(variables, local),
    protocol.text,
  )
