"""A detector for the made-up yard: 60 photos of 160 x 128 pixels with balls and crates."""

from configs.detection import shapes


def get_config():
  config = shapes.get_config("faster_rcnn")
  config.data.name = "coco/my_yard"
  config.data.train_split = "train_objects"
  config.data.eval_split = "val"
  config.model.num_classes = 2
  canvas = (192, 256)  # height, width
  config.transform.train.canvas = config.transform.eval.canvas = (canvas,)
  config.transform.train.scales = ((256, 192),)  # long and short side
  config.transform.eval.scale = (256, 192)
  config.train.epochs, config.train.steps, config.train.batch_size = 0, 60, 4
  config.eval.every_epochs = 2
  return config
