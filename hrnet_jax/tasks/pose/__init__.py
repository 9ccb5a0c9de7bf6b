"""Human pose: HRNetV1, the network alone."""

from hrnet_jax.task_spec import TaskSpec

SPEC = TaskSpec(
  name="pose",
  model="hrnet_jax.tasks.pose.model:build_model",
  reference="hrnet_jax.tasks.pose.reference:REFERENCE",
  parity="hrnet_jax.tasks.pose.parity:COMPARISON",
  example=((256, 192), {"num_landmarks": 17}),
)
