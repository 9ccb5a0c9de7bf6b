"""What a checkpoint says about itself is looked at before it is believed."""

import json
import pathlib
from typing import Any

from flax import traverse_util
import numpy as np
import pytest

from hrnet_jax.checkpoint import networks
from hrnet_jax.errors import UserError
from tests.helpers import states

FACTS = {"config": {"model": {"task": "counting"}}, "dataset": {"name": "x", "class_names": ["a"]}}


@pytest.fixture
def metadata(tmp_path: pathlib.Path) -> pathlib.Path:
  """The file of facts of a checkpoint, as one of a version without digests."""
  folder = networks.export(tmp_path / "net", {"params": {"w": np.zeros(3, np.float32)}}, FACTS)
  states.as_format_1(folder, digests=False)
  return folder / "facts" / "metadata"


def test_facts_and_variables_are_read(metadata: pathlib.Path) -> None:
  loaded = networks.load(metadata.parents[1])
  assert loaded.config.model.task == "counting"
  assert loaded.dataset == FACTS["dataset"]
  assert list(traverse_util.flatten_dict(loaded.variables, sep="/")) == ["params/w"]


@pytest.mark.parametrize(
  ("facts", "message"),
  [
    ({}, "'config'"),
    ([], "list indices"),
    (None, "NoneType"),
    ({**FACTS, "config": 3}, "'int'"),
    ({**FACTS, "config": {"model": {}}}, "task"),
    ({"config": FACTS["config"]}, "'dataset'"),
    ({**FACTS, "dataset": {"class_names": [1]}}, "dataset.class_names is no list of names"),
    ({**FACTS, "dataset": {"landmark_names": None}}, "dataset.landmark_names is no list of names"),
  ],
)
def test_other_facts_are_refused(metadata: pathlib.Path, facts: Any, message: str) -> None:
  metadata.write_text(json.dumps(facts))
  with pytest.raises(UserError, match=rf"0: its config or its facts are damaged.*{message}"):
    networks.load(metadata.parents[1])


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{", b"\xff\xfe{}", b'{"a": "b'])
def test_what_is_no_json_is_refused(metadata: pathlib.Path, content: bytes) -> None:
  metadata.write_bytes(content)
  with pytest.raises(
    UserError, match=r"0 is damaged: facts is not valid JSON .*; use another checkpoint"
  ):
    networks.load(metadata.parents[1])
