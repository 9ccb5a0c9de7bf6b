"""Tensors of HRNet/HRNet-Facial-Landmark-Detection, lib/models/hrnet.py."""

from hrnet_jax.convert.reference import NamingScheme, NetworkKind, Reference

REFERENCE = Reference(
  schemes={
    "": NamingScheme(rules=((r"head/mix", "head.0", "head.1"), (r"head/classify", "head.3", "")))
  },
  kinds=(
    NetworkKind(
      words="landmarks",
      marks=("head.0.weight",),
      last_layer="head.3.weight",
      outputs_option="num_landmarks",
      reinit_outputs="head/classify",
    ),
  ),
  priority=20,
)
