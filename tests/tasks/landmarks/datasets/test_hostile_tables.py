"""Tables and MATLAB files that nobody should hand over: prepared right, or refused in one line."""

import pathlib

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from tests.helpers import hostile

NAME = "landmarks_csv/hostile"
HEADER = "image_name,x0,y0,x1,y1"
ROWS = ["a.png,2,3,9,8", "b.png,2,3,9,8", "c.png,2,3,9,8"]


@pytest.fixture
def source(tmp_path):
  """Three photos with two landmarks each."""
  folder = tmp_path / "source"
  (folder / "images").mkdir(parents=True)
  for name in "abc":
    photo = np.full((12, 16, 3), ord(name), np.uint8)
    (folder / f"images/{name}.png").write_bytes(images.encode_png(photo))
  return folder


def table(first, header=HEADER):
  return "\n".join([header, first, *ROWS[1:]]) + "\n"


def many(count):
  header = ",".join(["image_name", *(f"{axis}{i}" for i in range(count) for axis in "xy")])
  return table(",".join(["a.png", *["5"] * 2 * count]), header)


REFUSED = {
  "a column x99999999999": (table(ROWS[0], HEADER + ",x99999999999"), "there can be 5000"),
  "a column of 400 digits": (table(ROWS[0], HEADER + ",x" + "9" * 400), "unknown column 'x9999"),
  "a column of 5000 digits": (table(ROWS[0], HEADER + ",x" + "9" * 5000), "unknown column 'x9999"),
  "20,000 landmarks": (many(20_000), "there can be 5000"),
  "a hole in the numbers": (table(ROWS[0], "image_name,x0,y0,x4999,y4999"), "no column x1"),
  "a column twice": (table(ROWS[0], "image_name,x0,y0,x0,y0"), "two columns"),
  "digits of other scripts": (table(ROWS[0], "image_name,x0,y0,x²,y²"), "unknown column"),
  "1e308": (table("a.png,1e308,-1e308,9,8"), "row 2: "),
  "1e400": (table("a.png,1e400,3,9,8"), "expected a finite number"),
  "400 digits": (table(f"a.png,{'9' * 400},3,9,8"), "expected a finite number"),
  "not a number": (table("a.png,nan,3,9,8"), "row 2: "),
  "hexadecimal": (table("a.png,0x10,3,9,8"), "expected a finite number"),
  "1e9": (table("a.png,1e9,1e9,2e9,2e9"), "row 2: "),
  "a long cell": (table(f"a.png,{'1' * 200_000},3,9,8"), "landmarks.csv"),
  "quotes without end": (table('a.png,"2,3,9,8'), "landmarks.csv"),
  "too few cells": (table("a.png,2,3"), "3 columns, but the header has 5"),
  "too many cells": (table(ROWS[0] + ",1" * 99), "104 columns, but the header has 5"),
  "a million cells": (table(ROWS[0] + ",1" * 10**6), "columns, but the header has 5"),
  "no rows": (HEADER + "\n", "a header without rows"),
  "no header": ("\n".join(ROWS), "no header"),
  "empty": ("", "empty file"),
  "zeros": ("\0" * 999, "not text"),
  "outside by ..": (table("a/../../outside.png,2,3,9,8"), "leads out of the source folder"),
  "outside by backslashes": (table("..\\outside.png,2,3,9,8"), "leads out of the source folder"),
  "an absolute path": (table("/etc/passwd,2,3,9,8"), "leads out of the source folder"),
  "a drive": (table("C:/outside.png,2,3,9,8"), "leads out of the source folder"),
  "a long name": (table("n" * 5000 + ".png,2,3,9,8"), "no image"),
  "a folder": (table(".,2,3,9,8"), "no image"),
  "escapes": (table("\x1b[31mx.png,2,3,9,8"), r"\x1b[31mx.png"),
  "no name": (table(",2,3,9,8"), "no name of an image"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(source, kind):
  content, message = REFUSED[kind]
  (source / "landmarks.csv").write_text(content)
  said = hostile.prepare(NAME, source)
  assert message in said
  assert "landmarks.csv" in said


READ = {
  "plain": table(ROWS[0]),
  "blanks and quotes": table('"a.png", 2 ,+3,"9",0.8e1'),
  "far digits": table("a.png,2.000000000000000000000,3,9,8"),
  "lines of Windows": table(ROWS[0]).replace("\n", "\r\n"),
  "empty lines": table(ROWS[0]).replace("\n", "\n\n"),
}


@pytest.mark.parametrize("kind", READ)
def test_read(source, kind):
  (source / "landmarks.csv").write_bytes(READ[kind].encode())
  assert not hostile.prepare(NAME, source)
  dataset = prepared.open_dataset(NAME, source.parent / "data")
  records = [x for split in dataset.splits() for x in dataset.source(split)]
  (record,) = [x for x in records if x["name"] == "a.png"]
  np.testing.assert_array_equal(record["points"], [[2, 3], [9, 8]])


TEXTS = {
  "a million names": ("names.txt", "x\n" * 10**6, "1000000 lines; there can be 5000"),
  "20,000 names": ("names.txt", "\n".join(map(str, range(20_000))), "20000 lines; there can be"),
  "a long name": ("names.txt", "x" * 10**6 + "\ny", "characters; a line can have"),
  "a name twice": ("names.txt", "x\nx\n", "stands there twice"),
  "a million pairs": ("flip_pairs.txt", "0 1\n" * 10**6, "lines; there can be 5000"),
  "a pair of 190 digits": ("flip_pairs.txt", "0 " + "9" * 190, "expected two of the landmarks"),
  "a pair of itself": ("flip_pairs.txt", "1 1", "expected two of the landmarks"),
  "a negative pair": ("flip_pairs.txt", "-1 0", "expected the numbers of two landmarks"),
  "other digits": ("flip_pairs.txt", "0 ²", "expected the numbers of two landmarks"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_names_and_pairs(source, kind):
  name, content, message = TEXTS[kind]
  (source / "landmarks.csv").write_text(table(ROWS[0]))
  (source / name).write_text(content)
  said = hostile.prepare(NAME, source)
  assert message in said
  assert name in said


def matlab(folder: pathlib.Path, change=None) -> pathlib.Path:
  """COFW's files with a face each, of which `change(h5py, file)` damages the first."""
  import h5py

  folder.mkdir()
  for name, pixels, points in (("train", "IsTr", "phisTr"), ("test", "IsT", "phisT")):
    with h5py.File(folder / f"COFW_{name}_color.mat", "w") as file:
      cell = file.create_dataset("cell", data=np.full((3, 9, 8), 5, np.uint8))
      file.create_dataset(pixels, data=np.array([[cell.ref]], h5py.ref_dtype))
      file[points] = np.random.default_rng(0).uniform(1, 8, (87, 1))
      if change and name == "train":
        change(h5py, file)
  return folder


def replace(name, **options):
  """A dataset made otherwise."""

  def change(h5py, file):
    del file[name]
    file.create_dataset(name, **options)

  return change


def cell_of(**options):
  """The pixels made otherwise."""

  def change(h5py, file):
    cell = file.create_dataset("other", **options)
    file["IsTr"][...] = np.array([[cell.ref]], h5py.ref_dtype)

  return change


def reference_to_the_root(h5py, file):
  file["IsTr"][...] = np.array([[file.ref]], h5py.ref_dtype)


def null_reference(h5py, file):
  file["IsTr"][...] = np.array([[h5py.Reference()]], h5py.ref_dtype)


def link_outside(h5py, file):
  del file["phisTr"]
  file["phisTr"] = h5py.ExternalLink("/etc/passwd", "phisTr")


def link_in_circles(h5py, file):
  del file["phisTr"]
  file["phisTr"] = h5py.SoftLink("/phisTr")


def virtual(h5py, file):
  layout = h5py.VirtualLayout((3, 9, 8), np.uint8)
  layout[...] = h5py.VirtualSource("/etc/passwd", "x", (3, 9, 8))
  cell = file.create_virtual_dataset("other", layout)
  file["IsTr"][...] = np.array([[cell.ref]], h5py.ref_dtype)


EXTERNAL = [("/etc/passwd", 0, 216)]
MATLAB = {
  "pixels in another file": (
    cell_of(shape=(3, 9, 8), dtype=np.uint8, external=EXTERNAL), "lie in another file"),
  "points in another file": (
    replace("phisTr", shape=(87, 1), dtype=np.uint8, external=[("/etc/passwd", 0, 87)]),
    "lie in another file"),
  "virtual pixels": (virtual, "lie in another file"),
  "a link to another file": (link_outside, "no variable 'phisTr'"),
  "a link to itself": (link_in_circles, "no variable 'phisTr'"),
  "a reference to the file": (reference_to_the_root, "damaged, or not as MATLAB"),
  "a reference to nothing": (null_reference, "damaged, or not as MATLAB"),
  "an image of 10**10": (
    cell_of(shape=(10**5, 10**5), dtype=np.uint8, chunks=(100, 100)), "10000000000 numbers"),
  "points of 10**9": (
    replace("phisTr", shape=(87, 10**9), dtype=np.float64, chunks=(87, 100)), "numbers; there"),
  "a billion images": (
    replace("IsTr", shape=(10**9,), dtype=np.float64, chunks=(100,)), "numbers; there can be"),
  "an image of texts": (cell_of(data=np.array([b"abc"])), "holds |S3, expected numbers"),
  "an image of a text of gigabytes": (
    cell_of(shape=(1,), dtype="S2000000000", chunks=(1,)), "holds |S2000000000, expected numbers"),
  "points of records": (
    replace("phisTr", shape=(87, 1), dtype=[("a", "f8"), ("b", "f8")]), "expected numbers"),
  "an image of floats": (cell_of(data=np.zeros((3, 9, 8))), "the image is float64"),
  "an image of four axes": (cell_of(data=np.zeros((3, 9, 8, 2), np.uint8)), "expected uint8"),
  "an empty image": (cell_of(data=np.zeros((3, 0, 8), np.uint8)), "COFW_train_color"),
  "no points": (replace("phisTr", data=np.zeros((87, 0))), "expected (1, 87)"),
  "points of NaN": (replace("phisTr", data=np.full((87, 1), np.nan)), "expected finite numbers"),
  "points of text": (replace("phisTr", data=np.full((87, 1), b"a")), "COFW_train_color"),
  "numbers for images": (replace("IsTr", data=np.ones((1, 1))), "expected a list of images"),
  "texts for images": (replace("IsTr", data=np.array([["a"]], "O")), "expected a list of images"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MATLAB)
def test_matlab_files(tmp_path, kind):
  change, message = MATLAB[kind]
  said = hostile.prepare("cofw", matlab(tmp_path / "source", change))
  assert message in said
  assert "COFW_train_color.mat" in said


def test_a_matlab_file_as_it_should_be(tmp_path):
  assert not hostile.prepare("cofw", matlab(tmp_path / "source"))
  record = prepared.open_dataset("cofw", tmp_path / "data").source("train")[0]
  assert (images.decode_image(record["image"], "a") == 5).all()


@pytest.mark.parametrize(
  "content", [b"", b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0 MAT-file" + b"\0" * 500]
)
def test_what_is_no_matlab_file(tmp_path, content):
  source = matlab(tmp_path / "source")
  (source / "COFW_train_color.mat").write_bytes(content)
  assert "not a MATLAB file of version 7.3" in hostile.prepare("cofw", source)
