"""Lists the published networks with their size: `python -m hrnet_jax.models [TASK ...]`."""

import sys

from hrnet_jax.models import summary


def main(names: list[str]) -> int:
  """Prints one row for each variant of the tasks named, of all tasks without names."""
  known = summary.tasks()
  if unknown := [name for name in names if name not in known]:
    print(f"unknown task {unknown[0]!r}; known: {', '.join(known)}", file=sys.stderr)
    return 2
  print(f"{'task':<16}{'variant':<14}{'input':>12}{'parameters':>14}{'GMACs':>10}")
  for task in names or known:
    for variant in summary.variants():
      s = summary.summarize(task, variant)
      size = f"{s.size[0]}x{s.size[1]}"
      row = f"{task:<16}{variant:<14}{size:>12}{s.parameters:>14,}{s.macs / 1e9:>10.3f}"
      print(row, flush=True)
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
