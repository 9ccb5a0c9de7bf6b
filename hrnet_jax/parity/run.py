"""Certifies a file of weights, and notes what was compared: what `hrnet parity` does."""

import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from typing import Any

import jax

import hrnet_jax
from hrnet_jax import convert
from hrnet_jax.convert import containers
from hrnet_jax.files import write_whole
from hrnet_jax.parity import report
from hrnet_jax.parity.certificate import certify


def certify_file(
  options: dict[str, Any],
  path: str | os.PathLike,
  *,
  size: tuple[int, int] | None = None,
  upsample: str | None = None,
  abn: bool = False,
  entry: str = "",
) -> dict[str, Any]:
  """Certifies a file of weights.

  Args:
    options: `config.model`.
    path: of the file.
    size: of the images, see `certify`.
    upsample: interpolation of the PyTorch network, see `certify`.
    abn: whether the scales of norms are those of in-place ABN.
    entry: which weights of the file, where it holds several; see `containers.Choice`.

  Returns:
    The report of `certify`, and the file, the date, the device and the versions.

  Raises:
    FileNotFoundError: no such file. UserError, TypeError: it does not fit; see `certify`.
  """
  path = pathlib.Path(path).expanduser()
  weights = convert.read_state_dict(path, containers.Choice(entry, print))
  weights = convert.absolute_scales(weights) if abn else weights
  result = certify(options, weights, size=size, upsample=upsample)
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


def write_reports(result: dict[str, Any], folder: str | os.PathLike) -> None:
  """Writes a report as `parity.json` and, for people, as `parity.md` into a folder."""
  folder = pathlib.Path(folder).expanduser()
  folder.mkdir(parents=True, exist_ok=True)
  write_whole(folder / "parity.json", json.dumps(result, indent=1) + "\n")
  write_whole(folder / "parity.md", report.render(result) + "\n")
