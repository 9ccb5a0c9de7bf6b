"""Memory and speed of chips, as their maker publishes them: `device_kind -> Chip`."""

import dataclasses

GIB = 2**30
HOP = 1e-6  # seconds that a message of any size takes to the next chip, about


@dataclasses.dataclass(frozen=True)
class Chip:
  """One device of a slice, which for all kinds here is one chip.

  Attributes:
    name: in reports.
    memory: bytes of HBM.
    usable: bytes of it that a program may take; the TPU compiler keeps the rest for itself.
    flops: bfloat16 operations a second. The matrix units take float32 in one bfloat16 pass too,
      unless the program asks for more.
    hbm: bytes a second between HBM and chip.
    ici: bytes a second that a chip can send over all its links to other chips.
  """

  name: str
  memory: int
  usable: int
  flops: float
  hbm: float
  ici: float


# Figures of Google Cloud's pages on each version; `usable` is what libtpu 0.0.52 names when a
# program is too large.
CHIPS: dict[str, Chip] = {
  "TPU v4": Chip("TPU v4", 32 * GIB, int(30.75 * GIB), 275e12, 1228e9, 300e9),
  "TPU v5 lite": Chip("TPU v5e", 16 * GIB, int(15.75 * GIB), 197e12, 819e9, 200e9),
  "TPU v5": Chip("TPU v5p", 96 * GIB, int(95.73 * GIB), 459e12, 2765e9, 600e9),
  "TPU v6 lite": Chip("TPU v6e", 32 * GIB, int(31.24 * GIB), 918e12, 1640e9, 400e9),
}


def find(device_kind: str) -> Chip | None:
  """The chip that JAX calls `device_kind`; None if its figures are not known."""
  return CHIPS.get(device_kind)
