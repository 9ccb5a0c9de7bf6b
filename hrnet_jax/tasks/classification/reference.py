"""Tensors of HRNet/HRNet-Image-Classification, lib/models/cls_hrnet.py."""

from hrnet_jax.convert.reference import NamingScheme, NetworkKind, Reference

REFERENCE = Reference(
  schemes={
    "": NamingScheme(
      rules=(
        (
          r"representation/increase_(\d+)/conv(\d+)",
          "incre_modules.{0}.0.conv{1}",
          "incre_modules.{0}.0.bn{1}",
        ),
        (
          r"representation/increase_(\d+)/shortcut",
          "incre_modules.{0}.0.downsample.0",
          "incre_modules.{0}.0.downsample.1",
        ),
        (r"representation/down_(\d+)", "downsamp_modules.{0}.0", "downsamp_modules.{0}.1"),
        (r"representation/final", "final_layer.0", "final_layer.1"),
        (r"head", "classifier", ""),
      )
    )
  },
  kinds=(
    NetworkKind(
      words="classification",
      # ImageNet weights that came with networks for pose have only `fc` of these.
      marks=("incre_modules.", "fc."),
      last_layer="classifier.weight",
      outputs_option="num_classes",
    ),
  ),
  priority=40,
)
