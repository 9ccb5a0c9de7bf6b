"""`python -m hrnet_jax.convert` is `hrnet convert`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(["convert", *sys.argv[1:]]))
