"""`python -m hrnet_jax.plot` is `hrnet plot`."""

import sys

from hrnet_jax.cli.main import main

if __name__ == "__main__":
  sys.exit(main(["plot", *sys.argv[1:]]))
