"""HRNetV2p-W18-small-v1 learns 16 photos of COCO by heart: whether all parts work together.

  python -m hrnet_jax.prepare --dataset=coco --source=FOLDER
  python train.py --config=configs/detection/coco_few_w18_small_v1.py --workdir=runs/few

The photos are the first 16 with objects of the training split, at 320 pixels for the longer side;
training and validation see the same. `faster_rcnn` is the default; the other methods go after a
colon, as in `coco_few_w18_small_v1.py:mask_rcnn`.

Cost: 300 steps of 4 photos from random weights. On two CPU cores that did other things as well they
took 27 minutes for `faster_rcnn` and 40 for `mask_rcnn`; docs/detection.md has the figures.
"""

import ml_collections

from configs.detection import shapes_w18_small_v1


def get_config(method: str = "faster_rcnn") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    method: of `shapes_w18_small_v1.METHODS`.

  Raises:
    ValueError: it is none.
  """
  config = shapes_w18_small_v1.get_config(method)
  config.model.num_classes = 80
  config.model.max_detections = 100
  config.model.roi_batch_size = 64
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
