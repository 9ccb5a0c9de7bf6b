"""`python -m hrnet_jax.prepare` is `hrnet prepare`."""

from hrnet_jax.cli.main import run

if __name__ == "__main__":
  run("prepare")
