"""The way through both stages: what is learned, what is found, and what does not break it."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.tasks.detection.sampling import TrueObjects
from tests.helpers import toy, toy_detection

compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
SIZE, COUNT, CLASSES = 64, 100, 3
TRUNK = {key: toy.MODEL[key] for key in ("width", "modules", "blocks", "bottlenecks")}


def make(method="mask_rcnn", **options):
  options = {"roi_batch_size": 16, "norm_eval": False, "max_detections": 10} | options
  return hrnet_jax.build_model(
    task="detection", method=method, num_classes=CLASSES, bottleneck_width=4, **TRUNK, **options
  )


def variables_of(model):
  image = jnp.zeros((1, SIZE, SIZE, 3))
  return compiled(lambda: model.init(jax.random.key(0), image, train=False))()


@pytest.mark.parametrize(
  ("variant", "method", "count"),
  [
    ("w18", "faster_rcnn", 27_486_776 - 4_100),
    ("w32", "faster_rcnn", 47_283_812 - 4_100),
    ("w18", "mask_rcnn", 30_130_313 - 4_100 - 257),
    ("w40", "cascade_rcnn", 91_167_822),
    ("w48", "cascade_mask_rcnn", 118_933_057 - 3 * 257),
  ],
)
def test_parameters_are_as_many_as_the_references(variant, method, count):
  """Their counts have a box and a mask for the background as well, which no loss reaches."""
  model = hrnet_jax.build_model(task="detection", method=method, num_classes=80, variant=variant)
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False)
  )
  assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes["params"])) == count


def truth_of(numbers):
  """Objects of images, as many as the numbers say, padded with what no loss may see."""
  rng = np.random.default_rng(0)
  corner = rng.uniform(0, SIZE - 24, (len(numbers), COUNT, 2))
  boxes = np.concatenate([corner, corner + rng.uniform(8, 24, corner.shape)], -1)
  valid = np.arange(COUNT) < np.array(numbers)[:, None]
  return TrueObjects(
    boxes=jnp.asarray(np.where(valid[..., None], boxes, 0), jnp.float32),
    classes=jnp.asarray(rng.integers(0, CLASSES, valid.shape), jnp.int32),
    valid=jnp.asarray(valid),
    masks=jnp.asarray(255 * rng.integers(0, 2, (*valid.shape, 16, 16)), jnp.uint8),
  )


@pytest.fixture(scope="module")
def learned():
  """What is learned from images with 5, no and 100 objects, by a cascade with masks."""
  model = make("cascade_mask_rcnn")
  variables = variables_of(model)
  images = jax.random.normal(jax.random.key(1), (3, SIZE, SIZE, 3))
  size = jnp.array([[64.0, 64.0], [40.0, 64.0], [64.0, 33.0]])
  truth = truth_of([5, 0, 100])

  @compiled
  def run(key):
    return model.apply(
      variables,
      images,
      train=True,
      size=size,
      truth=truth,
      rngs={"sampling": key},
      mutable=["batch_stats"],
    )[0]

  return [jax.tree.map(np.asarray, run(jax.random.key(k))) for k in (0, 0, 1)]


@pytest.mark.slow
def test_the_same_key_takes_the_same_candidates(learned):
  first, again, other = learned
  jax.tree.map(np.testing.assert_array_equal, first, again)
  assert (first.proposals.targets != other.proposals.targets).any()


@pytest.mark.slow
def test_everything_that_is_learned_is_finite(learned):
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(learned[0]))


@pytest.mark.slow
def test_images_without_objects_learn_the_ground(learned):
  proposals, stages = learned[0]
  assert proposals.valid[1].any()
  assert not proposals.positive[1].any()
  for stage in stages:
    assert not stage.positive[1].any()
    assert (stage.labels[1] == CLASSES).all()


@pytest.mark.slow
def test_objects_are_found_up_to_the_quota(learned):
  proposals, stages = learned[0]
  assert proposals.positive[[0, 2]].any(1).all()
  for stage in stages:
    assert stage.positive[0].sum() >= 1
    assert stage.positive[2].sum() == 4  # a quarter of 16 regions
    assert (stage.labels[2, :4] < CLASSES).all()
    assert (stage.valid[[0, 2], :4]).all()


@pytest.mark.slow
def test_masks_are_learned_of_the_first_regions(learned):
  for stage in learned[0].stages:
    assert stage.mask_logits.shape == (3, 4, 28, 28, CLASSES)
    assert set(np.unique(stage.mask_targets)) == {0.0, 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("norm_eval", [False, True])
def test_norms_keep_their_statistics_if_asked_to(norm_eval):
  model = make("faster_rcnn", norm_eval=norm_eval)
  variables = variables_of(model)

  @compiled
  def run(images):
    _, updates = model.apply(
      variables,
      images,
      train=True,
      truth=truth_of([3])._replace(masks=None),
      rngs={"sampling": jax.random.key(0)},
      mutable=["batch_stats"],
    )
    return updates["batch_stats"]

  after = run(jax.random.normal(jax.random.key(1), (1, SIZE, SIZE, 3)))
  pairs = zip(jax.tree.leaves(variables["batch_stats"]), jax.tree.leaves(after), strict=True)
  assert all((a == b).all() for a, b in pairs) == norm_eval


@pytest.mark.slow
def test_both_ways_to_read_regions_find_the_same():
  models = [make("faster_rcnn", min_score=0.0, roi_align=x) for x in ("gather", "matrix")]
  variables = toy_detection.random_variables(models[0])
  images = jax.random.normal(jax.random.key(1), (1, SIZE, SIZE, 3))
  found, other = (
    compiled(lambda v, x, model=model: model.apply(v, x, train=False))(variables, images)
    for model in models
  )
  np.testing.assert_allclose(found.detections.boxes, other.detections.boxes, atol=1e-3)
  np.testing.assert_allclose(found.detections.scores, other.detections.scores, atol=1e-5)
  np.testing.assert_array_equal(found.detections.classes, other.detections.classes)
  assert found.detections.valid.all()


@pytest.mark.slow
def test_detections_lie_in_the_image():
  model = make("mask_rcnn", min_score=0.0)
  size = jnp.array([[40.0, 64.0]])
  found = compiled(lambda v, x: model.apply(v, x, train=False, size=size))(
    variables_of(model), jax.random.normal(jax.random.key(1), (1, SIZE, SIZE, 3))
  )
  boxes, scores = (np.asarray(x[0]) for x in (found.detections.boxes, found.detections.scores))
  assert found.detections.valid.all()
  assert (np.diff(scores) <= 0).all()
  assert (boxes >= 0).all()
  assert (boxes[:, 2] <= 64).all()
  assert (boxes[:, 3] <= 40).all()
  assert ((found.masks >= 0) & (found.masks <= 1)).all()
