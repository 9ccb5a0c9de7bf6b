"""`python -m hrnet_jax.predict` is `hrnet predict`."""

from hrnet_jax.cli.main import run

run("predict")
