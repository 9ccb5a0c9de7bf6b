"""`python -m hrnet_jax.parity` is `hrnet parity`."""

from hrnet_jax.cli.main import run

run("parity")
