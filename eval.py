"""Evaluates a checkpoint: `python eval.py` is `hrnet eval`, without installing the package.

  python eval.py --config=quickstart --workdir=runs/quickstart

See hrnet_jax/cli/eval.py, or `python eval.py --help`.
"""

from hrnet_jax.cli.main import run

if __name__ == "__main__":
  run("eval")
