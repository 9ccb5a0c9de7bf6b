"""How a network is tested: `config.eval.protocol` -> checked values."""

from collections.abc import Callable
import dataclasses
from typing import Any

from hrnet_jax.errors import UserError, check_known
from hrnet_jax.ops import mirror

KINDS = ("whole", "windows")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiScaleConfig:
  """Multi-scale testing of dense classification; the fields are keys of `config.eval.protocol`.

  Sources: `multi_scale_inference` of lib/datasets/cityscapes.py (`whole`) and base_dataset.py
  (`windows`) in the segmentation repository.

  Attributes:
    kind: `whole` shows the network the whole image up to scale 1 and windows side by side above,
      and asks for images of one size; `windows` shows it windows of `crop_size` that overlap by a
      third, whatever the size of the image.
    base_size: long side of the image in pixels at scale 1, whatever its own.
    crop_size: `(height, width)` of a window.
    scales: at which the image is tested; the scores are added.
    flip: whether the mirrored image is tested as well.
    flip_pairs: classes that change places in the mirrored image.
    resize: `(height, width)` to which the image is stretched first; None keeps its size.
    short_side: to which the image's short side is brought first; None keeps it.
    stride: after `short_side`, both sides are padded to a multiple of this with the mean colour.
    keep_padding: whether what was padded stays part of the image when its scores are brought to
      the size of the label, as the reference does for ADE20K by mistake.
  """

  kind: str
  base_size: int
  crop_size: tuple[int, int]
  scales: tuple[float, ...] = (1.0,)
  flip: bool = False
  flip_pairs: tuple[tuple[int, int], ...] = ()
  resize: tuple[int, int] | None = None
  short_side: int | None = None
  stride: int = 8
  keep_padding: bool = False

  def __post_init__(self):
    check_known(self.kind, KINDS, "eval.protocol.kind")
    _check("base_size", self.base_size, lambda x: int(x) == x and x > 0, "a number of pixels")
    _check("crop_size", self.crop_size, _is_size, "(height, width) in pixels")
    _check("scales", self.scales, lambda x: len(x) and min(x) > 0, "one scale or more, above 0")
    _check("resize", self.resize, lambda x: x is None or _is_size(x), "(height, width) or None")
    for field in ("crop_size", "scales", "resize"):
      value = getattr(self, field)
      object.__setattr__(self, field, None if value is None else tuple(value))
    pairs = mirror.checked_pairs(self.flip_pairs, "eval.protocol.flip_pairs", "class")
    object.__setattr__(self, "flip_pairs", pairs)

  @property
  def text(self) -> str:
    """One line for people."""
    scales = ", ".join(f"{scale:g}" for scale in self.scales)
    mirrored = ", mirrored as well" if self.flip else ""
    return f"{self.kind} at scales {scales} of {self.base_size} pixels{mirrored}"

  def mirrored_classes(self, num_classes: int) -> list[int] | None:
    """For each class the one it is in the mirrored image; None if all stay the same.

    Raises:
      ValueError: a pair names a class that there is not.
    """
    if not self.flip_pairs:
      return None
    for pair in self.flip_pairs:
      if max(pair) >= num_classes:
        raise UserError(f"eval.protocol.flip_pairs has {pair}; there are {num_classes} classes")
    return mirror.partners(self.flip_pairs, num_classes).tolist()


def _check(field: str, value: Any, good: Callable[[Any], Any], expected: str) -> None:
  try:
    fine = bool(good(value))
  except (TypeError, ValueError):
    fine = False
  if not fine:
    raise UserError(f"eval.protocol.{field} is {value!r}, expected {expected}")


def _is_size(value: Any) -> bool:
  return len(value) == 2 and all(int(n) == n and n > 0 for n in value)
