"""A task of somebody else's: how many discs a grey picture shows. Nothing in hrnet_jax knows it."""

from hrnet_jax.task_spec import TaskSpec

SPEC = TaskSpec(
  name="disc_counting",
  model="disc_counting.model:build_model",
  task="disc_counting.task:build",
  train_transform="disc_counting.transforms:TrainTransform",
  eval_transform="disc_counting.transforms:EvalTransform",
  datasets={"discs": "disc_counting.discs:Discs"},
  predictor="disc_counting.predict:build",
  result_writer="disc_counting.results:CountTable",
  export_sizes="disc_counting.export:sizes",
  fake_record="disc_counting.discs:fake_record",
)
