"""Scores stand under the names that the network was trained with."""

import types

import pytest

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.evaluation import score


def loaded(*names: str) -> types.SimpleNamespace:
  return types.SimpleNamespace(path="run/4", dataset={"class_names": names})


def test_classes_in_another_order_are_refused(capsys: pytest.CaptureFixture) -> None:
  here = DatasetInfo(name="mine", class_names=("object", "background"))
  with pytest.raises(ValueError, match="run/4 was trained with 'background' as number 0, but mine"):
    score._check_names(loaded("background", "object"), here)
  score._check_names(loaded("object", "background"), here)
  score._check_names(loaded("0", "1"), here)  # of converted weights
  assert not capsys.readouterr().err
  score._check_names(loaded("object", "ground"), here)
  assert "warning: run/4 was trained with 'ground' as number 1, but mine has 'backg" in (
    capsys.readouterr().err
  )
