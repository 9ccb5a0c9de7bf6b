"""`python -m hrnet_jax.export` is `hrnet export`."""

from hrnet_jax.cli.main import run

run("export")
