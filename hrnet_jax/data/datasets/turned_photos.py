"""Photos that reading turns while their size stays, so that labels of the stored pixels fit."""

from collections.abc import Mapping
from typing import Any

from hrnet_jax.data import images


class TurnedPhotos:
  """Counts photos that are turned by half, or mirrored, and have places marked on them."""

  def __init__(self) -> None:
    self._count, self._first = 0, ""

  def add(self, record: Mapping[str, Any], path: object) -> None:
    """Takes a record and the file of its photo; photos with a class alone are passed over."""
    image = record.get("image")
    is_placed = isinstance(record.get("label"), bytes) or "boxes" in record or "points" in record
    if is_placed and isinstance(image, bytes) and images.is_turned_in_place(image):
      self._count += 1
      self._first = self._first or str(path)

  def describe(self) -> list[str]:
    """A line if there are such photos."""
    if not self._count:
      return []
    are = "photo is" if self._count == 1 else "photos are"
    return [
      f"{self._count} {are} turned or mirrored as marked by the camera (EXIF) while the size "
      f"stays, such as {self._first}; what is annotated counts as drawn on the turned picture, "
      "which viewers show. Lay one over the other to check, and where it was drawn on the stored "
      "pixels, remove the mark"
    ]
