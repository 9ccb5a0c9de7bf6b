"""HRNetV2-W18-small-v1 on a folder of your own: `images/`, `labels/` and `classes.txt`.

  hrnet prepare --dataset=image_folder_segmentation --source=FOLDER
  hrnet train --config=segmentation/image_folder --workdir=runs/own --config.model.num_classes=3

The argument is another network, as in `segmentation/image_folder:w18`, and perhaps `ocr`:
`w18_small_v1_ocr` has the object-contextual head.

Labels are PNG files of class ids, 255 where unknown. Cost: depends on the folder; 60 epochs of
500 photos take about an hour on two cores. Start from a converted checkpoint with
`--config.init_from=FOLDER` where there is one; a few hundred photos are little for a network.
"""

import ml_collections

from configs.segmentation import camvid

EXPERIMENTS = ("w18_small_v1",)


def get_config(name: str = "w18_small_v1") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network and perhaps `ocr`.

  Raises:
    ValueError: it is no such name.
  """
  config = camvid.get_config(name)
  config.model.num_classes = 2
  config.data.name = "image_folder_segmentation"
  config.train.epochs = 60
  config.eval.update({"every_epochs": 2, "pictures": 8})
  config.checkpoint.every_steps = 200
  return config
