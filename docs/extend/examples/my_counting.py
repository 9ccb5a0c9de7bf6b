"""How many shapes are in a scene? For `hrnet train --config=my_counting.py`."""

from configs import quickstart


def get_config():
  config = quickstart.get_config()
  config.plugins = ("counting",)
  config.model.task = "counting"
  del config.model.num_classes
  config.transform = {"train": {"flip": True}, "eval": {}}
  config.loss = {}
  return config
