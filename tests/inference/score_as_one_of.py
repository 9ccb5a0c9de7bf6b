"""One of several processes that score a checkpoint together; arguments: PORT COUNT INDEX WORKDIR.

The checkpoint is in the workdir; the config is the toy's, under the protocol in `PROTOCOL`.
"""

import pathlib
import sys

import jax

PROTOCOL = {
  "kind": "windows",
  "base_size": 64,
  "crop_size": (48, 48),
  "scales": (0.5, 1.0, 1.25),
  "flip": True,
}


def main(port: str, count: str, index: str, workdir: str) -> None:
  """Scores, with one process alone if `count` is 1."""
  if int(count) > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(index))
  from hrnet_jax.inference import scoring
  from tests import toy

  config = toy.get_config()
  config.eval.protocol = PROTOCOL
  out = pathlib.Path(workdir) / f"out_{count}_{jax.local_device_count()}"
  scoring.score(config, out, workdir, export=out / "files")


if __name__ == "__main__":
  main(*sys.argv[1:])
