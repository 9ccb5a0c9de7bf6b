"""Which checkpoint a config may score; the results are tested with the command, in test_eval.py."""

import re

import pytest

from hrnet_jax.checkpoint import networks
from hrnet_jax.evaluation import score
from tests.helpers import toy


def test_another_model_is_refused_with_every_differing_value(run, tmp_path):
  config = toy.get_config()
  config.model.width, config.model.upsample = 8, "bilinear_aligned"
  config.model.dtype = "bfloat16"  # does not change what the weights mean
  with pytest.raises(ValueError, match="holds another model") as error:
    score.score(config, tmp_path / "out", run)
  assert str(error.value).splitlines() == [
    f"{run / 'checkpoints' / '0'} holds another model:",
    "  model.upsample: 'bilinear' in the checkpoint, 'bilinear_aligned' in the config",
    "  model.width: 4 in the checkpoint, 8 in the config",
  ]
  assert not (tmp_path / "out").exists()


def test_precision_momentum_and_init_may_differ(run):
  model = toy.get_config().model.to_dict()
  model |= {"dtype": "bfloat16", "bn_momentum": 0.01, "init": "normal_0.001"}
  score._check_model(model, networks.load(run))


def test_no_checkpoint_is_said(tmp_path):
  with pytest.raises(FileNotFoundError, match=f"{re.escape(str(tmp_path))} holds no checkpoint"):
    score.score(toy.get_config(), tmp_path)


def test_a_batch_that_does_not_divide_is_refused(run):
  config = toy.get_config()
  config.eval.batch_size = 12
  with pytest.raises(ValueError, match=r"eval.batch_size is 12, not a multiple of 8"):
    score.score(config, run)


def test_a_missing_split_is_named(run, dataset):
  config = toy.get_config()
  config.data.eval_split = "test"
  with pytest.raises(ValueError, match="has no split 'test'; known: train, val"):
    score.score(config, run)
  assert not (run / "eval").exists()
