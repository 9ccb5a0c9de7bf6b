"""`python -m hrnet_jax` is the command `hrnet`."""

from hrnet_jax.cli.main import run

run()
