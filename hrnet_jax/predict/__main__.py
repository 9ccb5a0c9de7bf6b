"""`python -m hrnet_jax.predict` is `hrnet predict`."""

import sys

from hrnet_jax.cli.main import main

sys.exit(main(["predict", *sys.argv[1:]]))
