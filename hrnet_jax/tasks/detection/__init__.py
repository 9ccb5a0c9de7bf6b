"""Detection: boxes of objects, their classes and masks."""

from hrnet_jax.task_spec import TaskSpec

_DATASETS = "hrnet_jax.tasks.detection.datasets"

SPEC = TaskSpec(
  name="detection",
  model="hrnet_jax.tasks.detection.model:build_model",
  task="hrnet_jax.tasks.detection.task:build",
  train_transform="hrnet_jax.tasks.detection.transforms:DetectionTrainTransform",
  eval_transform="hrnet_jax.tasks.detection.transforms:DetectionEvalTransform",
  datasets={
    "coco": f"{_DATASETS}.coco:Coco",
  },
  views={"shapes": "hrnet_jax.tasks.detection.views:each_scene"},
  predictor="hrnet_jax.tasks.detection.predict:build",
  result_writer="hrnet_jax.tasks.detection.results:CocoResults",
  export_sizes="hrnet_jax.tasks.detection.export:sizes",
  fake_info="hrnet_jax.tasks.numbered:numbered_classes",
  fake_record="hrnet_jax.tasks.detection.fake_data:fake_record",
  reference="hrnet_jax.tasks.detection.reference:REFERENCE",
  example=((800, 1216), {"num_classes": 80, "method": "faster_rcnn"}),
)
