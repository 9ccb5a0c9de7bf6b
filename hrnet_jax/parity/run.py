"""A file of weights -> how far two networks agree, in full: what `hrnet parity` does."""

import datetime
import hashlib
import importlib.metadata
import json
import pathlib
import platform
from typing import Any

import jax

import hrnet_jax
from hrnet_jax import convert
from hrnet_jax.parity import report
from hrnet_jax.parity.certificate import certify


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


def write(result: dict[str, Any], folder: pathlib.Path) -> None:
  """Writes what `run` found to `parity.json` and, as a table, to `parity.md`."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / "parity.json").write_text(json.dumps(result, indent=1) + "\n")
  (folder / "parity.md").write_text(report.render(result) + "\n")
