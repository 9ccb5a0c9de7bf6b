"""Semantic segmentation: the class of every pixel."""

from hrnet_jax.task_spec import TaskSpec

_DATASETS = "hrnet_jax.tasks.segmentation.datasets"

SPEC = TaskSpec(
  name="segmentation",
  model="hrnet_jax.tasks.segmentation.model:build_model",
  task="hrnet_jax.tasks.segmentation.task:build",
  train_transform="hrnet_jax.tasks.segmentation.transforms:SegmentationTrainTransform",
  eval_transform="hrnet_jax.tasks.segmentation.transforms:SegmentationEvalTransform",
  datasets={
    "ade20k": f"{_DATASETS}.ade20k:Ade20k",
    "camvid": f"{_DATASETS}.camvid:Camvid",
    "cityscapes": f"{_DATASETS}.cityscapes:Cityscapes",
    "cocostuff10k": f"{_DATASETS}.cocostuff10k:Cocostuff10k",
    "image_folder_segmentation": f"{_DATASETS}.image_folder_segmentation:ImageFolderSegmentation",
    "lip": f"{_DATASETS}.lip:Lip",
    "pascal_context": f"{_DATASETS}.pascal_context:PascalContext",
    "pascal_context60": f"{_DATASETS}.pascal_context:PascalContext60",
  },
  predictor="hrnet_jax.tasks.segmentation.predict:build",
  predictor_options=("probabilities",),
  result_writer="hrnet_jax.tasks.segmentation.results:LabelMaps",
  test_procedure="hrnet_jax.tasks.segmentation.test_step:PROCEDURE",
  export_sizes="hrnet_jax.tasks.segmentation.export:sizes",
  fake_info="hrnet_jax.tasks.numbered:numbered_classes",
  fake_record="hrnet_jax.tasks.segmentation.fake_data:fake_record",
  reference="hrnet_jax.tasks.segmentation.reference:REFERENCE",
  parity="hrnet_jax.tasks.segmentation.parity:COMPARISON",
  example=((1024, 2048), {"num_classes": 19, "upsample": "bilinear"}),
)
