"""Landmarks of faces and the like: a heat map for each, and positions from it."""

from hrnet_jax.task_spec import TaskSpec

_DATASETS = "hrnet_jax.tasks.landmarks.datasets"

SPEC = TaskSpec(
  name="landmarks",
  model="hrnet_jax.tasks.landmarks.model:build_model",
  task="hrnet_jax.tasks.landmarks.task:build",
  train_transform="hrnet_jax.tasks.landmarks.transforms:LandmarksTrainTransform",
  eval_transform="hrnet_jax.tasks.landmarks.transforms:LandmarksEvalTransform",
  datasets={
    "aflw": f"{_DATASETS}.aflw:Aflw",
    "cofw": f"{_DATASETS}.cofw:Cofw",
    "face300w": f"{_DATASETS}.face300w:Face300w",
    "face68": f"{_DATASETS}.face68:Face68",
    "landmarks_csv": f"{_DATASETS}.landmarks_csv:LandmarksCsv",
    "wflw": f"{_DATASETS}.wflw:Wflw",
  },
  views={"shapes": "hrnet_jax.tasks.landmarks.views:each_kite"},
  mirrors_by_pairs=True,
  predictor="hrnet_jax.tasks.landmarks.predict:build",
  predictor_options=("boxes", "probabilities"),
  result_writer="hrnet_jax.tasks.landmarks.results:LandmarkTable",
  export_sizes="hrnet_jax.tasks.landmarks.export:sizes",
  fake_info="hrnet_jax.tasks.landmarks.fake_data:fake_info",
  fake_record="hrnet_jax.tasks.landmarks.fake_data:fake_record",
  reference="hrnet_jax.tasks.landmarks.reference:REFERENCE",
  parity="hrnet_jax.tasks.landmarks.parity:COMPARISON",
  example=((256, 256), {"num_landmarks": 98}),
)
