"""Certifies that our network computes what PyTorch does: config and weights -> JSON and a table.

    python -m hrnet_jax.parity --config=configs/NAME.py --torch=FILE.pth --output=FOLDER

Both networks get the weights of the file and the same seeded images; every part of theirs is
compared, in float32 and in bfloat16. Needs PyTorch: pip install torch. The numbers go
to the terminal and, with --output, to FOLDER/parity.json and FOLDER/parity.md.

The networks agree about any weights, also about those that were trained with another interpolation
than config.model.upsample names. Landmarks, pose and classification have one each in the reference,
and it is compared with that; for segmentation, --upsample names what the weights were trained with.
--abn is for weights trained with in-place ABN, as in `python -m hrnet_jax.convert`.

Exit status: 0 the networks agree, 1 they do not, 2 bad input.
"""

from collections.abc import Iterator, Sequence
import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import sys
from typing import Any

from absl import app, flags
import jax
from ml_collections import config_flags

import hrnet_jax
from hrnet_jax import convert
from hrnet_jax.distributed import runtime
from hrnet_jax.ops.resize import Resize
from hrnet_jax.parity import report
from hrnet_jax.parity.certificate import certify


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the command's flags; only the command itself does, so that importing is free of it."""
  options = {"flag_values": values}
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True, **options)
  flags.DEFINE_string("torch", None, "The reference's weights.", **options)
  flags.DEFINE_string("output", None, "Folder for parity.json and parity.md.", **options)
  flags.DEFINE_integer("height", None, "Of the images; the task has a default.", **options)
  flags.DEFINE_integer("width", None, "Of the images; the task has a default.", **options)
  known = list(map(str, Resize))
  flags.DEFINE_enum("upsample", None, known, "What the weights were trained with.", **options)
  flags.DEFINE_bool("abn", False, "The file was trained with in-place ABN.", **options)
  flags.mark_flags_as_required(["config", "torch"], flag_values=values)


def main(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> int:
  """Runs the command and returns its exit status."""
  runtime.set_up()
  with bad_input_is_status_2(), runtime.errors_for_humans():
    if len(argv) > 1:
      raise ValueError(f"unexpected arguments {' '.join(argv[1:])}")
    if (values.height is None) != (values.width is None):
      raise ValueError("--height and --width go together")
    result = run(
      values.config.model.to_dict(),
      pathlib.Path(values.torch).expanduser(),
      size=None if values.height is None else (values.height, values.width),
      upsample=values.upsample,
      abn=values.abn,
    )
    table = report.render(result)
    print(table)
    if values.output:
      folder = pathlib.Path(values.output).expanduser()
      folder.mkdir(parents=True, exist_ok=True)
      (folder / "parity.json").write_text(json.dumps(result, indent=1) + "\n")
      (folder / "parity.md").write_text(table + "\n")
  return 0 if result["passed"] else 1


def run(
  options: dict[str, Any], path: pathlib.Path, *, abn: bool = False, **how: Any
) -> dict[str, Any]:
  """Certifies a file of weights.

  Args:
    options: `config.model`.
    path: of the file.
    abn: whether the scales of norms are those of in-place ABN.
    **how: `size` and `upsample` of `certify`.

  Returns:
    What `certify` says, and the file, the date, the device and the versions.

  Raises:
    FileNotFoundError: no such file. ValueError, TypeError: it does not fit; see `certify`.
  """
  weights = convert.read_state_dict(path)
  result = certify(options, convert.absolute_scales(weights) if abn else weights, **how)
  result["flags"]["abn"] = abn
  with path.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy", "torch")}
  return {
    **result,
    "file": {"name": path.name, "bytes": path.stat().st_size, "sha256": digest},
    "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    "device": jax.devices()[0].device_kind,
    "versions": {
      "hrnet_jax": hrnet_jax.__version__,
      "python": platform.python_version(),
      **versions,
    },
  }


def parse_flags(argv: Sequence[str]) -> list[str]:
  """For `app.run`."""
  with bad_input_is_status_2():
    return runtime.parse_flags(argv)


@contextlib.contextmanager
def bad_input_is_status_2() -> Iterator[None]:
  """Makes every failing exit one of status 2; 1 says that the networks differ."""
  try:
    yield
  except SystemExit as stop:
    if isinstance(stop.code, str):
      print(stop.code, file=sys.stderr)
    sys.exit(2 if stop.code else 0)


if __name__ == "__main__":
  define_flags()
  app.run(main, flags_parser=parse_flags)
