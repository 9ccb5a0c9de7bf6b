"""Marks of parameters."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(values: Iterable[Any], *fast: Any) -> list[Any]:
  """Parameters of which all are `slow` but those in `fast`, which stand for them in `make test`."""
  return [x if x in fast else pytest.param(x, marks=pytest.mark.slow, id=str(x)) for x in values]
