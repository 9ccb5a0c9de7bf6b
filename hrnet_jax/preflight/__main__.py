"""`python -m hrnet_jax.preflight` is `hrnet preflight`."""

from hrnet_jax.cli.main import run

run("preflight")
