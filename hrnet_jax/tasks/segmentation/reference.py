"""Tensors of HRNet/HRNet-Semantic-Segmentation: lib/models/seg_hrnet.py and seg_hrnet_ocr.py."""

from hrnet_jax.convert.reference import NamingScheme, NetworkKind, Reference

_ATTENTION = "ocr_distri_head.object_context_block"

REFERENCE = Reference(
  schemes={
    "": NamingScheme(
      rules=(
        (r"head/mix", "last_layer.0", "last_layer.1"),
        (r"head/classify", "last_layer.3", ""),
        (r"head/aux/mix", "aux_head.0", "aux_head.1"),
        (r"head/aux/classify", "aux_head.3", ""),
        (r"head/pixels", "conv3x3_ocr.0", "conv3x3_ocr.1"),
        (r"head/query_(\d+)", f"{_ATTENTION}.f_pixel.{{0*2}}", f"{_ATTENTION}.f_pixel.{{0*2+1}}.0"),
        (r"head/key_(\d+)", f"{_ATTENTION}.f_object.{{0*2}}", f"{_ATTENTION}.f_object.{{0*2+1}}.0"),
        (r"head/value", f"{_ATTENTION}.f_down.0", f"{_ATTENTION}.f_down.1.0"),
        (r"head/up", f"{_ATTENTION}.f_up.0", f"{_ATTENTION}.f_up.1.0"),
        (
          r"head/fuse",
          "ocr_distri_head.conv_bn_dropout.0",
          "ocr_distri_head.conv_bn_dropout.1.0",
        ),
        (r"head/main/classify", "cls_head", ""),
      )
    )
  },
  kinds=(
    NetworkKind(
      words="segmentation with object context (OCR)",
      marks=("ocr_distri_head.",),
      last_layer="cls_head.weight",
      outputs_option="num_classes",
    ),
    NetworkKind(
      words="segmentation",
      marks=("last_layer.",),
      last_layer="last_layer.3.weight",
      outputs_option="num_classes",
      reinit_outputs="head/classify",
    ),
  ),
  priority=50,
)
