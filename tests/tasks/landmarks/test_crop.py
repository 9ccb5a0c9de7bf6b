"""The reference's crop pixel for pixel, and the affine one against points, sums and symmetry."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from hrnet_jax.tasks.landmarks import crop, geometry
from hrnet_jax.tasks.landmarks.crop import crop_affine, crop_reference
from tests.helpers import landmark_cases

property_test = settings(deadline=None, max_examples=50, database=None)
PLACES = ((0, 0), (10, 200), (128, 128), (128, 129), (200, 40), (255, 255))  # row, column


def ramps(height, width):
  """The image of the golden crops: `(3 x + 5 y + 40 channel) mod 200 + 20`."""
  y, x, channel = np.ogrid[:height, :width, :3]
  return ((3 * x + 5 * y + 40 * channel) % 200 + 20).astype(np.uint8)


# Computed with the official code: height, width; center, scale, rotation; whether the image was
# held as floats (None: no matter); mean; values at PLACES.
GOLDEN_CROPS = [
  (300, 320, (150.5, 120), 1.25, 0, None, 136.908798,
   "0,0,0 127,174,220 84,131,177 88,134,181 192,238,52 72,119,165"),
  (300, 320, (150.5, 120), 1.25, 30, None, 131.307317,
   "0,0,0 123,170,216 83,130,176 89,136,182 37,84,131 63,109,156"),
  (300, 320, (30, 200), 1.0, -20, None, 90.208186,
   "0,0,0 51,98,144 128,174,221 129,175,222 0,0,0 217,31,78"),
  (700, 640, (300, 330), 3.0, 0, True, 128.615067,
   "196,251,24 87,145,202 200,247,29 210,183,39 238,10,67 179,236,8"),
  (700, 640, (300, 330), 3.0, 12.5, True, 128.793538,
   "0,0,0 72,126,179 201,231,40 213,144,52 50,104,158 57,64,118"),
  (700, 640, (300, 330), 3.0, 0, False, 128.210500,
   "196,252,24 87,145,202 201,248,29 211,182,39 238,9,66 178,235,6"),
  (700, 640, (300, 330), 3.0, 12.5, False, 140.330032,
   "0,0,0 89,138,186 206,234,61 217,155,72 71,119,168 76,82,130"),
]  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN_CROPS, ids=str)
def test_crops_equal_the_reference(case):
  height, width, center, scale, rotation, floats, mean, values = case
  for stretch_shrunk in (True, False) if floats is None else (floats,):
    crop = crop_reference(
      ramps(height, width), center, scale, 256, rotation=rotation, stretch_shrunk=stretch_shrunk
    )
    assert crop.shape == (256, 256, 3)
    assert crop.dtype == np.uint8
    assert round(float(crop.mean()), 6) == mean
    expected = [[int(v) for v in place.split(",")] for place in values.split()]
    assert [crop[place].tolist() for place in PLACES] == expected


@pytest.mark.parametrize(
  ("center", "scale", "rotation", "start", "stop", "margin"),
  [
    ((150.5, 120), 1.25, 0, (25, -4), (275, 245), 0),
    ((150.5, 120), 1.25, 30, (25, -4), (275, 245), 51),
    ((30, 200), 1.0, -20, (-69, 100), (130, 300), 41),
    ((150.5, 120), 3.0, 0, (-63, -76), (192, 179), 0),
    ((400, 300), 5.5, 12.5, (-34, -58), (221, 197), 52),
  ],
)
def test_windows_equal_the_reference(center, scale, rotation, start, stop, margin):
  center, shrink = np.array(center, np.float32), 200 * scale / 256
  if shrink >= 2:  # as after the image was shrunk
    center, scale = center / np.float32(shrink), scale / shrink
  found = crop._window(center, scale, 256, rotation)
  assert found[2] == margin
  assert (found[0] + margin).tolist() == list(start)
  assert (found[1] - margin).tolist() == list(stop)


def test_scipy_functions_equal_the_originals():
  _, arrays = landmark_cases.load("landmarks_transforms/imresize_imrotate.npz")

  def scaled(name):
    x = arrays[name]
    return x if x.dtype == np.uint8 else crop.byte_scale(x, x.min(), x.max())

  np.testing.assert_array_equal(scaled("float_in"), arrays["bytescale_float"])
  for kind in ("float", "uint8"):
    for way in ("up", "down"):
      expected = arrays[f"imresize_{kind}_{way}"]
      resized = crop._resize(scaled(f"{kind}_in"), expected.shape[1::-1])
      np.testing.assert_array_equal(resized, expected)
  constant = np.full((12, 10, 3), 7, np.uint8)
  stretched = crop._resize(crop.stretch(constant), (8, 8))
  np.testing.assert_array_equal(stretched, arrays["imresize_constant"])
  for angle in ("15", "-30", "0.5"):
    for kind, source in (("float", "imrotate_float_in"), ("uint8", "uint8_in")):
      image = Image.fromarray(scaled(source))
      turned = np.asarray(image.rotate(float(angle), Image.Resampling.BILINEAR))
      np.testing.assert_array_equal(turned, arrays[f"imrotate_{kind}_{angle}"])


@property_test
@given(st.integers(0, 254), st.integers(1, 255))
def test_stretch_reaches_both_ends_and_keeps_the_order(low, spread):
  high = min(low + spread, 255)
  levels = np.arange(low, high + 1, dtype=np.uint8)
  stretched = crop.stretch(np.repeat(levels[:, None, None], 3, axis=-1))
  assert (stretched[0] == 0).all()
  assert (stretched[-1] == 255).all()
  assert (np.diff(stretched[:, 0, 0].astype(int)) >= 1).all()
  exact = (levels.astype(float) - low) * 255 / (high - low)
  assert abs(stretched[:, 0, 0] - exact).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("center", [(-900, 50), (50, -900), (2000, 50), (50, 2000), (900, 900)])
@pytest.mark.parametrize("rotation", [0, 20])
@pytest.mark.parametrize("crop", [crop_affine, crop_reference])
def test_a_window_outside_of_the_image_is_black(center, rotation, crop):
  result = crop(ramps(100, 90), np.array(center), 0.5, 64, rotation=rotation)
  assert result.shape == (64, 64, 3)
  assert not result.any()


def test_an_image_that_shrinks_to_nothing_is_black():
  assert not crop_reference(ramps(4, 300), (150, 2), 30, 64).any()
  assert not crop_reference(ramps(3, 3), (1, 1), 300, 64).any()


def test_a_window_without_pixels_is_an_error():
  with pytest.raises(ValueError, match=r"window around the face is 0 x 0 pixels; its scale 0.001"):
    crop_reference(ramps(40, 40), (20.5, 20.5), 0.001, 64)


def blob(size, center, sigma):
  """A bright Gaussian on black, with its middle between pixels."""
  y, x = np.ogrid[:size, :size]
  square = (x - center[0]) ** 2 + (y - center[1]) ** 2
  return np.repeat(np.round(255 * np.exp(-square / (2 * sigma**2)))[..., None], 3, -1).astype("u1")


def middle(image):
  weights = image[..., 0].astype(float)
  y, x = np.mgrid[: image.shape[0], : image.shape[1]]
  return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@property_test
@given(
  st.tuples(st.floats(110, 190), st.floats(110, 190)),
  st.tuples(st.floats(140, 160), st.floats(140, 160)),
  st.floats(0.6, 4),
  st.floats(-180, 180),
  st.sampled_from([0.0, 1.0]),
)
def test_affine_crop_puts_pixels_where_it_puts_points(point, center, scale, rotation, first_pixel):
  image = blob(300, point, sigma=200 * scale / 64)
  annotated = np.array(point) + first_pixel
  where = np.array(center) + first_pixel
  crop = crop_affine(image, where, scale, 64, rotation=rotation, first_pixel=first_pixel)
  matrix = geometry.crop_matrix(where, scale, 64, rotation)
  expected = geometry.transform(matrix, annotated[None])[0] - 0.5
  near = abs(expected - 31.5).max() < 25  # all of the blob is in the crop
  if near and min(*point, *(299 - np.array(point))) > 4 * 200 * scale / 64:
    np.testing.assert_allclose(middle(crop), expected, atol=0.05)


def test_affine_crop_of_the_whole_image_is_the_image():
  image = ramps(64, 64)
  np.testing.assert_array_equal(crop_affine(image, (31.5, 31.5), 64 / 200, 64), image)


def test_affine_crop_of_a_large_face_averages():
  # Stripes as fine as pixels: sampled with gaps they would come out as black or white.
  image = np.zeros((512, 512, 3), np.uint8)
  image[:, ::2] = 255
  crop = crop_affine(image, (255.5, 255.5), 512 / 200, 64)
  assert abs(crop.astype(int) - 127.5).max() <= 1
