"""`python -m hrnet_jax.preflight` is `hrnet preflight`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(["preflight", *sys.argv[1:]]))
