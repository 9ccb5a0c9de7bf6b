"""`python -m hrnet_jax.export` is `hrnet export`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(["export", *sys.argv[1:]]))
