"""What is damaged: kinds of files, each with intact ones to begin with and what reads them.

A folder of intact files -> a list of `(file, mutation)`, of which a case takes one ->
`read(folder)`, which ends as a command does: with a status, or with one of the errors about input.
"""

from collections.abc import Callable
import dataclasses
import io
import pathlib
import shutil
from typing import Any

import numpy as np
from PIL import Image

from hrnet_jax.cli.main import main
from hrnet_jax.data import images, prepared
from tests.fuzz import mutations
from tests.helpers import coco_miniature, face_miniatures, miniatures

Mutation = Callable[..., bytes]
Victim = tuple[pathlib.Path, Mutation]


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of files.

  Attributes:
    make: writes intact files into an empty folder, and says which of them can be damaged.
    read: reads them, with the exit status of a command, or raising.
    share: of the time, beside the others'.
  """

  make: Callable[[pathlib.Path], list[Victim]]
  read: Callable[[pathlib.Path], int]
  share: float = 1.0


def _prepare(dataset: str) -> Callable[[pathlib.Path], int]:
  def read(folder: pathlib.Path) -> int:
    source, output = folder / "source", folder / "output"
    return main(
      [
        "prepare",
        f"--dataset={dataset}",
        f"--source={source}",
        f"--data_dir={output}",
        "--workers=1",
      ]
    )

  return read


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
  stream = io.BytesIO()
  image.save(stream, kind, **options)
  return stream.getvalue()


def encoded_photos() -> dict[str, bytes]:
  """Files of a small photo in every format, by a name with the format's suffix."""
  rng = np.random.default_rng(0)
  pixels = np.repeat(np.repeat(rng.integers(0, 256, (3, 4, 3)).astype(np.uint8), 8, 0), 8, 1)
  photo = Image.fromarray(pixels)
  exif = Image.Exif()
  exif[0x112] = 6
  sixteen = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
  return {
    "baseline.jpg": _encoded(photo, "JPEG"),
    "progressive.jpg": _encoded(photo, "JPEG", progressive=True),
    "turned.jpg": _encoded(photo, "JPEG", exif=exif),
    "grey.jpg": _encoded(photo.convert("L"), "JPEG"),
    "cmyk.jpg": _encoded(photo.convert("CMYK"), "JPEG"),
    "rgb.png": _encoded(photo, "PNG"),
    "palette.png": _encoded(photo.quantize(8), "PNG"),
    "alpha.png": _encoded(photo.convert("RGBA"), "PNG"),
    "sixteen.png": _encoded(sixteen, "PNG"),
    "plain.tif": _encoded(photo, "TIFF"),
    "deflated.tiff": _encoded(photo, "TIFF", compression="tiff_adobe_deflate"),
    "sixteen.tif": _encoded(sixteen, "TIFF"),
    "lzw.tif": _encoded(photo, "TIFF", compression="tiff_lzw"),
    "rgb.bmp": _encoded(photo, "BMP"),
    "palette.bmp": _encoded(photo.quantize(8), "BMP"),
    "lossy.webp": _encoded(photo, "WEBP"),
    "lossless.webp": _encoded(photo, "WEBP", lossless=True),
    "a gif.png": _encoded(photo, "GIF"),
    "a ppm.bmp": _encoded(photo, "PPM"),
  }


def _photos(folder: pathlib.Path) -> list[Victim]:
  found = []
  for name, data in encoded_photos().items():
    path = folder / "source" / ("ab"[len(found) % 2]) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    is_png = data.startswith(b"\x89PNG")
    found.append((path, mutations.damage_png if is_png else mutations.damage))
  return found


def _read_photos(folder: pathlib.Path) -> int:
  """Each alone: as a photo of three channels, of one and of four, and by the command."""
  changed = pathlib.Path((folder / "changed").read_text())
  for channels in (1, 4):
    try:
      images.read_image(changed, channels)
    except (ValueError, OSError) as error:
      _require_ours(error)
  for path in (folder / "source").rglob("*.*"):
    if path != changed:
      path.unlink()
  intact = images.encode_png(np.zeros((4, 4, 3), np.uint8))
  for name in ("a/x.png", "a/y.png", "b/x.png", "b/y.png"):
    (folder / "source" / name).write_bytes(intact)
  return _prepare("image_folder_classification/fuzz")(folder)


def _require_ours(error: Exception) -> None:
  from hrnet_jax.errors import ABOUT_INPUT

  if not isinstance(error, ABOUT_INPUT):
    raise error


def _labels(folder: pathlib.Path) -> list[Victim]:
  source = folder / "source"
  ids = np.random.default_rng(1).integers(0, 3, (16, 24)).astype(np.uint8)
  palette = Image.fromarray(ids, "P")
  palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
  files = {
    "grey": images.encode_png(ids),
    "palette": _encoded(palette, "PNG"),
    "bits": _encoded(palette, "PNG", bits=2),
    "colours": _encoded(palette.convert("RGB"), "PNG"),
    "ones": _encoded(Image.fromarray(ids > 1), "PNG"),
  }
  for kind in ("images", "labels"):
    (source / kind).mkdir(parents=True)
  for name, data in files.items():
    (source / "labels" / f"{name}.png").write_bytes(data)
    photo = np.full((16, 24, 3), 99, np.uint8)
    (source / "images" / f"{name}.png").write_bytes(images.encode_png(photo))
  (source / "classes.txt").write_text("ground 0 0 0\nred 128 0 0\ngreen 0 128 0\n")
  return [(source / "labels" / f"{name}.png", mutations.damage_png) for name in files]


def _classes(folder: pathlib.Path) -> list[Victim]:
  _labels(folder)
  return [(folder / "source/classes.txt", mutations.damage_text)]


def _lists(folder: pathlib.Path) -> list[Victim]:
  miniatures.lip(folder / "source")
  return [(folder / "source/list/lip/trainList.txt", mutations.damage_text)]


def _detail(folder: pathlib.Path) -> list[Victim]:
  miniatures.pascal_context_json(folder / "source")
  return [(x, mutations.damage_json) for x in (folder / "source").rglob("*.json")]


def _coco(folder: pathlib.Path) -> list[Victim]:
  coco_miniature.write(folder / "source")
  return [(folder / "source/annotations/instances_train.json", mutations.damage_json)]


def _table(folder: pathlib.Path) -> list[Victim]:
  source = folder / "source"
  faces = face_miniatures.write_photos(source / "images", ["a.jpg", "b.jpg", "c.jpg"], 68, seed=0)
  few = [(name, points[:4]) for name, points in faces]
  face_miniatures.write_table(source / "landmarks.csv", few)
  (source / "names.txt").write_text("one\ntwo\nthree\nfour\n")
  (source / "flip_pairs.txt").write_text("0 1\n2,3\n")
  texts = [(source / name, mutations.damage_text) for name in ("names.txt", "flip_pairs.txt")]
  return [(source / "landmarks.csv", mutations.damage_table)] * 4 + texts


def _matlab(folder: pathlib.Path) -> list[Victim]:
  import h5py

  source = folder / "source"
  source.mkdir()
  rng = np.random.default_rng(0)
  for name, pixels, points in (("train", "IsTr", "phisTr"), ("test", "IsT", "phisT")):
    with h5py.File(source / f"COFW_{name}_color.mat", "w") as file:
      cells = [file.create_dataset(f"x{i}", data=np.zeros((3, 9, 8), np.uint8)) for i in range(2)]
      rows = rng.uniform(1, 8, (87, 2))
      file[points] = rows
      file.create_dataset(pixels, data=np.array([[x.ref for x in cells]], h5py.ref_dtype))
  return [(source / "COFW_train_color.mat", mutations.damage)]


def _prepared(folder: pathlib.Path) -> list[Victim]:
  coco_miniature.write(folder / "source")
  _prepare("coco/fuzz")(folder)
  shutil.rmtree(folder / "source")
  (place,) = (folder / "output/coco/fuzz").glob("*/*/")
  names = ("dataset_info.json", "features.json", "metadata.json")
  facts = [(place / name, mutations.damage_json) for name in names]
  return facts * 2 + [(x, mutations.damage) for x in place.glob("*array_record*")]


def _read_prepared(folder: pathlib.Path) -> int:
  """What training does with it before it is a batch.

  Half of the cases are without checksums, and where earlier versions wrote them.
  """
  changed = pathlib.Path((folder / "changed").read_text())
  if changed.stat().st_size % 2:
    content = changed.parent
    (content / "checksums.json").unlink()
    (content.parent / "current.json").unlink()
    for path in content.iterdir():
      path.rename(content.parent / path.name)
  status = main(["prepare", "--dataset=coco/fuzz", f"--data_dir={folder / 'output'}"])
  if status:
    return status
  dataset = prepared.open_dataset("coco/fuzz", folder / "output")
  for split in dataset.splits():
    for record in dataset.source(split):
      images.decode_image(record["image"], record["name"])
  return 0


_VALUES = np.arange(24, dtype=np.float32)  # of every tensor


def _weights(folder: pathlib.Path) -> list[Victim]:
  from hrnet_jax.convert import write_state_dict

  tensors = {f"layer{i}.weight": _VALUES.reshape(4, 3, 2) for i in range(3)}
  tensors["bn1.num_batches_tracked"] = np.array(3)
  names = ["a.npz", "a.safetensors"]
  for name in names:
    write_state_dict(folder / name, tensors)
  return [(folder / name, mutations.damage) for name in names]


def _torch_weights(folder: pathlib.Path) -> list[Victim]:
  import torch

  tensors = {f"layer{i}.weight": torch.from_numpy(_VALUES.reshape(4, 3, 2)) for i in range(3)}
  content = {"state_dict": tensors, "epoch": 3, "best": np.float64(1)}
  torch.save(content, folder / "new.pth")
  torch.save(content, folder / "old.pth", _use_new_zipfile_serialization=False)
  return [(folder / name, mutations.damage) for name in ("new.pth", "old.pth")]


def _read_weights(folder: pathlib.Path) -> int:
  from hrnet_jax.convert import checkpoints, read_state_dict

  path = pathlib.Path((folder / "changed").read_text())
  tensors = read_state_dict(path)
  checkpoints._describe(tensors)
  if path.name in ("a.npz", "new.pth"):  # which have checksums
    for name, values in tensors.items():
      if name.startswith("layer") and values.dtype == np.float32 and values.size == _VALUES.size:
        np.testing.assert_array_equal(values.ravel(), _VALUES)
  return 0


def _checkpoint(folder: pathlib.Path) -> list[Victim]:
  from tests.helpers import toy

  step = toy.export_network(folder / "run")
  plain = [x for x in step.rglob("*") if x.is_file() and x.name.startswith(("_M", "_C"))]
  damaged = [(x, mutations.damage) for x in step.rglob("*") if x.is_file()]
  # As earlier versions wrote them, without digests, so that what is damaged is looked at.
  forged = [(step / "facts/metadata", mutations.damage_json)] * len(damaged)
  return [*damaged, *forged, *((x, mutations.damage_json) for x in plain)]


def _read_checkpoint(folder: pathlib.Path) -> int:
  from hrnet_jax.checkpoint import networks
  from hrnet_jax.predict.folder import trained_network

  if (folder / "changed").read_text().endswith("facts/metadata"):
    step = folder / "run/checkpoints/0"
    shutil.rmtree(step / "digests")
    data = (step / "facts/metadata").read_bytes()
    (step / "facts/metadata").write_bytes(data.replace(b'"format": 2', b'"format": 1'))
  loaded = networks.load(folder / "run")
  with loaded.in_use():
    trained_network(loaded)
  return 0


KINDS = {
  "photos": Kind(_photos, _read_photos, 3),
  "labels": Kind(_labels, _prepare("image_folder_segmentation/fuzz"), 2),
  "classes files": Kind(_classes, _prepare("image_folder_segmentation/fuzz")),
  "lists": Kind(_lists, _prepare("lip")),
  "COCO": Kind(_coco, _prepare("coco/fuzz"), 3),
  "PASCAL in Detail": Kind(_detail, _prepare("pascal_context")),
  "tables": Kind(_table, _prepare("landmarks_csv/fuzz"), 2),
  "MATLAB": Kind(_matlab, _prepare("cofw"), 1),
  "prepared data": Kind(_prepared, _read_prepared, 2),
  "npz and safetensors": Kind(_weights, _read_weights),
  "PyTorch": Kind(_torch_weights, _read_weights),
  "checkpoints": Kind(_checkpoint, _read_checkpoint, 4),
}
