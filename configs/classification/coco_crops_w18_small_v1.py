"""HRNet-W18-C-Small-v1 on objects cut out of COCO photos, as an example of an own image folder.

  python scripts/crop_coco_objects.py --source=COCO --output=crops --min_size=24 --min_count=15 \
    --max_count=30
  python -m hrnet_jax.prepare --dataset=image_folder_classification/coco_crops --source=crops
  python train.py --config=configs/classification/coco_crops_w18_small_v1.py --workdir=runs/crops

COCO holds train2017/, val2017/ and annotations/instances_*.json. `model.num_classes` must be what
the first command prints. Cost: five and a half minutes of CPU time for 184 crops of ten classes.
These are too few to learn more than cars from: top-1 is 23 to 27 % on 147 other crops, guessing
10 %, the most frequent class 20 %; see docs/classification.md.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "classification",
    "variant": "w18_small_v1",
    "num_classes": 10,
    "upsample": "nearest",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "image_folder_classification/coco_crops",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 0,
    "threads": 2,
  }
  config.transform = {
    "train": {"crop_size": (64, 64), "area": (0.4, 1.0), "sampling": "log_uniform"},
    "eval": {"crop_size": (64, 64), "resize": 72},
  }
  config.loss = {"label_smoothing": 0.1}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "step", "milestones": (30, 40), "factor": 0.1},
  }
  config.train = {"epochs": 45, "steps": 0, "batch_size": 32, "accumulate": 1, "log_every": 10}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 32, "every_epochs": 5, "pictures": 16}
  config.checkpoint = {"every_steps": 200, "keep_last": 2}
  return config
