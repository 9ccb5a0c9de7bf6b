"""Prepares a data set and says what is in it: what `hrnet prepare` does."""

from collections.abc import Mapping
import pathlib
import shlex
import sys
import time
from typing import Any

from hrnet_jax.data import prepared
from hrnet_jax.data.dataset import ADVICE
from hrnet_jax.errors import about_input, printable, some_of

_PLAIN_INTERVAL = 5.0  # seconds between lines where there is no terminal to draw a bar on
_BAR_INTERVAL = 0.1
_BAR_WIDTH = 30
_MAX_ROWS = 200  # of the table of classes
_SHOWN = 10  # names in a warning


def prepare(
  name: str,
  source: str | None,
  data_dir: str | None,
  *,
  overwrite: bool = False,
  workers: int | None = None,
  skip_bad: bool = False,
  remove_old: bool = False,
  **options: Any,
) -> None:
  """Prepares a data set with a progress bar, and prints a summary.

  Args:
    name: `DATASET` or `DATASET/VARIANT`.
    source: folder with the images and labels; some data sets need none.
    data_dir: where to write; None is the usual place.
    overwrite: prepares again although nothing has changed.
    workers: threads; as many as processors by default.
    skip_bad: leave out photos and annotations that are bad.
    remove_old: remove what was prepared under this name before and is kept for those who read it.
    **options: of the data set's builder, see `Builder.OPTIONS`.

  Raises:
    ValueError, OSError: see `data.prepared.prepare`.
  """
  started = time.monotonic()
  progress = ProgressLine()
  try:
    dataset, built = prepared.prepare(
      name,
      data_dir,
      source=source,
      overwrite=overwrite,
      progress=progress,
      workers=workers,
      say=progress.say,
      skip_bad=skip_bad,
      **options,
    )
  except KeyboardInterrupt:
    raise KeyboardInterrupt("nothing was changed, run it again") from None
  finally:
    progress.end()
  with about_input(f"{dataset.directory}: {ADVICE}"):
    summary, found = summarize(dataset), warnings(dataset)
  print(printable(summary))
  for text in found:
    print(printable(f"warning: {text}"), file=sys.stderr)
  state = f"prepared in {time.monotonic() - started:.1f} s" if built else "already prepared"
  print(f"{state}: {dataset.directory}")
  if remove_old:
    _say_removed(prepared.remove_older(name, data_dir))
  elif built and (older := prepared.older(name, data_dir)):
    print(
      f"kept for those who read it: {_listing(older)}; to remove it:\n"
      f"  hrnet prepare --dataset={name}{_flag('--data_dir', data_dir)} --remove_old"
    )
  print(_next_command(dataset, data_dir))


def verify(name: str, data_dir: str | None) -> list[str]:
  """Reads all of a prepared data set, and says so if it is what was written.

  Args:
    name: `DATASET` or `DATASET/VARIANT`.
    data_dir: see `prepare`.

  Returns:
    A line for each file, or record, that is damaged.

  Raises:
    ValueError, OSError: see `data.prepared.verify`.
  """
  progress = ProgressLine()
  try:
    folder, damaged = prepared.verify(
      name, data_dir, done=lambda done, total: progress("verify", done, total)
    )
  finally:
    progress.end()
  if not damaged:
    print(f"all of it is what was written: {folder}")
  return damaged


def summarize(dataset: prepared.Dataset) -> str:
  """Splits with sizes, the share of each class, and the fingerprint, as lines of text."""
  lines = [f"data set {dataset.name}, fingerprint {dataset.fingerprint}"]
  for split, count in dataset.splits().items():
    height, width = dataset.max_size(split)
    size = f"{width}x{height}" if dataset.uniform_size(split) else f"up to {width}x{height}"
    lines.append(f"  {split:<6}{count:>8} images, {size}")
  for name, splits in dataset.unions.items():
    lines.append(f"  {name} is {' and '.join(splits)}")
  for subset, (split, positions) in dataset.subsets.items():
    lines.append(f"  {subset:<14}{len(positions):>8} images of {split}")
  if dataset.left_out:
    lines.append(
      f"  {len(dataset.left_out)} photos or annotations were bad and left out; "
      f"{dataset.directory / 'metadata.json'} lists them"
    )
  if not dataset.class_names:
    lines.append(f"  {len(dataset.landmark_names)} keypoints, {len(dataset.flip_pairs)} pairs")
    return "\n".join(lines)
  if len(dataset.class_names) > _MAX_ROWS:
    return "\n".join([*lines, f"  {len(dataset.class_names)} classes"])
  unit, rows = "pixels", [*dataset.class_names, "(ignored)"]
  if all("class_images" in values for values in dataset.statistics.values()):
    unit, rows = "images", list(dataset.class_names)
  elif all("class_objects" in values for values in dataset.statistics.values()):
    unit = "objects"
  lines.append(f"{f'share of {unit}':<24}" + "".join(f"{split:>9}" for split in dataset.statistics))
  columns = [_shares(values, unit)[: len(rows)] for values in dataset.statistics.values()]
  for row, shares in zip(rows, zip(*columns, strict=True), strict=True):
    lines.append(f"  {row:<22}" + "".join(f"{share:>8.2%} " for share in shares).rstrip())
  return "\n".join(lines)


def warnings(dataset: prepared.Dataset) -> list[str]:
  """Says what a data set lacks that a network would have to learn from."""
  found = []
  for split, values in dataset.statistics.items():
    for unit in ("pixels", "objects", "images"):
      counts = values.get(f"class_{unit}")
      if not counts or not dataset.class_names:
        continue
      missing = [name for name, n in zip(dataset.class_names, counts, strict=False) if not n]
      ignored = values[f"ignored_{unit}"]
      if len(missing) == len(dataset.class_names):
        found.append(
          f"{split}: nothing to learn from: all {ignored} {unit} are ignored"
          if ignored
          else f"{split}: no {unit} of any class"
        )
      elif missing and split == "train":
        found.append(f"train: no {unit} of {_shown(missing)}, so they cannot be learnt")
      elif split == "val":
        learnt = dataset.statistics.get("train", {}).get(f"class_{unit}", [])
        untested = [x for x, n in zip(dataset.class_names, learnt, strict=False) if n]
        if untested := [name for name in untested if name in missing]:
          found.append(
            f"val: no {unit} of {_shown(untested)}, so scores do not tell how well they are learnt"
          )
  alike: dict[str, str] = {}
  for name in dataset.class_names:
    first = alike.setdefault(" ".join(name.casefold().split()), name)
    if first != name:
      found.append(f"classes {first!r} and {name!r} differ in capitals or blanks alone")
  if _only_ignored_beside_the_first(dataset):
    found.append(
      "the labels hold 0 and 255 alone, and 255 is ignored; if it stands for "
      f"{dataset.class_names[1]!r}, write 1 instead"
    )
  return found


def _shown(names):
  return some_of([*map(repr, names)], _SHOWN)


def _only_ignored_beside_the_first(dataset):
  each = [x for x in dataset.statistics.values() if "class_pixels" in x]
  return bool(each) and all(
    x["class_pixels"][0] and not any(x["class_pixels"][1:]) and x["ignored_pixels"] for x in each
  )


class ProgressLine:
  """Shows how far a build is: a bar on a terminal, now and then a line elsewhere."""

  def __init__(self, stream=None):
    self._stream = stream or sys.stderr
    self._terminal = self._stream.isatty()
    self._interval = _BAR_INTERVAL if self._terminal else _PLAIN_INTERVAL
    self._shown = time.monotonic()
    self._open = False

  def __call__(self, split: str, done: int, total: int) -> None:
    """Reports `done` of `total` records of a split."""
    now = time.monotonic()
    if done < total and now - self._shown < self._interval:
      return
    self._shown = now
    text = f"{split} {done}/{total}"
    if self._terminal:
      filled = _BAR_WIDTH * done // total
      text = f"\r{split:<6}[{'=' * filled:<{_BAR_WIDTH}}] {done}/{total}"
    self._open = self._terminal and done < total
    print(text, end="" if self._open else "\n", file=self._stream, flush=True)

  def say(self, text: str) -> None:
    """Prints a line that people should read."""
    self.end()
    print(printable(f"note: {text}"), file=self._stream, flush=True)

  def end(self) -> None:
    """Ends a bar that was left half way."""
    if self._open:
      print(file=self._stream, flush=True)
    self._open = False


def _shares(values, unit):
  counts = [*values[f"class_{unit}"], values[f"ignored_{unit}"]]
  return [count / max(1, sum(counts)) for count in counts]


def _say_removed(removed: Mapping[pathlib.Path, int]) -> None:
  print(f"removed: {_listing(removed)}" if removed else "nothing older is kept to be removed")


def _listing(kept: Mapping[pathlib.Path, int]) -> str:
  """Files and folders of one folder, and their size."""
  first, *others = kept
  more = f" and {len(others)} more files and folders beside it" if others else ""
  return f"{first}{more} ({sum(kept.values()) / 1e6:.1f} MB)"


def _flag(flag: str, value: str | None) -> str:
  return f" {flag}={shlex.quote(str(value))}" if value else ""


def _next_command(dataset, data_dir):
  where = _flag("--config.data.data_dir", data_dir)
  return f"to use it, give training commands --config.data.name={dataset.name}{where}"
