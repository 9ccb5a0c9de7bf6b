"""HRNetV2-W18-small-v1 on your own photos: tables of landmarks and a folder of images.

  python -m hrnet_jax.prepare --dataset=landmarks_csv --source=FOLDER
  python train.py --config=configs/landmarks/csv_w18_small_v1.py --workdir=runs/own \\
    --config.model.num_landmarks=5

Tables are described in docs/landmark_datasets.md. Without flip_pairs.txt add
`--config.transform.train.flip=False`. Cost: depends on the folder; 60 epochs of 500 objects take
about ten minutes on two cores. Start from a converted checkpoint with `--config.init_from=FOLDER`
where there is one; a few hundred photos are little for a network.
"""

import ml_collections

from configs.landmarks import face68_w18_small_v1


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = face68_w18_small_v1.get_config()
  config.model.num_landmarks = 5
  config.data.name = "landmarks_csv"
  config.train.epochs = 60
  config.eval.every_epochs = 5
  return config
