"""`python -m hrnet_jax.prepare` is `hrnet prepare`."""

import sys

from hrnet_jax.cli.main import main

if __name__ == "__main__":
  sys.exit(main(["prepare", *sys.argv[1:]]))
