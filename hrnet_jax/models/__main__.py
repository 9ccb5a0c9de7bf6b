"""`python -m hrnet_jax.models` is `hrnet models`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(["models", *sys.argv[1:]]))
