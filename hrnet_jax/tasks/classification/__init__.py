"""Classification of whole images."""

from hrnet_jax.task_spec import TaskSpec

_DATASETS = "hrnet_jax.tasks.classification.datasets"

SPEC = TaskSpec(
  name="classification",
  model="hrnet_jax.tasks.classification.model:build_model",
  task="hrnet_jax.tasks.classification.task:build",
  train_transform="hrnet_jax.tasks.classification.transforms:ClassificationTrainTransform",
  eval_transform="hrnet_jax.tasks.classification.transforms:ClassificationEvalTransform",
  datasets={
    "image_folder_classification": (
      f"{_DATASETS}.image_folder_classification:ImageFolderClassification"
    ),
  },
  views={"shapes": "hrnet_jax.tasks.classification.views:each_object"},
  predictor="hrnet_jax.tasks.classification.predict:build",
  predictor_options=("probabilities",),
  export_sizes="hrnet_jax.tasks.classification.export:sizes",
  fake_info="hrnet_jax.tasks.numbered:numbered_classes",
  fake_record="hrnet_jax.tasks.classification.fake_data:fake_record",
  reference="hrnet_jax.tasks.classification.reference:REFERENCE",
  parity="hrnet_jax.tasks.classification.parity:COMPARISON",
  example=((224, 224), {"num_classes": 1000}),
)
