"""Pictures of label maps, checked pixel by pixel."""

import cv2
import numpy as np
from PIL import Image
import pytest

from hrnet_jax import visualize

RED, GREEN, BLUE = (200, 0, 0), (0, 100, 0), (0, 0, 50)
PALETTE = (RED, GREEN, BLUE)
NAMES = ("wall", "grass", "sea")


def halves(left: int, right: int, height: int = 8, width: int = 12) -> np.ndarray:
  label = np.full((height, width), left, np.uint8)
  label[:, width // 2 :] = right
  return label


def gray(value: int, height: int = 8, width: int = 12) -> np.ndarray:
  return np.full((height, width, 3), value, np.uint8)


def has(picture: np.ndarray, color: tuple[int, int, int]) -> bool:
  return bool((picture == color).all(axis=-1).any())


def test_distinct_palette_grows_at_its_end():
  palette = visualize.distinct_palette(40)
  assert len(set(palette)) == 40
  assert visualize.distinct_palette(7) == palette[:7]
  assert visualize.distinct_palette(0) == ()


def test_distinct_palette_keeps_colours_apart():
  palette = np.array([*visualize.distinct_palette(20), (0, 0, 0), (255, 255, 255)])
  distance = np.linalg.norm(palette[:, None] - palette, axis=-1) + 999 * np.eye(22)
  assert distance.min() > 40


@pytest.mark.parametrize("n", [-1, 10**6])
def test_distinct_palette_says_what_it_can_make(n):
  with pytest.raises(ValueError, match=f"{n} colours was asked for; 0 to"):
    visualize.distinct_palette(n)


def test_colorize_paints_classes_and_leaves_others_black():
  label = np.array([[0, 1, 2], [255, 3, 0]], np.uint8)
  want = [[RED, GREEN, BLUE], [(0, 0, 0), (0, 0, 0), RED]]
  np.testing.assert_array_equal(visualize.colorize(label, PALETTE), want)
  signed = np.where(label > 2, -1, label.astype(np.int64))
  np.testing.assert_array_equal(visualize.colorize(signed, PALETTE), want)


def test_boundaries_lie_before_the_change():
  label = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]])
  want = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
  np.testing.assert_array_equal(visualize.boundaries(label), want)


def test_overlay_mixes_colour_and_photo():
  label = np.array([[0, 2], [255, 2]])
  out = visualize.overlay(gray(100, 2, 2), label, PALETTE, alpha=0.25, lines=False)
  # 0.75 * 100 + 0.25 * colour; 87.5 is rounded to even
  want = [[(125, 75, 75), (75, 75, 88)], [(100, 100, 100), (75, 75, 88)]]
  np.testing.assert_array_equal(out, want)


def test_overlay_draws_white_lines_between_classes_only():
  plain = visualize.overlay(gray(100), halves(0, 1), PALETTE, lines=False)
  lined = visualize.overlay(gray(100), halves(0, 1), PALETTE)
  assert (lined[:, 5] > 150).all()  # the last column of the left half
  np.testing.assert_array_equal(lined[:, :4], plain[:, :4])
  np.testing.assert_array_equal(lined[:, 7:], plain[:, 7:])


def test_overlay_refuses_what_does_not_fit():
  with pytest.raises(ValueError, match=r"image of size \(8, 12\) but label map of size \(4, 12\)"):
    visualize.overlay(gray(0), halves(0, 1, height=4), PALETTE)
  with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
    visualize.overlay(gray(0), halves(0, 1), PALETTE, alpha=1.5)


def test_hatch_covers_the_mask_with_both_greys():
  mask = halves(1, 0).astype(bool)
  out = visualize.hatch(gray(7), mask)
  np.testing.assert_array_equal(out[:, 6:], gray(7)[:, 6:])
  np.testing.assert_array_equal(
    out[0, :6], np.array(visualize.HATCH)[[0, 0, 1, 1, 0, 0]]
  )  # stripes two pixels wide
  np.testing.assert_array_equal(out[1, 0:3], np.array(visualize.HATCH)[[0, 1, 1]])


def test_errors_are_red_on_a_faded_photo():
  truth = np.array([[0, 1, 255]])
  out = visualize.errors(gray(100, 1, 3), np.array([[0, 2, 2]]), truth, num_classes=3)
  faded = 170  # 0.55 * 100 + 0.45 * 255 = 169.75
  assert tuple(out[0, 0]) == (faded,) * 3
  # 0.15 * 170 + 0.85 * (227, 26, 28)
  assert tuple(out[0, 1]) == (218, 48, 49)
  assert tuple(out[0, 2]) in visualize.HATCH


def test_legend_shows_the_classes_that_occur():
  picture = visualize.legend(halves(0, 1), PALETTE, NAMES, width=300)
  assert picture.shape[1] == 300
  assert has(picture, RED)
  assert has(picture, GREEN)
  assert not has(picture, BLUE)
  assert not has(picture, visualize.HATCH[0])
  with_truth = visualize.legend(halves(0, 1), PALETTE, NAMES, width=300, truth=halves(2, 255))
  assert has(with_truth, BLUE)
  assert has(with_truth, visualize.HATCH[0])


def test_legend_counts_pixels():
  label = np.array([[0, 0, 0, 2]])
  entries = visualize._entries([label, np.array([[2, 2, 255, 255]])], PALETTE, NAMES)
  assert entries == [
    ("wall", RED, "75.0 / 0.0 %"),
    ("sea", BLUE, "25.0 / 50.0 %"),
    ("ignored", None, "0.0 / 50.0 %"),
  ]


def test_legend_widens_for_long_names_and_checks_their_number():
  names = ("a class with quite a long name", "grass", "sea")
  assert visualize.legend(halves(0, 1), PALETTE, names, width=50).shape[1] > 200
  with pytest.raises(ValueError, match="2 class names but 3 colours"):
    visualize.legend(halves(0, 1), PALETTE, NAMES[:2], width=50)


def test_labelled_is_the_overlay_above_its_legend():
  image, label = gray(60, 300, 400), halves(0, 1, 300, 400)
  picture = visualize.labelled(image, label, PALETTE, NAMES)
  np.testing.assert_array_equal(picture[:300, :400], visualize.overlay(image, label, PALETTE))
  assert picture.shape[0] > 300
  assert tuple(picture[-1, -1]) == visualize.PAPER


@pytest.mark.parametrize(
  ("shape", "columns"), [((300, 400), 2), ((300, 300), 4), ((400, 300), 4)], ids=str
)
def test_segmentation_panel_has_four_tiles(shape, columns):
  label = halves(0, 1, *shape)
  picture = visualize.segmentation_panel(gray(9, *shape), label, label, PALETTE, NAMES)
  assert picture.shape[1] >= columns * shape[1]
  assert picture.shape[1] < (columns + 1) * shape[1]
  assert has(picture, (9, 9, 9))


def test_segmentation_panel_reduces_large_images_and_enlarges_small_ones():
  def side(n: int) -> int:
    label = halves(0, 1, n, n)
    return visualize.segmentation_panel(
      gray(9, n, n), label, label, PALETTE, NAMES, max_side=600
    ).shape[1]

  assert 4 * 512 <= side(64) < 4 * 560
  assert 4 * 600 <= side(1200) < 4 * 660


def test_segmentation_panel_survives_a_truth_without_any_class():
  truth = halves(255, 255)
  picture = visualize.segmentation_panel(gray(9), halves(0, 1), truth, PALETTE, NAMES)
  assert has(picture, visualize.HATCH[1])


def test_contact_sheet_places_pictures_row_by_row():
  tiles = [gray(v, 20, 30) for v in (10, 20, 30)]
  sheet = visualize.contact_sheet(tiles)
  gap = 13  # the smallest text size
  assert sheet.shape == (2 * (20 + gap) + gap, 2 * (30 + gap) + gap, 3)
  np.testing.assert_array_equal(sheet[gap : gap + 20, gap : gap + 30], tiles[0])
  np.testing.assert_array_equal(sheet[gap : gap + 20, 2 * gap + 30 : 2 * gap + 60], tiles[1])
  np.testing.assert_array_equal(sheet[2 * gap + 20 : 2 * gap + 40, gap : gap + 30], tiles[2])
  assert (sheet[2 * gap + 20 :, 2 * gap + 30 :] == 255).all()


def test_contact_sheet_shortens_titles_that_do_not_fit():
  title = "a title that is much wider than the picture below it"
  sheet = visualize.contact_sheet([gray(10, 20, 60)] * 2, titles=[title, ""], columns=2)
  gap, head = 13, 22
  assert (sheet[gap : gap + head, gap : gap + 60] < 100).any()
  assert (sheet[gap : gap + head, gap + 62 :] == 255).all()


def test_contact_sheet_refuses_nothing_and_wrong_titles():
  with pytest.raises(ValueError, match="at least one picture"):
    visualize.contact_sheet([])
  with pytest.raises(ValueError, match="1 titles for 2 pictures"):
    visualize.contact_sheet([gray(0)] * 2, titles=["one"])


def test_fit_enlarges_by_whole_factors_and_never_mixes_labels():
  np.testing.assert_array_equal(
    visualize.fit(np.array([[1, 2]]), low=5), [[1, 1, 2, 2], [1, 1, 2, 2]]
  )
  label = halves(0, 200, 30, 90)
  assert visualize.fit(label, high=31).shape == (10, 31)
  assert set(np.unique(visualize.fit(label, high=31))) == {0, 200}
  assert visualize.fit(gray(3, 600, 20)).shape == (600, 20, 3)


def test_write_png_round_trips(tmp_path):
  label = halves(3, 255)
  visualize.write_png(tmp_path / "label.png", label)
  with Image.open(tmp_path / "label.png") as stored:
    assert stored.mode == "L"
    np.testing.assert_array_equal(np.asarray(stored), label)
  picture = visualize.colorize(halves(0, 1), PALETTE)
  visualize.write_png(tmp_path / "rgb.png", picture)
  np.testing.assert_array_equal(cv2.imread(str(tmp_path / "rgb.png"))[..., ::-1], picture)
  with pytest.raises(ValueError, match=r"bad\.png: expected .* got \(8, 12\) int64"):
    visualize.write_png(tmp_path / "bad.png", label.astype(np.int64))
