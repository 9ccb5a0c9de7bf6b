"""HRNet-W18-C-Small-v1 on objects cut out of COCO photos, as an example of an own image folder.

  python tools/crop_coco_objects.py --source=COCO --output=crops --min_size=24 --min_count=15 \\
    --max_count=30
  hrnet prepare --dataset=image_folder_classification/coco_crops --source=crops
  hrnet train --config=classification/coco_crops --workdir=runs/crops

COCO holds train2017/, val2017/ and annotations/instances_*.json. `model.num_classes` must be what
the first command prints. The argument is another network; `w18_small_v1` by default. Cost: five and
a half minutes of CPU time for 184 crops of ten classes. These are too few to learn more than cars
from: top-1 is 23 to 27 % on 147 other crops, guessing 10 %, the most frequent class 20 %.
"""

import ml_collections

from configs.classification import image_folder

EXPERIMENTS = ("w18_small_v1",)


def get_config(name: str = "w18_small_v1") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network.

  Raises:
    ValueError: it is none.
  """
  config = image_folder.get_config(name)
  config.model.num_classes = 10
  config.data.name = "image_folder_classification/coco_crops"
  return config
