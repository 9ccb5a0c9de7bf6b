"""Pre-flight of the paper's configs on TPU slices: configs -> table and JSON lines.

    python -m benchmarks.preflight_table --output=preflight.jsonl --page=docs/preflight.md

Every case is compiled in a process of its own, which takes minutes, and becomes a line of the file;
a case that is in the file already is not done again. `--page` names a text with the marks
`<!-- table -->` and `<!-- end -->`, between which the table is put. Needs the package `libtpu`, but
no TPU and no data.
"""

from collections.abc import Sequence
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from absl import app, flags
import jax

from benchmarks import harness
from hrnet_jax import config as configs
from hrnet_jax.preflight import check

_CITYSCAPES = "segmentation/cityscapes:w48"
_BF16, _REMAT = {"model.dtype": "bfloat16"}, {"model.remat": True}

# Name, config, slice, and changes to the config.
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
  ("WFLW, W18", "landmarks/wflw:w18", "v5e:2x2", {}),
  ("ImageNet, W18", "classification/imagenet:w18", "v5e:2x4", {}),
  ("Cityscapes, W18-small-v1", "segmentation/cityscapes:w18_small_v1", "v5e:2x2", {}),
  ("Cityscapes, W48", _CITYSCAPES, "v5e:2x2", {}),
  ("Cityscapes, W48, bfloat16", _CITYSCAPES, "v5e:2x2", _BF16),
  ("Cityscapes, W48, bfloat16, remat", _CITYSCAPES, "v5e:2x2", _BF16 | _REMAT),
  ("Cityscapes, W48 with OCR, bfloat16", f"{_CITYSCAPES}_ocr", "v5e:2x2", _BF16),
  ("LIP, W48, bfloat16", "segmentation/lip:w48", "v5e:2x4", _BF16),
  ("PASCAL-Context, W48, bfloat16", "segmentation/pascal_context:w48", "v5e:4x4", _BF16),
  ("ImageNet, W48, bfloat16", "classification/imagenet:w48", "v5e:4x4", _BF16),
  (
    "Cityscapes, W48, batch 16, bfloat16",
    _CITYSCAPES,
    "v5e:4x4",
    _BF16 | {"train.batch_size": 16},
  ),
]
MARKS = ("<!-- table -->", "<!-- end -->")
HEADER = (
  *("config", "slice", "batch", "compile s", "arguments", "temporaries", "program", "of 15.75 GiB"),
  *("GFLOP", "GB moved", "MB sent", "at least ms"),
)


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_string("output", None, "File for the results, one line of JSON for each case.")
  flags.DEFINE_string("page", None, "Text to put the table into.")
  flags.DEFINE_float("minutes", 15, "After which a case is given up.", lower_bound=0)
  flags.DEFINE_list("only", [], "Positions of cases, from 0; all by default.")
  flags.DEFINE_integer("here", None, "Do this case in this process.")
  flags.mark_flag_as_required("output")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  del argv
  f = flags.FLAGS
  path = pathlib.Path(f.output)
  if f.here is not None:
    _write(path, _measure(f.here))
    return
  chosen = [int(n) for n in f.only] or range(len(CASES))
  for number in chosen:
    if CASES[number][0] not in _read(path):
      _apart(number, path, f.minutes)
  done = _read(path)
  rows = [row(done[name]) for name, *_ in CASES if name in done]
  print(harness.table(HEADER, rows))
  if f.page:
    page = pathlib.Path(f.page)
    page.write_text(filled(page.read_text(), rows))


def filled(page: str, rows: Sequence[Sequence[str]]) -> str:
  """The page with the table between its marks.

  Raises:
    ValueError: it has no marks.
  """
  start, mark, rest = page.partition(MARKS[0])
  _, end, after = rest.partition(MARKS[1])
  if not (mark and end):
    raise ValueError(f"the page has no {MARKS[0]} or no {MARKS[1]} after it")
  lines = ["| " + " | ".join(cells) + " |" for cells in (HEADER, ["---"] * len(HEADER), *rows)]
  return "\n".join([start + mark, "", *lines, "", end + after])


def row(case: dict[str, Any]) -> list[str]:
  """Cells of a case, sizes of a device in GiB."""
  memory, verdict = case["memory"], case["verdict"]
  start = [case["name"], case["topology"], str(case["batch_size"])]
  if not verdict["fits"] and "flops" not in case:
    return [*start, *["-"] * 4, f"{verdict['needed'] / 2**30:.2f}, does not fit", *["-"] * 4]
  rest = {"temporaries": memory["temporaries"], "program": memory["program"]}
  arguments = sum(memory.values()) - sum(rest.values())
  sizes = [f"{size / 2**30:.2f}" for size in (arguments, *rest.values())]
  bounds = case["seconds_at_least"]
  slowest = max(bounds, key=bounds.get)
  return [
    *start,
    f"{case['compile_seconds']:.0f}",
    *sizes,
    f"{verdict['needed'] / 2**30:.2f}" + ("" if verdict["fits"] else ", does not fit"),
    f"{case['flops'] / 1e9:,.0f}",
    f"{case['traffic'] / 1e9:.1f}",
    f"{sum(c['sent'] for c in case['collectives']) / 1e6:,.0f}",
    f"{bounds[slowest] * 1e3:.1f} ({slowest})",
  ]


def _measure(number: int) -> dict[str, Any]:
  name, text, topology, changes = CASES[number]
  config = configs.load(text)
  for key, value in changes.items():
    block, _, leaf = key.partition(".")
    config[block][leaf] = value
  jax.config.update("jax_enable_compilation_cache", False)
  return {"name": name, "changes": changes} | check.check(text, config, topology)


def _apart(number: int, path: pathlib.Path, minutes: float) -> None:
  """One case in a fresh process, which can be given up and does not profit from others."""
  command = [sys.executable, "-m", "benchmarks.preflight_table", f"--here={number}"]
  print(f"{CASES[number][0]} on {CASES[number][2]}", file=sys.stderr, flush=True)
  try:
    subprocess.run(
      [*command, f"--output={path}"],
      env={**os.environ, "JAX_PLATFORMS": "cpu"},
      timeout=60 * minutes,
      check=False,
    )
  except subprocess.TimeoutExpired:
    print(f"  given up after {minutes:g} minutes", file=sys.stderr, flush=True)


def _read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
  lines = path.read_text().splitlines() if path.exists() else []
  return {case["name"]: case for case in map(json.loads, lines)}


def _write(path: pathlib.Path, case: dict[str, Any]) -> None:
  with path.open("a") as file:
    file.write(json.dumps(case) + "\n")


if __name__ == "__main__":
  define_flags()
  app.run(main)
