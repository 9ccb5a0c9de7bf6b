"""Small pictures and label maps, and questions to ask of a picture."""

import numpy as np

RED, GREEN, BLUE = (200, 0, 0), (0, 100, 0), (0, 0, 50)
PALETTE = (RED, GREEN, BLUE)
NAMES = ("wall", "grass", "sea")


def halves(left: int, right: int, height: int = 8, width: int = 12) -> np.ndarray:
  label = np.full((height, width), left, np.uint8)
  label[:, width // 2 :] = right
  return label


def gray(value: int, height: int = 8, width: int = 12) -> np.ndarray:
  return np.full((height, width, 3), value, np.uint8)


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
  return int((picture == np.asarray(color, np.uint8)).all(axis=-1).sum())


def has(picture: np.ndarray, color: tuple[int, int, int]) -> bool:
  return count(picture, color) > 0
