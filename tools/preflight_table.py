"""Puts reports of pre-flight side by side: files of `hrnet preflight --json` -> a Markdown table.

    hrnet preflight --config=CONFIG --topology=v5e:2x2 --json="reports/NAME OF THE ROW.json"
    python -m tools.preflight_table reports/*.json

A row is called as its file.
"""

import argparse
import json
import pathlib
from typing import Any

import hrnet_jax
from hrnet_jax import markdown

HEADER = (
  *("config", "slice", "batch", "compile s", "arguments", "temporaries", "program", "needed GiB"),
  *("GFLOP", "GB moved", "MB sent", "at least ms"),
)
GIB = 2**30


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("reports", nargs="+", type=pathlib.Path, help="JSON files of pre-flight")
  paths = parser.parse_args().reports
  print(markdown.table(HEADER, [_row(path) for path in paths]))


def _row(path: pathlib.Path) -> list[str]:
  report = {}
  try:
    report = json.loads(path.read_text())
    return cells(path.stem, report)
  except (KeyError, TypeError, AttributeError, ValueError) as error:
    written = report.get("hrnet_jax", "0.2.0 or before") if isinstance(report, dict) else "nobody"
    raise SystemExit(
      f"{path} is not a report of hrnet-jax {hrnet_jax.__version__} ({error!r}); it was written by "
      f"{written}; run `hrnet preflight --json` again"
    ) from None


def cells(name: str, report: dict[str, Any]) -> list[str]:
  """One row; sizes are of a device, in GiB."""
  memory, verdict = report["memory"], report["verdict"]
  start = [name, report["topology"], str(report["batch_size"])]
  needed = f"{verdict['needed'] / GIB:.2f}"
  needed += "" if verdict["fits"] in (True, None) else ", does not fit"
  if "flops" not in report:  # the compiler itself refused
    return [*start, *["-"] * 4, needed, *["-"] * 4]
  rest = [memory["temporaries"], memory["program"]]
  sizes = [f"{size / GIB:.2f}" for size in (sum(memory.values()) - sum(rest), *rest)]
  bounds = report["seconds_at_least"]
  slowest = max(bounds, key=bounds.get, default="")
  return [
    *start,
    f"{report['compile_seconds']:.0f}",
    *sizes,
    needed,
    f"{report['flops'] / 1e9:,.0f}",
    f"{report['traffic'] / 1e9:.1f}",
    f"{sum(c['sent'] for c in report['collectives']) / 1e6:,.0f}",
    f"{bounds[slowest] * 1e3:.1f} ({slowest})" if slowest else "-",
  ]


if __name__ == "__main__":
  main()
