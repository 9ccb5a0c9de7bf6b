"""A parity report for people: the dict of `certificate.certify` -> Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_jax import markdown


def render(report: Mapping[str, Any]) -> str:
  """Facts, a row of differences for each part of the network, and the shares of equal decisions.

  Args:
    report: from `certify`; `file`, `date`, `device` and `versions` are shown where they are there.
  """
  verdict = "passed" if report["passed"] else "FAILED"
  sections = [f"# Parity with PyTorch: {verdict}", _facts(report)]
  for comparison in report["comparisons"]:
    if comparison["starts_at"] is not None:
      limit = report["limits"][comparison["dtype"]]
      where = f"{comparison['starts_at']} is the first part beyond {limit:g}"
      sections.append(f"{_column(comparison)}: {where}.")
  sections += [_differences(report["comparisons"], report["limits"]), _decisions(report)]
  return "\n\n".join(sections)


def _facts(report: Mapping[str, Any]) -> str:
  flags, tensors = report["flags"], report["tensors"]
  rows = []
  if "file" in report:
    file = report["file"]
    rows += [("file", f"{file['name']}, {file['bytes']:,} bytes"), ("SHA-256", file["sha256"])]
  rows += [
    ("task", flags["task"]),
    ("size", ", ".join(f"{k} {v}" for k, v in flags["depth"].items())),
    ("tensors", f"{tensors['used']} used of {tensors['in_file']} (the rest are counters)"),
    ("parameters", f"{tensors['parameters']:,}, statistics {tensors['running_statistics']:,}"),
    ("upsampling", f"{flags['upsample']}, in PyTorch {flags['upsample_torch']}"),
    ("BatchNorm", _batch_norm(flags)),
  ]
  if "versions" in report:
    versions = ", ".join(f"{k} {v}" for k, v in report["versions"].items())
    rows += [("versions", versions), ("device", report["device"]), ("date", report["date"])]
  return markdown.table(["", ""], rows)


def _batch_norm(flags: Mapping[str, Any]) -> str:
  momenta = f"momentum {flags['bn_momentum']} (the reference's {flags['bn_momentum_torch']}"
  return f"{momenta}; acts in training only), epsilon {flags['bn_epsilon']}"


def _differences(comparisons: Sequence[Mapping[str, Any]], limits: Mapping[str, float]) -> str:
  columns = [_column(c) for c in comparisons]
  rows = []
  for parts in zip(*[c["differences"] for c in comparisons], strict=True):
    cells = [f"{d['relative']:.1e} ({d['largest']:.1e})" for d in parts]
    marked = [c if d["passed"] else f"**{c}**" for c, d in zip(cells, parts, strict=True)]
    rows.append((parts[0]["part"], *marked))
  rows.append(("limit", *(f"{limits[c['dtype']]:g}" for c in comparisons)))
  text = "Largest difference relative to the standard deviation of PyTorch's values (absolute):"
  return f"{text}\n\n{markdown.table(['part', *columns], rows)}"


def _decisions(report: Mapping[str, Any]) -> str:
  rows = []
  for comparison in report["comparisons"]:
    found = comparison["decisions"]
    share = f"{found['equal']:,} of {found['count']:,} ({found['equal'] / found['count']:.4%})"
    extra = f"; best five {found['equal_top5']}" if "equal_top5" in found else ""
    extra += f"; furthest {found['furthest']} cells" if "furthest" in found else ""
    rows.append((_column(comparison), share + extra))
  return markdown.table([f"equal: {report['decision']}", ""], rows)


def _column(comparison: Mapping[str, Any]) -> str:
  _, height, width, _ = comparison["images"]
  return f"{comparison['dtype']}, {height} x {width}"
