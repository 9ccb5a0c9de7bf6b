"""`python -m hrnet_jax.models` is `hrnet models`."""

from hrnet_jax.cli.main import run

run("models")
