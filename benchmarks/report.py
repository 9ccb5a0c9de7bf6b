"""Results as tables for people: result of `python -m benchmarks` -> Markdown, and a page with it.

    python -m benchmarks.report --result=runs/benchmark.json --page=docs/benchmark.md

Between `<!-- table: NAME -->` and `<!-- end -->` of the page stands the table NAME.
"""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import json
import pathlib
import re
from typing import Any

from absl import app, flags

from benchmarks import camvid, networks

_MARK = "left out: "
Row = Sequence[Any]
Result = Mapping[str, Any]


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_string("result", None, "JSON file of `python -m benchmarks`.", required=True)
  flags.DEFINE_string("page", None, "Markdown file to fill; without it, tables are printed.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  del argv
  show(tables(json.loads(pathlib.Path(flags.FLAGS.result).read_text())), flags.FLAGS.page)


def tables(result: Result) -> dict[str, str]:
  """Every table of a page by name; those of parts that were not measured say so."""
  made = {"machine": machine(result["machine"])}
  found = result.get("networks", [])
  made["networks"] = summary(found) if found else _missing(result, "networks")
  made["rivals"] = rivals(found) if found else _missing(result, "networks")
  for part, render in {"loading": loading, "training": training, "prepare": prepare}.items():
    made[part] = render(result[part]) if part in result else _missing(result, part)
  return made


def text(result: Result) -> str:
  """All tables with their names, for the terminal."""
  return _in_a_row(tables(result))


def show(made: Mapping[str, str], page: str | None, mark: str = "table") -> None:
  """Prints tables, or puts them into a page if one is named; see `fill`."""
  if not page:
    print(_in_a_row(made))
    return
  path = pathlib.Path(page)
  path.write_text(fill(path.read_text(), made, mark))


def fill(page: str, made: Mapping[str, str], mark: str = "table") -> str:
  """Replaces the tables of a page.

  Args:
    page: Markdown.
    made: tables by name.
    mark: what the places are called, `<!-- MARK: NAME -->`; other commands have their own.

  Raises:
    ValueError: the page asks for one that there is not, or has no place for any.
  """
  block = re.compile(rf"(<!-- {mark}: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
  wanted = [match[1] for match in block.findall(page)]
  if not wanted or (unknown := sorted(set(wanted) - set(made))):
    what = (
      f"asks for {unknown[0]!r}" if wanted else f"has no <!-- {mark}: NAME --> ... <!-- end -->"
    )
    raise ValueError(f"the page {what}; tables are {', '.join(made)}")
  return block.sub(lambda m: f"{m[1]}\n{made[m[2]]}\n\n{m[3]}", page)


def machine(facts: Result) -> str:
  """What was measured on."""
  return markdown(("", ""), [(key, value) for key, value in facts.items()])


def summary(comparisons: Iterable[Result]) -> str:
  """One line for each network and mode: times, and ours as a multiple of PyTorch's."""
  header = ("network", "input", "mode", "ours, s", "PyTorch eager, s", "compiled, s")
  header += ("ours / best eager", "ours / best", "memory / best eager's")
  rows = []
  for c in comparisons:
    of = c["rivals"]
    eager, ours = of[c["best_eager"]["rival"]], of[networks.OURS]
    compiled = [x for name, x in of.items() if name.endswith("compiled")]
    rows.append(
      (
        *(c["model"], c["case"], c["mode"]),
        *map(_median, (ours, eager)),
        _median(compiled[0]) if compiled else "-",
        *map(_range, (c["best_eager"], c["best"])),
        f"{_peak(ours) / _peak(eager):.2f}",
      )
    )
  return markdown(header, rows)


def rivals(comparisons: Sequence[Result]) -> str:
  """One line for each rival, and what was left out."""
  header = ("network", "mode", "rival", "s, median (range)", "first call, s", "peak MiB")
  header += ("again: first call, s", "again: peak MiB", "difference")
  rows, notes = [], []
  for c in comparisons:
    for name, x in c["rivals"].items():
      s, starts = x["seconds"], (x["first_start"], x["second_start"])
      span = f"{s['median']:.3f} ({s['low']:.3f} to {s['high']:.3f})"
      costs = ((f"{y['first_call_seconds']:.1f}", y["peak_mib"]) for y in starts)
      same = "" if name == networks.OURS else f"{x['difference']:.1e}"
      rows.append((c["model"], c["mode"], name, span, *itertools.chain(*costs), same))
    for name, why in c["left_out"].items():
      notes.append(f"* {c['model']}, {c['mode']}: {name} was {_MARK}{why.splitlines()[-1]}")
  return "\n".join([markdown(header, rows), *(["", *notes] if notes else [])])


def loading(parts: Result) -> str:
  """Images a second by number of workers."""
  header = ("workers", "loader", "images/s, median (range)", "ours is faster by")
  rows = []
  for workers, part in parts.items():
    for name, rate in part["images_per_second"].items():
      faster = _rate(part["ours_is_faster_by"], 2) if name == camvid.THEIRS else ""
      rows.append((workers, name, _rate(rate), faster))
  return markdown(header, rows)


def training(part: Result) -> str:
  """Images a second of loop and step, and their ratio."""
  rows = [(name, _rate(rate, 2), "") for name, rate in part["images_per_second"].items()]
  rows[0] = (*rows[0][:2], _rate(part["share_of_the_step"], 3))
  return markdown(("", "images/s, median (range)", "share of the step"), rows)


def prepare(part: Result) -> str:
  """Images a second of a whole preparation."""
  rate = _rate(part["images_per_second"][camvid.OURS])
  return markdown(("images", "images/s, median (range)"), [(part["images"], rate)])


def markdown(header: Row, rows: Iterable[Row]) -> str:
  """A table with columns of equal width."""
  lines = [[str(cell) for cell in row] for row in (header, *rows)]
  widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
  lines.insert(1, ["-" * width for width in widths])
  cells = ([c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
  return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _in_a_row(made: Mapping[str, str]) -> str:
  return "\n\n".join(f"{name}\n\n{table}" for name, table in made.items())


def _missing(result: Result, part: str) -> str:
  return f"Not measured: {result.get('left_out', {}).get(part, 'not asked for')}"


def _median(figures: Result) -> str:
  return f"{figures['seconds']['median']:.3f}"


def _peak(figures: Result) -> float:
  return figures["second_start"]["peak_mib"]


def _range(x: Result) -> str:
  return f"{x['multiple']:.2f} ({x['low']:.2f} to {x['high']:.2f})"


def _rate(x: Result, digits: int = 1) -> str:
  median, low, high = (f"{x[key]:.{digits}f}" for key in ("median", "low", "high"))
  return f"{median} ({low} to {high})"


if __name__ == "__main__":
  define_flags()
  app.run(main)
