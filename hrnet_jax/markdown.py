"""Markdown tables for terminals, reports and pages."""

from collections.abc import Iterable, Sequence

_LEAST_WIDTH = 3  # of a column: Markdown wants three dashes below its title


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
  """Writes a table whose columns are padded, so that it reads well as plain text too.

  Args:
    header: titles of the columns; empty texts make a table without titles.
    rows: cells of every row, as many as there are titles.

  Returns:
    Lines without a line break at the end.

  Raises:
    ValueError: a row has more or fewer cells than there are titles.
  """
  lines = [[str(cell) for cell in line] for line in (header, *rows)]
  widths = [max(_LEAST_WIDTH, *map(len, column)) for column in zip(*lines, strict=True)]
  lines.insert(1, ["-" * width for width in widths])
  padded = ([cell.ljust(width) for cell, width in zip(x, widths, strict=True)] for x in lines)
  return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)
