"""Tables for people: result of `python -m benchmarks` -> Markdown, and a page with it.

    python -m benchmarks.report --result=runs/benchmark.json --page=docs/benchmark.md

Between `<!-- table: NAME -->` and `<!-- end -->` of the page stands the table NAME.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
import itertools
import json
import pathlib
import re
from typing import Any

from benchmarks import networks, pipeline
from hrnet_jax import markdown

Result = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with its arguments, by default those of this process."""
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.report",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("--result", type=pathlib.Path, required=True, help="JSON file of `python -m benchmarks`")
  add("--page", type=pathlib.Path, help="Markdown file to fill; without it, tables are printed")
  args = parser.parse_args(argv)
  result = json.loads(args.result.read_text())
  if args.page:
    args.page.write_text(fill(args.page.read_text(), tables(result)))
  else:
    print(text(result))


def tables(result: Result) -> dict[str, str]:
  """Every table of a page by name; those of parts that were not measured say so."""
  made = {"machine": machine(result["machine"])}
  found = result.get("networks", [])
  made["networks"] = summary(found) if found else _missing(result, "networks")
  made["contenders"] = contenders(found) if found else _missing(result, "networks")
  for part, render in {"loading": loading, "training": training, "prepare": prepare}.items():
    made[part] = render(result[part]) if part in result else _missing(result, part)
  return made


def text(result: Result) -> str:
  """All tables with their names, for the terminal."""
  return "\n\n".join(f"{name}\n\n{table}" for name, table in tables(result).items())


def fill(page: str, made: Mapping[str, str]) -> str:
  """Replaces the tables of a page.

  Args:
    page: Markdown.
    made: tables by name.

  Raises:
    ValueError: the page asks for one that there is not, or has no place for any.
  """
  block = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
  places = [match[1] for match in block.findall(page)]
  if not places or (unknown := sorted(set(places) - set(made))):
    what = f"asks for {unknown[0]!r}" if places else "has no <!-- table: NAME --> ... <!-- end -->"
    raise ValueError(f"the page {what}; tables are {', '.join(made)}")
  return block.sub(lambda m: f"{m[1]}\n{made[m[2]]}\n\n{m[3]}", page)


def machine(facts: Result) -> str:
  """The machine and the versions of packages."""
  return markdown.table(("", ""), [(key, value) for key, value in facts.items()])


def summary(comparisons: Iterable[Result]) -> str:
  """One line for each network and mode: times, and this project's as a multiple of PyTorch's."""
  header = ("network", "input", "mode", "JAX, s", "PyTorch eager, s", "compiled, s")
  header += ("JAX / best eager", "JAX / best", "memory / best eager's")
  rows = []
  for c in comparisons:
    of = c["contenders"]
    eager, jax = of[c["best_eager"]["contender"]], of[networks.JAX]
    compiled = [x for name, x in of.items() if name.endswith("compiled")]
    rows.append(
      (
        *(c["model"], c["case"], c["mode"]),
        *map(_median, (jax, eager)),
        _median(compiled[0]) if compiled else "-",
        *map(_range, (c["best_eager"], c["best"])),
        f"{_peak(jax) / _peak(eager):.2f}",
      )
    )
  return markdown.table(header, rows)


def contenders(comparisons: Sequence[Result]) -> str:
  """One line for each contender, and what was left out."""
  header = ("network", "mode", "contender", "s, median (range)", "first call, s", "peak MiB")
  header += ("again: first call, s", "again: peak MiB", "difference")
  rows: list[Sequence[Any]] = []
  left_out: dict[tuple[str, str], list[str]] = {}
  for c in comparisons:
    for name, x in c["contenders"].items():
      s, starts = x["seconds"], (x["first_start"], x["second_start"])
      span = f"{s['median']:.3f} ({s['low']:.3f} to {s['high']:.3f})"
      costs = ((f"{y['first_call_seconds']:.1f}", y["peak_mib"]) for y in starts)
      same = "" if name == networks.JAX else f"{x['difference']:.1e}"
      rows.append((c["model"], c["mode"], name, span, *itertools.chain(*costs), same))
    for name, why in c["left_out"].items():
      places = left_out.setdefault((name, why.splitlines()[-1]), [])
      places.append(f"{c['model']}, {c['mode']}")
  notes = []
  for (name, why), places in left_out.items():
    everywhere = len(places) == len(comparisons) > 1
    where = "everywhere" if everywhere else "; ".join(places)
    notes.append(f"* {where}: {name} was left out: {why}")
  return "\n".join([markdown.table(header, rows), *(["", *notes] if notes else [])])


def loading(parts: Result) -> str:
  """Images a second by number of workers."""
  header = ("workers", "loader", "images/s, median (range)", "JAX is faster by")
  rows = []
  for workers, part in parts.items():
    for name, rate in part["images_per_second"].items():
      faster = _rate(part["jax_is_faster_by"], 2) if name == pipeline.TORCH else ""
      rows.append((workers, name, _rate(rate), faster))
  return markdown.table(header, rows)


def training(part: Result) -> str:
  """Images a second of loop and step, and their ratio."""
  rows = [(name, _rate(rate, 2), "") for name, rate in part["images_per_second"].items()]
  rows[0] = (*rows[0][:2], _rate(part["share_of_the_step"], 3))
  return markdown.table(("", "images/s, median (range)", "share of the step"), rows)


def prepare(part: Result) -> str:
  """Images a second of a whole preparation."""
  rate = _rate(part["images_per_second"][pipeline.JAX])
  return markdown.table(("images", "images/s, median (range)"), [(part["images"], rate)])


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
  main()
