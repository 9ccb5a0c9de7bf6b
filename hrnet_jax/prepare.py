"""Turns a folder of images and labels into records that training reads: files to ArrayRecord.

    python -m hrnet_jax.prepare --dataset=camvid --source=FOLDER
    python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
    python -m hrnet_jax.prepare --dataset=image_folder_segmentation/my_streets --source=FOLDER
    python -m hrnet_jax.prepare --dataset=image_folder_classification/my_birds --source=FOLDER

Every image is checked with its label; the first that is not as it has to be ends the command with
a message that names the file. A data set is then either complete or not there: the command can be
interrupted at any time and run again. Run again on a complete data set it does nothing, unless the
files in the folder have changed or --overwrite is given; the new data set then replaces the old
one once it is complete.

The name behind the slash is free: it keeps several folders apart, and is part of the name by which
`config.data.name` asks for the data set. Exit status: 0 prepared, 1 an error, 130 interrupted.
"""

from collections.abc import Sequence
import shlex
import signal
import sys
import time

from absl import app, flags

from hrnet_jax.data import prepared

_PLAIN_INTERVAL = 5.0  # seconds between lines where there is no terminal to draw a bar on
_BAR_INTERVAL = 0.1
_BAR_WIDTH = 30
_MAX_ROWS = 200  # of the table of classes


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the command's flags; only the command itself does, so that importing is free of it."""
  known = ", ".join(prepared.known_datasets())
  options = {"flag_values": values}
  flags.DEFINE_string("dataset", None, f"Which data set: {known}, or NAME/VARIANT.", **options)
  flags.DEFINE_string("source", None, "Folder with the images and labels.", **options)
  flags.DEFINE_string(
    "data_dir", None, "Where to write; $HRNET_JAX_DATA or ~/.cache/hrnet_jax/datasets.", **options
  )
  flags.DEFINE_bool("overwrite", False, "Prepare again although nothing has changed.", **options)
  flags.DEFINE_integer(
    "workers", None, "Threads; as many as processors by default.", lower_bound=1, **options
  )
  flags.mark_flag_as_required("dataset", flag_values=values)


def main(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> int:
  """Runs the command and returns its exit status."""
  if len(argv) > 1:
    print(f"prepare: unexpected arguments {' '.join(argv[1:])}", file=sys.stderr)
    return 1
  started = time.monotonic()
  progress = ProgressLine()
  try:
    dataset, built = prepared.prepare(
      values.dataset,
      values.data_dir,
      source=values.source,
      overwrite=values.overwrite,
      progress=progress,
      workers=values.workers,
    )
  except (ValueError, OSError) as error:
    progress.end()
    print(f"prepare: {error}", file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    progress.end()
    print("prepare: interrupted; nothing was changed, run it again", file=sys.stderr)
    return 130
  progress.end()
  print(summarize(dataset))
  state = f"prepared in {time.monotonic() - started:.1f} s" if built else "already prepared"
  print(f"{state}: {dataset.directory}")
  print(_next_command(dataset, values.data_dir))
  return 0


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
  if not dataset.class_names:
    lines.append(f"  {len(dataset.landmark_names)} landmarks, {len(dataset.flip_pairs)} pairs")
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

  def end(self) -> None:
    """Ends a bar that was left half way."""
    if self._open:
      print(file=self._stream, flush=True)
    self._open = False


def _shares(values, unit):
  counts = [*values[f"class_{unit}"], values[f"ignored_{unit}"]]
  return [count / max(1, sum(counts)) for count in counts]


def _next_command(dataset, data_dir):
  where = f" --config.data.data_dir={shlex.quote(data_dir)}" if data_dir else ""
  return f"to use it, give training commands --config.data.name={dataset.name}{where}"


def _raise_interrupt(number, frame):
  raise KeyboardInterrupt


if __name__ == "__main__":
  signal.signal(signal.SIGTERM, _raise_interrupt)  # a plain kill cleans up just as Ctrl-C does
  define_flags()
  app.run(main)
