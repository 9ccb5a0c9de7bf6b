"""Deterministic weights and inputs of the golden fixtures, in numpy only.

Every array a fixture refers to but does not store is made here.  All draws
use numpy.random.RandomState (a frozen generator), and every fixture records
crc32() of the made arrays, so that a reader can check its own copies first.

Layouts: weights are in the PyTorch layout (conv: out, in, kh, kw; linear:
out, in).  Images are NHWC.  Transpose as needed.
"""

import zlib

import numpy as np

# Cityscapes class weights of the reference (19 classes), float32 when used.
CITYSCAPES_WEIGHTS = (
  0.8373,
  0.918,
  0.866,
  1.0345,
  1.0166,
  0.9969,
  0.9754,
  1.0489,
  0.8786,
  1.0023,
  0.9539,
  0.9843,
  1.1116,
  0.9037,
  1.0865,
  1.0955,
  1.0865,
  1.1529,
  1.0507,
)

MEAN = (0.485, 0.456, 0.406)  # RGB
STD = (0.229, 0.224, 0.225)


def crc32(array):
  """CRC-32 of the C-contiguous bytes of an array."""
  return zlib.crc32(np.ascontiguousarray(array).tobytes())


def fill(name, shape):
  """The value of one state_dict entry, from its PyTorch key and shape."""
  shape = tuple(int(s) for s in shape)
  if name.endswith("num_batches_tracked"):
    return np.zeros(shape, np.int64)
  rng = np.random.RandomState(zlib.crc32(name.encode()))
  if len(shape) == 4:  # convolution
    value = rng.standard_normal(shape) * np.sqrt(1.0 / (shape[1] * shape[2] * shape[3]))
  elif name.endswith("running_var"):
    value = rng.uniform(0.5, 1.5, shape)
  elif name.endswith("running_mean"):
    value = rng.standard_normal(shape) * 0.1
  elif name.endswith("weight") and len(shape) == 1:  # batch norm scale
    value = rng.uniform(0.3, 0.9, shape)
  elif len(shape) == 2:  # linear
    value = rng.standard_normal(shape) * np.sqrt(1.0 / shape[1])
  else:  # every bias
    value = rng.standard_normal(shape) * 0.1
  return value.astype(np.float32)


def fill_all(shapes):
  """{key: shape} -> {key: array}."""
  return {k: fill(k, s) for k, s in shapes.items()}


def image(shape, seed=0):
  """A network input, NHWC float32."""
  return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def labels(shape, num_classes, seed, ignore=255, block=16):
  """Segmentation labels (N, H, W) int32: square blocks of random classes,
  about a tenth of the pixels and the first 8 rows set to `ignore`."""
  n, h, w = shape
  rng = np.random.RandomState(seed)
  coarse = rng.randint(0, num_classes, (n, -(-h // block), -(-w // block)))
  out = coarse.repeat(block, 1).repeat(block, 2)[:, :h, :w].astype(np.int32)
  out[rng.uniform(size=(n, h, w)) < 0.1] = ignore
  out[:, :8] = ignore
  return out


def scores(shape, seed, gain=2.0):
  """Class scores (N, H, W, C) float32 for the losses."""
  return (gain * np.random.RandomState(seed).standard_normal(shape)).astype(np.float32)


def gaussian_targets(shape, seed, sigma=1.0):
  """Landmark target heat maps (N, H, W, L) float32: one clipped Gaussian
  of radius 3 sigma around a random pixel for each map."""
  n, h, w, count = shape
  rng = np.random.RandomState(seed)
  cx = rng.randint(0, w, (n, 1, 1, count))
  cy = rng.randint(0, h, (n, 1, 1, count))
  dx = np.arange(w).reshape(1, 1, w, 1) - cx
  dy = np.arange(h).reshape(1, h, 1, 1) - cy
  g = np.exp(-(dx**2 + dy**2) / (2.0 * sigma**2))
  g[np.maximum(abs(dx), abs(dy)) > 3 * sigma] = 0
  return g.astype(np.float32)


def metric_inputs(shape, num_classes, seed, ignore=255, absent=(), stray=()):
  """Scores (N, H, W, C) float32 and labels (N, H, W) int32 for the
  confusion matrix.  Classes in `absent` occur neither in the labels nor as
  arg-max; label values in `stray` (outside the classes and not `ignore`)
  are put at a few pixels."""
  n, h, w = shape
  rng = np.random.RandomState(seed)
  lab = rng.randint(0, num_classes, shape).astype(np.int32)
  sco = rng.randint(0, 64, (n, h, w, num_classes)).astype(np.float32)
  # the true class wins at about 60 % of the pixels
  hit = rng.uniform(size=shape) < 0.6
  np.put_along_axis(
    sco,
    lab[..., None],
    np.where(hit[..., None], 100, np.take_along_axis(sco, lab[..., None], 3)).astype(np.float32),
    3,
  )
  for c in absent:
    lab[lab == c] = (c + 1) % num_classes
    sco[..., c] = -1
  lab[rng.uniform(size=shape) < 0.15] = ignore
  for i, v in enumerate(stray):
    lab[:, i, :5] = v
  return sco, lab


def heatmaps(n, num_landmarks, seed, size=64):
  """Score maps (N, L, size, size) float32 for decoding (note: NLHW), built
  from integers so that every copy is bit-equal.

  Map k of sample n is one of eight kinds, (k + n) % 8:
    0  plain interior peak
    1  plain interior peak whose left/right neighbours tie
    2  peak on the border (which side: k % 4)
    3  peak in a corner (which corner: k % 4)
    4  all values negative
    5  two equal maxima (the first in row-major order counts)
    6  peak on the second row / column from the border
    7  peak whose four neighbours are all equal
  """
  rng = np.random.RandomState(seed)
  shape = (n, num_landmarks, size, size)
  out = rng.randint(-(2**12), 2**12, shape).astype(np.float32) / 2**13
  px = rng.randint(4, size - 4, (n, num_landmarks, 4))
  last = size - 1
  for i in range(n):
    for k in range(num_landmarks):
      m, (x, y, x2, y2) = out[i, k], px[i, k]
      kind = (k + i) % 8
      side = k % 4
      if kind == 0:
        m[y, x] = 2
      elif kind == 1:
        m[y, x - 1] = m[y, x + 1] = 1
        m[y, x] = 2
      elif kind == 2:
        if side == 0:
          m[y, 0] = 2
        elif side == 1:
          m[y, last] = 2
        elif side == 2:
          m[0, x] = 2
        else:
          m[last, x] = 2
      elif kind == 3:
        m[last * (side // 2), last * (side % 2)] = 2
      elif kind == 4:
        m -= 1
      elif kind == 5:
        m[y, x] = m[y2, x2] = 2
      elif kind == 6:
        if side == 0:
          m[y, 1] = 2
        elif side == 1:
          m[y, last - 1] = 2
        elif side == 2:
          m[1, x] = 2
        else:
          m[last - 1, x] = 2
      else:
        m[y - 1, x] = m[y + 1, x] = m[y, x - 1] = m[y, x + 1] = 1
        m[y, x] = 2
  return out


def synthetic_points(n, num_landmarks, seed, low=20.0, high=430.0):
  """Landmark coordinates (N, L, 2) float64 with one decimal."""
  rng = np.random.RandomState(seed)
  return rng.randint(int(low * 10), int(high * 10), (n, num_landmarks, 2)) / 10.0
