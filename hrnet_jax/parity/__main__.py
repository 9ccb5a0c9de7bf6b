"""`python -m hrnet_jax.parity` is `hrnet parity`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(["parity", *sys.argv[1:]]))
