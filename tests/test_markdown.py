"""Tables have columns of equal width."""

import pytest

from hrnet_jax import markdown


def test_columns_are_padded_to_their_widest_cell() -> None:
  assert markdown.table(["part", "n"], [("stem", 12345), ("a", 1)]) == (
    "| part | n     |\n"
    "| ---- | ----- |\n"
    "| stem | 12345 |\n"
    "| a    | 1     |"
  )  # fmt: skip


def test_a_table_without_rows_or_titles() -> None:
  assert markdown.table(["", ""], []) == "|     |     |\n| --- | --- |"


def test_rows_of_another_length_are_refused() -> None:
  with pytest.raises(ValueError, match="zip"):
    markdown.table(["a", "b"], [("c",)])
