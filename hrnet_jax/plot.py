"""`python -m hrnet_jax.plot` is `hrnet plot`."""

from hrnet_jax.cli.main import run

if __name__ == "__main__":
  run("plot")
