"""Tensors of leoxiaobin/deep-high-resolution-net.pytorch, lib/models/pose_hrnet.py."""

from hrnet_jax.convert.reference import NamingScheme, NetworkKind, Reference

REFERENCE = Reference(
  schemes={"": NamingScheme(rules=((r"head/classify", "final_layer", ""),))},
  kinds=(
    NetworkKind(
      words="pose",
      marks=("final_layer.weight",),
      last_layer="final_layer.weight",
      outputs_option="num_landmarks",
    ),
  ),
  priority=30,
)
