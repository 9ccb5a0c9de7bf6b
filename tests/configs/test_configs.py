"""Every shipped config: documented, loadable, and each of its parts can be built from it."""

import copy
import functools
import importlib
import pathlib
import types

import jax
import ml_collections
import pytest

from hrnet_jax import registry
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.task_spec import resolve
from hrnet_jax.training import optimizer

ROOT = pathlib.Path(__file__).parents[2]
CONFIGS = sorted(p for p in (ROOT / "configs").rglob("*.py") if p.name != "__init__.py")
# The parts that the loop itself reads; others are keywords of a builder.
PLAIN = ("mesh", "data", "train", "eval", "checkpoint")
# Keys of these that not every config has.
OPTIONAL = {"train": {"fine_tune"}, "eval": {"decoding", "examples", "protocol", "scoring"}}

BUILDERS = registry.dataset_builders()
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.relative_to(ROOT).as_posix())


def load(path: pathlib.Path) -> types.ModuleType:
  name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
  return importlib.import_module(name)


def facts(config: ml_collections.ConfigDict) -> DatasetInfo:
  """A data set that fits the config."""
  count = config.model.get("num_classes", 0)
  landmarks = config.model.get("num_landmarks", 0)
  return DatasetInfo(
    class_names=tuple(f"class {i}" for i in range(count)),
    class_weights=(1.0,) * count,
    palette=((0, 0, 0),) * count,
    landmark_names=tuple(f"landmark {i}" for i in range(landmarks)),
    flip_pairs=(),
  )


def build_task(config: ml_collections.ConfigDict) -> object:
  return registry.build_task(config, facts(config))


def build_optimizer(config: ml_collections.ConfigDict) -> tuple:
  return optimizer.build(100, steps_per_epoch=2.5, **config.optimizer)


@functools.cache
def trace(model: object, height: int, width: int) -> tuple:
  """Shapes of outputs and variables; many configs share a network."""
  images = jax.ShapeDtypeStruct((2, height, width, 3), "float32")
  init = functools.partial(model.init_with_output, train=False)
  return jax.eval_shape(init, jax.random.key(0), images)


def build_transforms(config: ml_collections.ConfigDict) -> None:
  spec = registry.task_of(config)
  train, evaluate = spec.part("train_transform"), spec.part("eval_transform")
  train(**config.transform.train)
  evaluate(**config.transform.eval)


def test_there_are_configs() -> None:
  assert ROOT / "configs" / "quickstart.py" in CONFIGS


@each_config
def test_docstring_gives_the_command(path: pathlib.Path) -> None:
  text = load(path).__doc__
  config = f"--config={path.relative_to(ROOT).as_posix()}"
  commands = [line.split() for line in text.replace("\\\n", " ").splitlines()]
  (command,) = (words for words in commands if words[:2] == ["python", "train.py"])
  assert config in command
  assert any(word.startswith("--workdir=") for word in command)
  assert "cost:" in text.lower()  # time or arithmetic, so that nobody starts it blindly
  if resolve(BUILDERS[load(path).get_config().data.name.partition("/")[0]]).NEEDS_SOURCE:
    assert "python -m hrnet_jax.prepare --dataset=" in text


@each_config
def test_config_is_fresh_and_has_all_parts(path: pathlib.Path) -> None:
  module = load(path)
  config, other = module.get_config(), module.get_config()
  assert isinstance(config, ml_collections.ConfigDict)
  config.seed += 1
  config.model.task = "changed"
  assert other.seed != config.seed
  assert other.model.task != "changed"
  expected = load(ROOT / "configs" / "quickstart.py").get_config()
  assert set(config) == set(expected)
  for part in PLAIN:
    keys = set(config[part]) - OPTIONAL.get(part, set())
    assert keys == set(expected[part]), f"{part} has other keys than quickstart"


@each_config
def test_numbers_are_possible(path: pathlib.Path) -> None:
  config = load(path).get_config()
  assert config.data.name.partition("/")[0] in BUILDERS
  assert (config.train.epochs > 0) != (config.train.steps > 0)
  assert config.train.batch_size % config.train.accumulate == 0
  positive = (config.train.batch_size, config.train.log_every, config.eval.batch_size)
  assert min(*positive, config.eval.every_epochs, config.checkpoint.every_steps) > 0


@each_config
def test_task_builds_and_its_network_is_traced(path: pathlib.Path) -> None:
  config = load(path).get_config()
  task = build_task(config)
  size = config.transform.train.get("crop_size", (64, 64))
  height, width = (size, size) if isinstance(size, int) else size
  outputs, variables = trace(task.model, height, width)
  assert set(variables) == {"params", "batch_stats"}
  predict = functools.partial(task.predict, size=(height, width))
  assert jax.tree.leaves(jax.eval_shape(predict, outputs))[0].shape[0] == 2


@each_config
def test_optimizer_builds(path: pathlib.Path) -> None:
  config = load(path).get_config()
  schedule, tx = build_optimizer(config)
  rates = [float(schedule(t)) for t in (0, 10, 50, 99)]
  assert min(rates[1:]) > 0
  assert max(rates) <= config.optimizer.learning_rate * (1 + 1e-6)
  kernel = jax.ShapeDtypeStruct((3, 3, 2, 2), "float32")
  params = {part: {"kernel": kernel} for part in ("backbone", "head")}
  state = jax.eval_shape(tx.init, params)
  updates, _ = jax.eval_shape(tx.update, params, state, params)
  assert updates["head"]["kernel"].shape == (3, 3, 2, 2)


@each_config
def test_transforms_build(path: pathlib.Path) -> None:
  build_transforms(load(path).get_config())


@each_config
@pytest.mark.parametrize(
  ("part", "build"),
  [
    ("model", build_task),
    ("loss", build_task),
    ("optimizer", build_optimizer),
    ("optimizer.schedule", build_optimizer),
    ("transform.train", build_transforms),
    ("transform.eval", build_transforms),
  ],
)
def test_misspelt_key_is_refused(path: pathlib.Path, part: str, build: object) -> None:
  config = copy.deepcopy(load(path).get_config())
  section = functools.reduce(getattr, part.split("."), config)
  section.mispelt = 1
  with pytest.raises(TypeError, match="mispelt"):
    build(config)
