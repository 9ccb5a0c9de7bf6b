"""HRNetV2p-W18-small-v1 memorises 16 photos of COCO: whether all parts work together.

  hrnet prepare --dataset=coco --source=FOLDER
  hrnet train --config=detection/coco_few:faster_rcnn --workdir=runs/few

The photos are the first 16 with objects of the training split, at 320 pixels for the longer side;
training and validation see the same. The argument is the method, `faster_rcnn` by default;
`mask_rcnn`, `cascade_rcnn` and `cascade_mask_rcnn` are the others.

Cost: 300 steps of 4 photos from random weights. On two CPU cores that did other things as well they
took 27 minutes for `faster_rcnn` and 40 for `mask_rcnn`.
"""

import ml_collections

from configs.detection import shapes

EXPERIMENTS = ("faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn")


def get_config(method: str = "faster_rcnn") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    method: one of `EXPERIMENTS`.

  Raises:
    ValueError: it is none.
  """
  config = shapes.get_config(method)
  config.model.update({"num_classes": 80, "max_detections": 100, "roi_batch_size": 64})
  config.data.name = "coco"
  config.data.train_split = config.data.eval_split = "train2017_objects[:16]"
  canvas = ((320, 320),)
  config.transform.train.update({"canvas": canvas, "scales": canvas, "flip": False})
  config.transform.eval.update({"canvas": canvas, "scale": canvas[0]})
  config.transform.train.max_objects = config.transform.eval.max_objects = 32
  config.optimizer.learning_rate = 1e-3
  config.train.update({"epochs": 75, "batch_size": 4, "log_every": 20})
  config.eval.update({"batch_size": 4, "every_epochs": 15})
  config.checkpoint.every_steps = 100
  return config
