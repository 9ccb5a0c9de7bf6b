"""Miniatures of the facial landmark data sets in the layout of their authors, with drawn faces.

Each function writes into a folder and returns it: `folder -> source` for `prepare --source`.
"""

from collections.abc import Sequence
import pathlib

import cv2
import numpy as np

from hrnet_jax.data import images
from tests.helpers import drawn_faces

Face = tuple[str, np.ndarray]  # image_name and landmarks
CENTER = ["scale", "center_w", "center_h"]


def photo(seed: int, scheme: int, size: tuple[int, int], count: int = 1) -> tuple:
  """An image (height, width, 3) with `count` faces side by side, and their landmarks."""
  rng = np.random.default_rng([seed, scheme])
  parts, points = [], []
  for index in range(count):
    part = drawn_faces.background(rng, size)
    pose = drawn_faces.random_pose(rng, size)
    drawn_faces.draw(part, rng, pose)
    placed = pose.place(drawn_faces.SCHEMES[scheme]()) + np.array([index * size[1], 0])
    parts.append(part)
    points.append(np.round(placed, 6))
  return np.concatenate(parts, 1), points


def write_photos(
  folder: pathlib.Path, names: Sequence[str], scheme: int, *, seed: int, twice: int = -1
) -> list[Face]:
  """Writes JPEG files of several sizes; number `twice` of them has two faces."""
  faces = []
  for index, name in enumerate(names):
    size = (120 + 8 * (index % 3), 140 - 12 * (index % 2))
    image, points = photo(seed + index, scheme, size, 1 + (index == twice))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_jpeg(image, 90))
    faces += [(name, face) for face in points]
  return faces


def noise_photos(path: pathlib.Path, count: int) -> pathlib.Path:
  """A new folder with photos `0.png`, `1.png`, ... of 40x30 pixels, without a table."""
  path.mkdir()
  for index in range(count):
    image = np.random.default_rng(index).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    (path / f"{index}.png").write_bytes(images.encode_png(image))
  return path


def write_table(path: pathlib.Path, faces: Sequence[Face], *, box_size: bool = False) -> None:
  """A table like the reference's; with `box_size` like that of AFLW."""
  leading = ["scale", "box_size", "center_w", "center_h"] if box_size else CENTER
  num_points = len(faces[0][1])
  landmarks = [f"original_{i}_{axis}" for i in range(num_points) for axis in "xy"]
  lines = [",".join(["image_name", *leading, *landmarks])]
  for name, points in faces:
    numbers = [*(_rectangle(points) if box_size else box(points)), *points.ravel()]
    lines.append(",".join([name, *(repr(float(x)) for x in numbers)]))
  path.write_text("\n".join(lines) + "\n")


def box(points: np.ndarray) -> tuple[float, float, float]:
  """Scale and center as the authors' tables of 300W and WFLW have them."""
  (x0, y0), (x1, y1) = np.floor(points.min(0)), np.ceil(points.max(0))
  return max(x1 - x0, y1 - y0) / 200, (x0 + x1) / 2, (y0 + y1) / 2


def _rectangle(points):
  """Scale, size and center of a box that was not made from the landmarks."""
  size = float(np.ceil(1.2 * np.ptp(points, axis=0).max()))
  x, y = np.round(points.mean(0)) - [1, 4]
  return size / 200, size, x, y


def face300w(folder: pathlib.Path) -> pathlib.Path:
  """8 faces to learn from, 6 to test (3 + 3), 4 of the competition."""
  root = folder / "300w"
  train = ["afw/1_1.jpg", "afw/2_1.jpg", *(f"helen/trainset/{i}_1.jpg" for i in range(3))]
  train += [f"lfpw/trainset/image_000{i}.png" for i in range(1, 4)]
  common = ["helen/testset/5_1.jpg", "lfpw/testset/image_0001.png", "helen/testset/7_1.jpg"]
  challenge = ["ibug/image_003_1.jpg", "ibug/image_092_01.jpg", "ibug/image_004_1.jpg"]
  test = [f"Test/{place}_00{i}.png" for place in ("01_Indoor/indoor", "02_Outdoor/outdoor")
          for i in (1, 2)]  # fmt: skip
  found = {
    split: write_photos(root / "images", names, 68, seed=seed)
    for seed, (split, names) in zip(
      (0, 100, 200, 300),
      {"train": train, "valid_common": common, "valid_challenge": challenge, "test": test}.items(),
      strict=True,
    )
  }
  found["valid"] = found["valid_common"] + found["valid_challenge"]
  for split, faces in found.items():
    write_table(root / f"face_landmarks_300w_{split}.csv", faces)
  # As distributed: the table's name lacks the blank of the file's.
  odd = root / "images/ibug/image_092_01.jpg"
  odd.rename(odd.with_name("image_092 _01.jpg"))
  return root


def wflw(folder: pathlib.Path) -> pathlib.Path:
  """8 faces to learn from, 7 to test, two of each in one photo; six parts that overlap."""
  root = folder / "wflw"
  names = [f"{i}--Parade/{i}_Parade_{i}_{10 * i}.jpg" for i in range(7)]
  train = write_photos(root / "images", names, 98, seed=0, twice=2)
  names = [f"{i}--Riot/{i}_Riot_{i}_{10 * i}.jpg" for i in range(6)]
  test = write_photos(root / "images", names, 98, seed=50, twice=1)
  write_table(root / "face_landmarks_wflw_train.csv", train)
  write_table(root / "face_landmarks_wflw_test.csv", test)
  for part, positions in WFLW_PARTS.items():
    write_table(root / f"face_landmarks_wflw_test_{part}.csv", [test[i] for i in positions])
  return root


# Positions in the test table, in the order of the parts' own tables.
WFLW_PARTS = {
  "largepose": [2, 1],
  "expression": [0, 3, 6],
  "illumination": [4],
  "makeup": [5, 6],
  "occlusion": [0, 1, 2, 3],
  "blur": [6],
}


def aflw(folder: pathlib.Path) -> pathlib.Path:
  """8 faces to learn from, two of them in one photo, and 6 to test, 4 of them frontal."""
  root = folder / "aflw"
  names = [f"flickr/{(0, 2, 3)[i % 3]}/image0000{i}.jpg" for i in range(13)]
  train = write_photos(root / "images", names[:7], 19, seed=0, twice=3)
  test = write_photos(root / "images", names[7:], 19, seed=70)
  frontal = [test[i] for i in (0, 2, 3, 5)]
  for name, faces in (("train", train), ("test", test), ("test_frontal", frontal)):
    write_table(root / f"face_landmarks_aflw_{name}.csv", faces, box_size=True)
  return root


def cofw(folder: pathlib.Path, *, train: int = 8, test: int = 5) -> pathlib.Path:
  """MATLAB files with images of several sizes, every third one grey; some faces are covered."""
  root = folder / "cofw"
  root.mkdir(parents=True)
  for name, count, seed, suffix in (("train", train, 0, "Tr"), ("test", test, 40, "T")):
    faces = [_covered(seed + index) for index in range(count)]
    write_mat(root / f"COFW_{name}_color.mat", suffix, faces)
  return root


def write_mat(
  path: pathlib.Path, suffix: str, faces: Sequence[tuple[np.ndarray, np.ndarray]]
) -> None:
  """Images and rows of 87 numbers as MATLAB 7.3 stores them: HDF5 with the axes in reverse."""
  import h5py

  with h5py.File(path, "w", userblock_size=512) as file:
    cells = file.create_dataset(f"Is{suffix}", (1, len(faces)), h5py.ref_dtype)
    for index, (image, _) in enumerate(faces):
      cells[0, index] = file.create_dataset(f"#refs#/{index}", data=image.T).ref
    file[f"phis{suffix}"] = np.array([row for _, row in faces]).T


def _covered(seed):
  """A face of COFW: pixels and its row; coordinates count from 1."""
  size = (110 + 6 * (seed % 3), 130 - 10 * (seed % 2))
  image, (points,) = photo(seed, 29, size)
  covered = np.zeros(29)
  if seed % 2:  # a bar over the mouth
    top, bottom = (int(y) for y in (points[22:28, 1].min() - 2, points[22:28, 1].max() + 3))
    image[top:bottom] = (20, 90, 60)
    covered[(points[:, 1] >= top) & (points[:, 1] < bottom)] = 1
  if seed % 3 == 0:
    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
  return image, np.concatenate([*(points + 1).T, covered])


def face68(folder: pathlib.Path) -> pathlib.Path:
  """8 faces to learn from and 4 to validate."""
  root = folder / "face68"
  for split, count, seed in (("train", 8, 0), ("valid", 4, 20)):
    names = [f"{split}_{i:02}.jpg" for i in range(count)]
    faces = write_photos(root / "images", names, 68, seed=seed)
    write_table(root / f"face_landmarks_{split}.csv", faces)
  return root


def landmarks_csv(folder: pathlib.Path) -> pathlib.Path:
  """8 and 4 faces with five landmarks and their names and pairs; no box."""
  chosen = [7, 10, 13, 15, 17]  # of AFLW: eyes, tip of the nose, corners of the mouth
  root = folder / "mine"
  for split, count, seed in (("train", 8, 0), ("val", 4, 30)):
    names = [f"{split}_{i}.jpg" for i in range(count)]
    found = write_photos(root / "images", names, 19, seed=seed, twice=1)
    header = ["image_name", *(f"{axis}{i}" for i in range(5) for axis in "xy")]
    rows = [[name, *(f"{x:.2f}" for x in points[chosen].ravel())] for name, points in found]
    text = "\n".join(",".join(row) for row in [header, *rows])
    (root / f"{split}.csv").write_text(text + "\n")
  (root / "flip_pairs.txt").write_text("0 1\n3, 4\n")
  names = ["left eye", "right eye", "nose", "left mouth corner", "right mouth corner"]
  (root / "names.txt").write_text("\n".join(names))
  return root
