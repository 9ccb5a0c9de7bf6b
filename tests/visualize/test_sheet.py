"""Contact sheets, sizes and files, checked pixel by pixel."""

import errno
import os

import cv2
import numpy as np
from PIL import Image
import pytest

from hrnet_jax.visualize import sheet as sheets
from hrnet_jax.visualize.labels import colorize
from tests.visualize.samples import PALETTE, gray, halves


def test_contact_sheet_places_pictures_row_by_row():
  tiles = [gray(v, 20, 30) for v in (10, 20, 30)]
  sheet = sheets.contact_sheet(tiles)
  gap = 13  # the smallest text size
  assert sheet.shape == (2 * (20 + gap) + gap, 2 * (30 + gap) + gap, 3)
  np.testing.assert_array_equal(sheet[gap : gap + 20, gap : gap + 30], tiles[0])
  np.testing.assert_array_equal(sheet[gap : gap + 20, 2 * gap + 30 : 2 * gap + 60], tiles[1])
  np.testing.assert_array_equal(sheet[2 * gap + 20 : 2 * gap + 40, gap : gap + 30], tiles[2])
  assert (sheet[2 * gap + 20 :, 2 * gap + 30 :] == 255).all()


def test_contact_sheet_shortens_titles_that_do_not_fit():
  title = "a title that is much wider than the picture below it"
  sheet = sheets.contact_sheet([gray(10, 20, 60)] * 2, titles=[title, ""], columns=2)
  gap, head = 13, 22
  assert (sheet[gap : gap + head, gap : gap + 60] < 100).any()
  assert (sheet[gap : gap + head, gap + 62 :] == 255).all()


def test_contact_sheet_refuses_nothing_and_wrong_titles():
  with pytest.raises(ValueError, match="at least one picture"):
    sheets.contact_sheet([])
  with pytest.raises(ValueError, match="1 titles for 2 pictures"):
    sheets.contact_sheet([gray(0)] * 2, titles=["one"])


def test_fit_enlarges_by_whole_factors_and_never_mixes_labels():
  np.testing.assert_array_equal(sheets.fit(np.array([[1, 2]]), low=5), [[1, 1, 2, 2], [1, 1, 2, 2]])
  label = halves(0, 200, 30, 90)
  assert sheets.fit(label, high=31).shape == (10, 31)
  assert set(np.unique(sheets.fit(label, high=31))) == {0, 200}
  assert sheets.fit(gray(3, 600, 20)).shape == (600, 20, 3)


def test_write_png_round_trips(tmp_path):
  label = halves(3, 255)
  sheets.write_png(tmp_path / "label.png", label)
  with Image.open(tmp_path / "label.png") as stored:
    assert stored.mode == "L"
    np.testing.assert_array_equal(np.asarray(stored), label)
  picture = colorize(halves(0, 1), PALETTE)
  sheets.write_png(tmp_path / "rgb.png", picture)
  np.testing.assert_array_equal(cv2.imread(str(tmp_path / "rgb.png"))[..., ::-1], picture)
  with pytest.raises(ValueError, match=r"bad\.png: expected .* got \(8, 12\) int64"):
    sheets.write_png(tmp_path / "bad.png", label.astype(np.int64))
  assert sorted(path.name for path in tmp_path.iterdir()) == ["label.png", "rgb.png"]


def test_a_picture_is_replaced_whole_or_not(tmp_path, monkeypatch):
  path = tmp_path / "a.png"
  sheets.write_png(str(path), gray(10, 2, 5))
  before = path.read_bytes()

  def full(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
    sheets.write_png(path, gray(20, 2, 5))
  assert [x.name for x in tmp_path.iterdir()] == ["a.png"]
  assert path.read_bytes() == before


def test_stack_fills_with_paper_on_the_right():
  out = sheets.stack([gray(10, 2, 5), gray(20, 3, 4)])
  assert out.shape == (5, 5, 3)
  np.testing.assert_array_equal(out[2:, :4], gray(20, 3, 4))
  assert (out[2:, 4] == 255).all()


def test_heading_has_the_width_asked_for_and_cuts_long_lines():
  one, two = (sheets.heading(["t" * 300] * n, width=200) for n in (1, 2))
  assert one.shape[1] == two.shape[1] == 200
  assert two.shape[0] > one.shape[0]
  assert (one[:, :8] == 255).all()
  assert (one[:, 187:] == 255).all()
  assert (one < 100).any()
