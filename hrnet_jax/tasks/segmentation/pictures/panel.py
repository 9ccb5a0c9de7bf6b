"""Panels of segmented photos: image `(H, W, 3)` uint8, labels `(H, W)` -> `(h, w, 3)` uint8."""

from collections.abc import Sequence

import numpy as np

from hrnet_jax.tasks.segmentation.pictures.legend import legend
from hrnet_jax.visualize.labels import check_same_size, errors, hatch, known, overlay
from hrnet_jax.visualize.palette import Palette
from hrnet_jax.visualize.sheet import contact_sheet, fit, stack


def labelled(
  image: np.ndarray,
  label: np.ndarray,
  palette: Palette,
  class_names: Sequence[str],
  *,
  max_side: int = 4096,
) -> np.ndarray:
  """The overlay with its legend below, at a size that is good to look at; see `fit`."""
  image, label = fit(image, high=max_side), fit(label, high=max_side)
  picture = overlay(image, label, palette)
  return stack(
    [picture, legend({"predicted": label}, palette, class_names, width=picture.shape[1])]
  )


def segmentation_panel(
  image: np.ndarray,
  prediction: np.ndarray,
  truth: np.ndarray,
  palette: Palette,
  class_names: Sequence[str],
  *,
  max_side: int = 1024,
) -> np.ndarray:
  """Puts image, prediction, truth and errors side by side, with titles and a legend.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    prediction: `(H, W)` class ids.
    truth: `(H, W)` class ids; ids outside the palette (ignored) are hatched and not counted.
    palette: one RGB colour per class.
    class_names: one name per class.
    max_side: larger images are shown reduced to this long side.

  Returns:
    `(h, w, 3)` uint8 RGB: four tiles in a row, or two by two when the image is wide.
  """
  check_same_size(image, prediction)
  check_same_size(image, truth)
  counted = known(truth, len(palette))
  right = ((prediction == truth) & counted).sum() / max(1, counted.sum())
  image_, prediction_, truth_ = (fit(x, high=max_side) for x in (image, prediction, truth))
  tiles = {
    "image": image_,
    "prediction": overlay(image_, prediction_, palette, alpha=0.8),
    "truth": painted_truth(image_, truth_, palette),
    f"errors: {100 * right:.1f} % of the pixels are right": errors(
      image_, prediction_, truth_, len(palette)
    ),
  }
  wide = image.shape[1] > 1.2 * image.shape[0]
  sheet = contact_sheet(list(tiles.values()), titles=list(tiles), columns=2 if wide else 4)
  maps = {"predicted": prediction, "true": truth}
  return stack([sheet, legend(maps, palette, class_names, width=sheet.shape[1])])


def painted_truth(image: np.ndarray, truth: np.ndarray, palette: Palette) -> np.ndarray:
  """The truth over the image; pixels without a class are hatched."""
  return hatch(overlay(image, truth, palette, alpha=0.8), ~known(truth, len(palette)))
