"""RoIAlign equals published vectors and a loop over points; its gradient, finite differences."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.ops.roi_align import RoiAlignMethod, levels_of, roi_align

MODERN, LEGACY = Convention.MODERN, Convention.LEGACY
STRIDES = (4, 8, 16, 32)
both = pytest.mark.parametrize("convention", list(Convention))
methods = pytest.mark.parametrize("method", list(RoiAlignMethod))


# Without optimisation the programs of these tests compile faster.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def read(features, boxes, size, convention, strides=STRIDES, method=RoiAlignMethod.GATHER):
  return roi_align(features, boxes, size, convention=convention, strides=strides, method=method)


run = compiled(read, static_argnames=("size", "convention", "strides", "method"))


def plain_point(image, y, x):
  height, width, _ = image.shape
  if y < -1 or y > height or x < -1 or x > width:
    return np.zeros(image.shape[2])
  y, x = max(y, 0.0), max(x, 0.0)
  y0, x0 = int(y), int(x)
  if y0 >= height - 1:
    y0, y = height - 1, height - 1
  if x0 >= width - 1:
    x0, x = width - 1, width - 1
  y1, x1, fy, fx = min(y0 + 1, height - 1), min(x0 + 1, width - 1), y - y0, x - x0
  above = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
  below = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
  return above * (1 - fy) + below * fy


def plain_roi_align(features, boxes, size, convention):
  """One image: `(h, w, C)` of each level, `(R, 4)`."""
  out = np.zeros((len(boxes), size, size, features[0].shape[-1]))
  o, shift = (1, 0) if convention is LEGACY else (0, 0.5)
  for r, (x0, y0, x1, y1) in enumerate(boxes.astype(np.float64)):
    scale = np.sqrt(max(x1 - x0 + o, 0) * max(y1 - y0 + o, 0)) / 56 + 1e-6
    k = int(np.clip(np.floor(np.log2(scale)), 0, 3))
    left, top = x0 / STRIDES[k] - shift, y0 / STRIDES[k] - shift
    width, height = (x1 + o - x0) / STRIDES[k] / size, (y1 + o - y0) / STRIDES[k] / size
    for i, j, a, b in np.ndindex(size, size, 2, 2):
      y, x = top + (i + (a + 0.5) / 2) * height, left + (j + (b + 0.5) / 2) * width
      out[r, i, j] += plain_point(features[k], y, x) / 4
  return out


def case(seed, batch=1, channels=3, regions=12, height=96, width=128):
  rng = np.random.default_rng(seed)
  features = [
    rng.standard_normal((batch, height // s, width // s, channels)).astype(np.float32)
    for s in STRIDES
  ]
  centre = rng.uniform(-20, 148, (batch, regions, 2))
  size = np.exp(rng.uniform(0, np.log(600), (batch, regions, 2)))
  boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
  boxes[:, 0] = 0  # padding
  boxes[:, 1] = [50, 40, 50, 90]  # no area
  boxes[:, 2] = [500, 500, 600, 700]  # outside
  boxes[:, 3] = np.round(boxes[:, 3])
  return features, boxes.astype(np.float32)


@pytest.mark.parametrize(
  ("box", "convention", "expected"),
  [
    ((10, 6, 41, 29), LEGACY, [[51.5, 103.5], [81.5, 133.5]]),
    ((10, 6, 41, 29), MODERN, [[40.875, 86.5], [69.625, 115.25]]),
    ((44, 40, 75, 71), LEGACY, [[290.0, 172.5], [160.0, 93.75]]),
    ((44, 40, 75, 71), MODERN, [[270.25, 169.6875], [149.65625, 92.109375]]),
  ],
)
@methods
def test_published_vectors(box, convention, expected, method):
  y, x = np.mgrid[:16, :16].astype(np.float32)
  image = (x**2 + 10 * y)[None, :, :, None]
  out = run([image], np.float32([[box]]), 2, convention, (4,), method)
  np.testing.assert_allclose(out[0, 0, :, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
  ("corner", "legacy", "modern"),
  [(0, 0, 0), (111, 1, 0), (112, 1, 1), (223, 2, 1), (447, 3, 2), (448, 3, 3), (9999, 3, 3)],
)
def test_published_levels(corner, legacy, modern):
  box = jnp.array([0, 0, corner, corner], jnp.float32)
  assert levels_of(box, LEGACY) == legacy
  assert levels_of(box, MODERN) == modern


def test_a_millionth_below_the_next_level_is_that_level():
  sides = jnp.array([112 - 1e-5, 112 - 1e-3], jnp.float32)
  assert sides[0] < 112
  boxes = jnp.stack([0 * sides, 0 * sides, sides, sides], axis=1)
  assert levels_of(boxes, MODERN).tolist() == [1, 0]


@both
@methods
@settings(deadline=None, max_examples=8, database=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([2, 7]))
def test_all_levels_equal_the_loop(convention, method, seed, size):
  features, boxes = case(seed)
  expected = plain_roi_align([x[0] for x in features], boxes[0], size, convention)
  out = run(features, boxes, size, convention, method=method)
  np.testing.assert_allclose(out[0], expected, atol=2e-4)
  assert not out[0, 2].any()
  assert expected[3:].any()


def test_up_to_a_cell_outside_the_border_is_repeated():
  image = np.full((1, 4, 4, 1), 7, np.float32)
  # Bins of a cell with points at 1/4 and 3/4; cells end at -1 and at 4.
  boxes = np.float32([[[-4, 0, 0, 4], [-8, 0, -4, 4], [12, 0, 16, 4], [16, 0, 20, 4]]])
  out = run([image], boxes, 1, LEGACY, (4,))[0, :, 0, 0, 0]
  plain = [plain_roi_align([image[0]] * 4, boxes[0], 1, LEGACY)[:, 0, 0, 0]]
  np.testing.assert_allclose(out, plain[0], atol=1e-5)
  assert out[0] == 7
  assert out[3] == 0


@both
@methods
def test_the_gradient_is_that_of_the_features(convention, method):
  features, boxes = case(3, batch=2, channels=2, regions=20)
  with jax.enable_x64(True):
    features = [jnp.asarray(x, jnp.float64) for x in features]
    boxes = jnp.asarray(boxes, jnp.float64)
    weights = np.random.default_rng(0).standard_normal((2, 20, 3, 3, 2))

    def squares(features, boxes):
      # Quadratic: central differences are exact but for rounding.
      return (weights * read(features, boxes, 3, convention, method=method) ** 2).sum()

    loss, slope = compiled(squares), compiled(jax.grad(squares, (0, 1)))
    gradients, of_boxes = slope(features, boxes)
    assert not of_boxes.any()
    rng = np.random.default_rng(1)
    for k, gradient in enumerate(gradients):
      assert np.isfinite(gradient).all()
      index = tuple(np.argwhere(np.asarray(gradient))[rng.integers(np.count_nonzero(gradient))])
      around = [
        [*features[:k], features[k].at[index].add(d), *features[k + 1 :]] for d in (0.1, -0.1)
      ]
      up, down = (loss(x, boxes) for x in around)
      np.testing.assert_allclose((up - down) / 0.2, gradient[index], rtol=1e-9)
    # The whole gradient along one direction.
    direction = [jnp.asarray(rng.standard_normal(x.shape)) for x in features]
    up, down = (
      loss([x + d * v for x, v in zip(features, direction, strict=True)], boxes)
      for d in (0.1, -0.1)
    )
    along = sum((g * v).sum() for g, v in zip(gradients, direction, strict=True))
    np.testing.assert_allclose((up - down) / 0.2, along, rtol=1e-9)


@methods
def test_half_precision_adds_up_in_single(method):
  features, boxes = case(5, regions=70)
  half = [jnp.asarray(x, jnp.bfloat16) for x in features]
  exact = [x.astype(jnp.float32) for x in half]
  out = run(half, boxes, 7, MODERN, method=method)
  assert out.dtype == jnp.bfloat16
  expected = run(exact, boxes, 7, MODERN, method=method)
  np.testing.assert_array_equal(out, expected.astype(jnp.bfloat16))
  total = compiled(
    jax.grad(lambda x, b: read(x, b, 7, MODERN, method=method).sum(dtype=jnp.float32))
  )
  for a, b in zip(total(half, boxes), total(exact, boxes), strict=True):
    np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=2**-7, atol=1e-6)


@methods
def test_each_device_reads_its_own_images(method):
  features, boxes = case(6, batch=8)
  mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  put = functools.partial(jax.device_put, device=NamedSharding(mesh, P("data")))
  f = compiled(jax.value_and_grad(lambda x, b: (read(x, b, 7, MODERN, method=method) ** 2).sum()))
  one = f([jnp.asarray(x) for x in features], jnp.asarray(boxes))
  arguments = [put(x) for x in features], put(boxes)
  eight = f(*arguments)
  np.testing.assert_allclose(eight[0], one[0], rtol=1e-5)
  for a, b in zip(eight[1], one[1], strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
  program = f.lower(*arguments).compile().as_text()
  assert "all-gather" not in program
  assert "all-to-all" not in program


def test_bad_arguments_are_named():
  features, boxes = case(0)
  with pytest.raises(ValueError, match="has 3 levels, but 4 strides"):
    roi_align(features[:3], boxes, 7, convention=MODERN)
  with pytest.raises(ValueError, match="'scatter' is not a valid RoiAlignMethod"):
    roi_align(features, boxes, 7, convention=MODERN, method="scatter")
