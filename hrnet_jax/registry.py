"""Tasks and data sets by name: the only place that finds them, ours and those of other packages.

A task is a folder of `hrnet_jax/tasks/` whose `SPEC` is a `task_spec.TaskSpec`. A package of
somebody else adds tasks with a `SPEC`, or several in `SPECS`, and further data sets for the tasks
there are with `DATASETS`, name -> builder; it is named in `config.plugins`, or installed with an
entry point of the group `hrnet_jax.plugins`.

No task is imported before it is asked for, so that every other module may import this one.
"""

from collections.abc import Iterable, Mapping
import functools
import importlib
import importlib.metadata
import pkgutil
from typing import Any

from hrnet_jax.errors import UserError, config_keys
from hrnet_jax.task_spec import TaskSpec

ENTRY_POINTS = "hrnet_jax.plugins"
_TASKS = "hrnet_jax.tasks"
# Data sets that belong to no task: name -> builder.
_SHARED_DATASETS = {"shapes": "hrnet_jax.data.datasets.shapes:Shapes"}
_plugins: dict[str, tuple[TaskSpec, ...]] = {}  # by module
_plugin_datasets: dict[str, str | type] = {}  # name -> builder


def task_of(config: Any) -> TaskSpec:
  """The spec of the task that `config.model.task` names; loads `config.plugins` first.

  Raises:
    ValueError: there is no such task, or a plugin is not one.
  """
  load_plugins(config.get("plugins", ()))
  return task_spec(config.model.task)


def build_task(config: Any, dataset: Any) -> Any:
  """The task of a config, a `tasks.interface.Task`, with its network.

  Args:
    config: the whole config.
    dataset: facts about the data, see `data.dataset`.

  Raises:
    ValueError: unknown task, one that is a network alone, or a value that does not fit the data.
  """
  spec = task_of(config)
  if not spec.has("task"):
    raise UserError(
      f"task {spec.name!r} is a network alone; known: {', '.join(task_names('task'))}"
    )
  build = spec.part("task")
  with config_keys(config, "model", "loss", "eval.decoding", "eval.scoring", "data.normalize"):
    return build(config, dataset)


def task_spec(name: str) -> TaskSpec:
  """The spec of a task.

  Raises:
    ValueError: there is no such task; the message lists those there are.
  """
  specs = _specs()
  if name not in specs:
    raise UserError(f"unknown task {name!r}; known: {', '.join(sorted(specs))}")
  return specs[name]


def task_names(part: str = "") -> tuple[str, ...]:
  """Names of all tasks in alphabetical order, or of those that have a part (see `TaskSpec`)."""
  specs = _specs()
  return tuple(name for name in sorted(specs) if not part or specs[name].has(part))


def task_part(name: str, part: str, words: str) -> Any:
  """A part that a command needs of a task.

  Args:
    name: of the task.
    part: a field of `TaskSpec`.
    words: what the part is for people, such as "result files".

  Raises:
    ValueError: there is no such task, or it has no such part.
  """
  if name not in _specs() or not task_spec(name).has(part):
    known = ", ".join(task_names(part))
    raise UserError(f"no {words} for task {name!r}; known: {known}")
  return task_spec(name).part(part)


def dataset_builders() -> dict[str, str | type]:
  """Every data set that can be prepared: name -> builder, or where it is (see `resolve`)."""
  found: dict[str, str | type] = dict(_SHARED_DATASETS)
  for spec in _specs().values():
    found |= spec.datasets
  return dict(sorted((found | _plugin_datasets).items()))


def load_plugins(modules: Iterable[str]) -> None:
  """Imports packages that add tasks or data sets; those that were loaded before stay.

  Raises:
    ValueError: a module cannot be imported, adds nothing, or adds a name that there is already.
  """
  for module in modules:
    if module in _plugins:
      continue
    try:
      loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
      if error.name is None or not module.startswith(error.name):
        raise  # the plugin is there, and misses a package of its own
      raise UserError(
        f"config.plugins: there is no module {module!r}; install it, or start where it can be "
        "imported (PYTHONPATH)"
      ) from None
    specs = getattr(loaded, "SPECS", None) or tuple(filter(None, [getattr(loaded, "SPEC", None)]))
    datasets = getattr(loaded, "DATASETS", {})
    if not specs and not datasets:
      raise UserError(
        f"config.plugins: module {module!r} has neither SPEC nor SPECS, the TaskSpec that it adds, "
        "nor DATASETS, its data sets: name -> builder"
      )
    if known := sorted(datasets.keys() & dataset_builders().keys()):
      raise UserError(
        f"config.plugins: {module!r} adds data set {known[0]!r}, which there is already"
      )
    if taken := sorted({spec.name for spec in specs} & _specs().keys()):
      raise UserError(f"config.plugins: {module!r} adds task {taken[0]!r}, which there is already")
    _plugins[module] = tuple(specs)
    _plugin_datasets.update(datasets)


def _specs() -> Mapping[str, TaskSpec]:
  _load_installed()
  ours = _own_specs()
  return ours | {spec.name: spec for specs in _plugins.values() for spec in specs}


@functools.cache
def _own_specs() -> dict[str, TaskSpec]:
  package = importlib.import_module(_TASKS)
  names = [x.name for x in pkgutil.iter_modules(package.__path__) if x.ispkg]
  return {name: importlib.import_module(f"{_TASKS}.{name}").SPEC for name in names}


@functools.cache
def _load_installed() -> None:
  """Loads what other installed packages announce, once."""
  for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
    if point.value not in _plugins:
      specs = point.load()
      _plugins[point.value] = specs if isinstance(specs, tuple) else (specs,)
