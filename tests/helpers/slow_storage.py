"""`train.py` on storage where nothing gets its final name at once: every renaming takes a while."""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

SECONDS = 0.25
_rename, _replace = os.rename, os.replace


def rename(*args: object, **kwargs: object) -> None:
  """`os.rename`, later."""
  time.sleep(SECONDS)
  _rename(*args, **kwargs)


def replace(*args: object, **kwargs: object) -> None:
  """`os.replace`, later."""
  time.sleep(SECONDS)
  _replace(*args, **kwargs)


os.rename, os.replace = rename, replace

if __name__ == "__main__":
  from hrnet_jax.cli.main import main

  sys.exit(main(["train", *sys.argv[1:]]))
