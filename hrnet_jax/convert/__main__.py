"""`python -m hrnet_jax.convert` is `hrnet convert`."""

from hrnet_jax.cli.main import run

run("convert")
