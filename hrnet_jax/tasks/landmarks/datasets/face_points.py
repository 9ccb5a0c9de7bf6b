"""Names of the landmarks of faces: `() -> (name, ...)`, in the order of an annotation scheme.

"left" and "right" are sides of the image of an upright face, so the left eye is the person's right
eye. A landmark and its mirror image have names that differ in this word alone; one on the axis of
the face has neither word.
"""


def jaw(count: int) -> tuple[str, ...]:
  """An odd number of points along the jaw, from left to right; 1 is next to the chin."""
  half = count // 2
  left = [f"left jaw {i}" for i in range(half, 0, -1)]
  return (*left, "chin", *(f"right jaw {i}" for i in range(1, half + 1)))


def brow(side: str, count: int, part: str = "brow") -> tuple[str, ...]:
  """Points along a brow from its outer end, which is 1, to the inner."""
  return tuple(f"{side} {part} {i}" for i in range(1, count + 1))


def nose() -> tuple[str, ...]:
  """Four points down the bridge, five along the base from left to right."""
  base = ("left nostril outer", "left nostril inner", "nose base")
  mirrored = ("right nostril inner", "right nostril outer")
  return (*(f"nose bridge {i}" for i in range(1, 5)), *base, *mirrored)


def eye(side: str, lid: tuple[str, ...]) -> tuple[str, ...]:
  """Around an eye, clockwise as seen in the image.

  Args:
    side: left begins at the outer corner, right at the inner one.
    lid: names of the points on each lid, from the outer corner to the inner.
  """
  upper, lower = [f"upper lid {x}" for x in lid], [f"lower lid {x}" for x in lid]
  if side == "left":
    order = ["outer corner", *upper, "inner corner", *lower[::-1]]
  else:
    order = ["inner corner", *upper[::-1], "outer corner", *lower]
  return tuple(f"{side} eye {name}" for name in order)


def mouth() -> tuple[str, ...]:
  """12 points around the lips and 8 around the opening, clockwise from the left corner."""
  return (*_ring("lips", (" 2", " 1")), *_ring("mouth", ("",)))


def _ring(of, numbers):
  top, bottom = ([f"{of} {edge}{n}" for n in numbers] for edge in ("top", "bottom"))
  clockwise = [f"left {of} corner", *(f"left {name}" for name in top), f"{of} top"]
  clockwise += [*(f"right {name}" for name in top[::-1]), f"right {of} corner"]
  clockwise += [*(f"right {name}" for name in bottom), f"{of} bottom"]
  return (*clockwise, *(f"left {name}" for name in bottom[::-1]))
