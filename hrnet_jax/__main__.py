"""`python -m hrnet_jax` is the command `hrnet`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(sys.argv[1:]))
