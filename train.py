"""Trains a config: `python train.py` is `hrnet train`, without installing the package.

  python train.py --config=quickstart --workdir=runs/quickstart

See hrnet_jax/cli/train.py, or `python train.py --help`.
"""

from hrnet_jax.cli.main import run

if __name__ == "__main__":
  run("train")
