"""Pictures for people: everything takes and returns `(H, W, 3)` uint8 RGB."""

from hrnet_jax.visualize.labels import overlay
from hrnet_jax.visualize.palette import distinct_palette
from hrnet_jax.visualize.sheet import as_rgb, contact_sheet, write_png

__all__ = [
  "as_rgb",
  "contact_sheet",
  "distinct_palette",
  "overlay",
  "write_png",
]
