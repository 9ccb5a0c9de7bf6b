"""A toy detector on wide and tall images: `python -m tests.helpers.detection_training FOLDER`.

Prints how many programs had been compiled, or read from the cache, after each validation and in the
end, and the shapes of all batches. A program of its own, in which nothing was compiled before.
"""

import json
import pathlib
import sys
from typing import Any

import jax

from hrnet_jax.data import prepared
from hrnet_jax.distributed import runtime
from hrnet_jax.training import loop, validation
from hrnet_jax.training.step import StepPrograms
from tests.helpers import coco_miniature, toy_detection

EVENT = "/jax/core/compile/backend_compile_duration"
CANVAS = ((64, 96), (96, 64))


def prepare(folder: pathlib.Path) -> None:
  """Four images with an object each; one is too narrow to be learned, of the others one is wide."""
  content = coco_miniature.content()
  content["annotations"] = [
    coco_miniature.row(number, image["id"], 7, [2, 2, 16, 14], area=224,
                       segmentation=[[2, 2, 18, 2, 18, 16, 2, 16]])
    for number, image in enumerate(content["images"], 1)
  ]  # fmt: skip
  source = coco_miniature.write(folder / "coco", {"train": content, "val": content})
  prepared.prepare(toy_detection.NAME, folder, source=source)


def get_config(folder: pathlib.Path) -> Any:
  """Three epochs, after each of which there are a validation and a checkpoint."""
  config = toy_detection.get_config("mask_rcnn")
  config.data.data_dir = str(folder)
  config.transform.train.update({"canvas": CANVAS, "scales": ((96, 64),)})
  config.transform.eval.update({"canvas": CANVAS, "scale": (96, 64)})
  config.train.update({"epochs": 3, "log_every": 1})
  config.eval.every_epochs = 1
  return config


if __name__ == "__main__":
  runtime.set_up()
  compiled, after, shapes = [], [], []
  jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: compiled.append(name) if name == EVENT else None
  )
  step_of, evaluate = StepPrograms.__call__, validation.evaluate

  def noted(programs: Any, number: int, state: Any, batch: Any) -> Any:
    shapes.append(batch["image"].shape)
    return step_of(programs, number, state, batch)

  def counted(*args: Any, **kwargs: Any) -> Any:
    result = evaluate(*args, **kwargs)
    after.append(len(compiled))
    return result

  StepPrograms.__call__, validation.evaluate = noted, counted
  folder = pathlib.Path(sys.argv[1])
  prepare(folder)
  loop.train(get_config(folder), folder / "run")
  print(json.dumps({"after": after, "end": len(compiled), "shapes": shapes}))
