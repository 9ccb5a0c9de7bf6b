"""A toy detector evaluated and shown photos: `python -m tests.helpers.detection_runs FOLDER`.

A program of its own: compiling with little optimisation, which JAX has to be told at the start,
takes a fraction of the time.
"""

import pathlib
import sys

from hrnet_jax.cli.main import main
from hrnet_jax.distributed import runtime
from hrnet_jax.evaluation import score
from tests.helpers import toy_detection

if __name__ == "__main__":
  runtime.set_up()
  folder = pathlib.Path(sys.argv[1])
  facts = toy_detection.prepare(folder).facts()
  config = toy_detection.get_config()
  config.data.data_dir = str(folder)
  stored = toy_detection.store(folder / "stored", facts)
  score.score(config, folder / "run", stored, export=folder / "results")
  photos = f"--input={folder / 'coco/val'}"
  sys.exit(main(["predict", f"--checkpoint={stored}", photos, f"--output={folder / 'photos'}"]))
