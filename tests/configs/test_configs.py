"""Every shipped config: documented, loadable, and each of its parts can be built from it."""

import copy
import dataclasses
import functools
import inspect

import jax
import ml_collections
import pytest

from configs import common
from hrnet_jax import config as configs
from hrnet_jax import registry
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.models.backbone import VARIANTS
from hrnet_jax.models.network import build_backbone
from hrnet_jax.task_spec import resolve
from hrnet_jax.training import optimizer

NAMES = configs.names()
BUILDERS = registry.dataset_builders()
# Blocks of the loop, whose keys are the same in all configs; others are keywords of a builder.
PLAIN = ("mesh", "data", "train", "eval", "checkpoint")
each_file = pytest.mark.parametrize("name", NAMES)


def experiments(name: str) -> list[str]:
  """All that a file lists, such as `segmentation/lip:w48`."""
  listed = getattr(configs.module(name), "EXPERIMENTS", None)
  return [f"{name}:{x}" for x in listed] if listed else [name]


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


def build_transforms(config: ml_collections.ConfigDict) -> None:
  spec = registry.task_of(config)
  train, evaluate = spec.part("train_transform"), spec.part("eval_transform")
  train(**config.transform.train)
  evaluate(**config.transform.eval)


def test_there_are_configs() -> None:
  assert "quickstart" in NAMES


def test_networks_are_those_of_the_package() -> None:
  assert set(common.VARIANTS) == set(VARIANTS)


@each_file
def test_docstring_gives_the_command(name: str) -> None:
  module = configs.module(name)
  text = module.__doc__
  commands = [line.split() for line in text.replace("\\\n", " ").splitlines()]
  (command,) = (words for words in commands if words[:2] == ["hrnet", "train"])
  assert any(f"{word}:".startswith(f"--config={name}:") for word in command)
  (named,) = (word.removeprefix("--config=") for word in command if word.startswith("--config="))
  assert named in [name, *experiments(name)]
  assert any(word.startswith("--workdir=") for word in command)
  assert "cost" in text.lower()  # time or arithmetic, so that nobody starts it blindly
  if resolve(BUILDERS[configs.load(name).data.name.partition("/")[0]]).NEEDS_SOURCE:
    assert "hrnet prepare --dataset=" in text


@each_file
def test_docstring_has_every_experiment(name: str) -> None:
  module = configs.module(name)
  if hasattr(module, "WIDTHS"):  # of detection/coco, whose table is by width and schedule
    parts = {*module.WIDTHS, *module.SCHEDULES, *module.METHODS}
    assert all(part in module.__doc__ for part in parts)
  else:
    assert all(x.partition(":")[2] in module.__doc__ for x in experiments(name))


@each_file
def test_default_is_an_experiment_of_the_list(name: str) -> None:
  assert configs.load(name).to_dict() in [configs.load(x).to_dict() for x in experiments(name)]


@each_file
def test_an_argument_that_there_is_not_is_refused(name: str) -> None:
  if experiments(name) != [name]:
    with pytest.raises(ValueError, match=r"--config=.*:w19: unknown (experiment|detector) 'w19'"):
      configs.load(f"{name}:w19")


def test_words_may_be_in_any_order() -> None:
  one, other = (
    configs.load(f"segmentation/cityscapes:{x}")
    for x in ("w48_ocr_ohem_trainval", "w48_trainval_ohem_ocr")
  )
  assert one.to_dict() == other.to_dict()
  assert one.data.train_split == "trainval"
  assert one.loss.ohem.num_groups == 4
  assert configs.load("segmentation/camvid:ocr").model.head == "ocr"
  with pytest.raises(ValueError, match="expected a network and the words ocr, ohem, trainval"):
    configs.load("segmentation/cityscapes:w48_ocr_ocr")


@each_file
def test_config_is_fresh_and_has_all_parts(name: str) -> None:
  config, other = configs.load(name), configs.load(name)
  assert isinstance(config, ml_collections.ConfigDict)
  config.seed += 1
  config.model.task = "changed"
  assert other.seed != config.seed
  assert other.model.task != "changed"
  expected = configs.load("quickstart")
  for each in experiments(name):
    config = configs.load(each)
    assert set(config) == set(expected)
    for part in PLAIN:
      assert set(config[part]) == set(expected[part]), f"{part} has other keys than quickstart"


@each_file
def test_every_option_is_there_for_the_command_line(name: str) -> None:
  config = configs.load(name)
  spec = registry.task_of(config)
  network = [spec.part("model"), build_backbone]
  keywords = {
    key
    for function in network
    for key, x in inspect.signature(function).parameters.items()
    if x.kind is not inspect.Parameter.VAR_KEYWORD
  }
  assert keywords <= set(config.model)
  for split in ("train", "eval"):
    fields = {x.name for x in dataclasses.fields(spec.part(f"{split}_transform"))}
    # The label that is ignored and the stride of maps are the task's.
    own = {"ignore", "label_stride", "stride"}
    assert fields - set(config.transform[split]) <= own
  assert set(config.model) <= keywords | {"task"}


@each_file
def test_numbers_are_possible(name: str) -> None:
  for each in experiments(name):
    config = configs.load(each)
    assert config.data.name.partition("/")[0] in BUILDERS
    assert (config.train.epochs > 0) != (config.train.steps > 0)
    assert config.train.batch_size % config.train.accumulate == 0
    positive = (config.train.batch_size, config.train.log_every, config.eval.batch_size)
    assert min(*positive, config.eval.every_epochs, config.checkpoint.every_steps) > 0


@each_file
def test_task_optimizer_and_transforms_build(name: str) -> None:
  kernel = jax.ShapeDtypeStruct((3, 3, 2, 2), "float32")
  params = {part: {"kernel": kernel} for part in ("backbone", "head")}
  for each in experiments(name):
    config = configs.load(each)
    build_task(config)
    build_transforms(config)
    schedule, tx = build_optimizer(config)
    rates = [float(schedule(t)) for t in (0, 10, 50, 99)]
    assert min(rates[1:]) > 0
    assert max(rates) <= config.optimizer.learning_rate * (1 + 1e-6)
    state = jax.eval_shape(tx.init, params)
    updates, _ = jax.eval_shape(tx.update, params, state, params)
    assert updates["head"]["kernel"].shape == (3, 3, 2, 2)


def graph_of(config: ml_collections.ConfigDict) -> tuple:
  """What makes one network another graph than a second; numbers of channels and classes do not."""
  model = config.model
  small = model.variant if "small" in model.variant else ""
  keys = ("task", "method", "head", "representation", "upsample")
  return (small, *(model.get(key) for key in keys))


GRAPHS = {graph_of(configs.load(x)): x for name in NAMES for x in experiments(name)[::-1]}


@pytest.mark.parametrize("name", GRAPHS.values())
def test_network_is_traced(name: str) -> None:
  config = configs.load(name)
  config.model.scan_layers = True  # sooner, of the same variables
  task = build_task(config)
  size = config.transform.train.get("crop_size", (64, 64))
  height, width = (size, size) if isinstance(size, int) else size
  images = jax.ShapeDtypeStruct((2, height, width, 3), "float32")
  init = functools.partial(task.model.init_with_output, train=False)
  outputs, variables = jax.eval_shape(init, jax.random.key(0), images)
  assert set(variables) == {"params", "batch_stats"}
  predict = functools.partial(task.predict, size=(height, width))
  assert jax.tree.leaves(jax.eval_shape(predict, outputs))[0].shape[0] == 2


@each_file
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
def test_misspelt_key_is_refused(name: str, part: str, build: object) -> None:
  for each in experiments(name):
    config = copy.deepcopy(configs.load(each))
    section = functools.reduce(getattr, part.split("."), config)
    section.mispelt = 1
    with pytest.raises(TypeError, match="mispelt"):
      build(config)
