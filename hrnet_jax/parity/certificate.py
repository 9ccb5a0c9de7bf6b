"""Our network against the PyTorch one, part by part: weights -> report with numbers and a verdict.

Both get the same weights and the same seeded images `(B, H, W, C)`, in float32 on the PyTorch side.
A difference is the largest absolute one over a part's whole output, divided by the standard
deviation of PyTorch's output, so that it does not depend on the scale of the weights. In the
functions, `actual` is what our network gives and `expected` what PyTorch's does.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import importlib.util
from typing import Any

import jax
import numpy as np

from hrnet_jax.convert import from_torch
from hrnet_jax.errors import UserError
from hrnet_jax.models.network import Network, build_model
from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.parity.comparison import TorchComparison, comparison_of

# Another order of summation moves float32 results by 1e-6 to 1e-5 of the standard deviation, a
# wrong interpolation or padding by more than 1e-1. In bfloat16, whose steps are 4e-3, it is a few
# times 1e-2 in all networks; its limit only catches what is broken.
LIMITS = {"float32": 1e-4, "bfloat16": 0.25}

PRECISION = "highest"  # on accelerators, float32 products are float32 only on demand
STAGES = ("stage2", "stage3", "stage4")


@dataclasses.dataclass(frozen=True)
class Difference:
  """How far one part's output is off.

  Attributes:
    part: `stem`, `stage1`, `stage2.0` (finest branch) ... `outputs`, and `enlarged` for scores at
      the size of the image.
    shape: of the output, `(B, h, w, C)` or `(B, C)`.
    largest: absolute difference.
    relative: the same divided by PyTorch's standard deviation.
    passed: whether it is within the limit.
  """

  part: str
  shape: tuple[int, ...]
  largest: float
  relative: float
  passed: bool


def certify(
  options: Mapping[str, Any],
  state_dict: Mapping[str, np.ndarray],
  *,
  size: tuple[int, int] | None = None,
  upsample: str | None = None,
  variables: Mapping[str, Any] | None = None,
  dtypes: Sequence[str] = tuple(LIMITS),
) -> dict[str, Any]:
  """Compares every part of our network with the PyTorch one.

  Args:
    options: the keywords of `build_model`, as in `config.model`; `dtype` is replaced.
    state_dict: the reference's names -> arrays, for both networks.
    size: height and width of the images; the task has a default.
    upsample: interpolation of the PyTorch network. By default that of the task's reference, or of
      `options` where the reference's checkpoints differ in it.
    variables: for our network instead of the `state_dict`, such as those of a checkpoint.
    dtypes: of our network, keys of `LIMITS`.

  Returns:
    A report, JSON throughout: `passed`, `flags`, `tensors`, `limits`, `decision` and
    `comparisons`, one for each dtype and image size, with `differences`, `starts_at` (the first
    part beyond the limit, or None) and `decisions`.

  Raises:
    UserError: the weights do not fit, or the options or the size are not possible.
  """
  if importlib.util.find_spec("torch") is None:
    raise UserError("PyTorch is not installed; pip install 'torch>=2.10'")
  from hrnet_jax.parity import torch_hrnet, torch_trace

  models = {dtype: build_model(**{**options, "dtype": dtype}) for dtype in dtypes}
  model = next(iter(models.values()))
  comparison = comparison_of(model.task)
  for key, value in comparison.only.items():
    if options.get(key, value) != value:
      raise UserError(f"{key} {options[key]!r} cannot be compared; there is only {value!r}")
  backbone = model.backbone
  upsample = upsample or comparison.upsample or str(backbone.upsample)
  sizes = image_sizes(size or comparison.size, {Resize(upsample), backbone.upsample})
  if variables is None:
    variables = from_torch(model, state_dict)
  reference = torch_hrnet.build(
    model.task,
    backbone.config,
    model.head.num_outputs,
    upsample=upsample,
    channels=backbone.channels,
  )
  torch_hrnet.load(reference, state_dict)
  comparisons = []
  for height, width in sizes:
    images = seeded_images(height, width, backbone.channels)
    expected = torch_trace.trace(reference, images)
    if comparison.enlarges:
      outputs = expected["outputs"]
      expected["enlarged"] = torch_trace.enlarge(outputs, images.shape[1:3], upsample)
    for dtype, model in models.items():
      actual = trace(model, variables, images, enlarge=comparison.enlarges)
      found = compare(comparison, actual, expected, LIMITS[dtype])
      comparisons.append({"dtype": dtype, "images": list(images.shape), **found})
  return {
    "passed": all(c["starts_at"] is None for c in comparisons),
    "flags": {
      "task": model.task,
      "depth": dataclasses.asdict(backbone.config),
      "upsample": str(backbone.upsample),
      "upsample_torch": str(upsample),
      "bn_momentum": backbone.layer_config.bn_momentum,
      "bn_momentum_torch": comparison.bn_momentum,
      "bn_epsilon": backbone.layer_config.norm_epsilon,
      "matmul_precision": PRECISION,
    },
    "tensors": count(variables, state_dict),
    "limits": {dtype: LIMITS[dtype] for dtype in dtypes},
    "decision": comparison.decision,
    "comparisons": comparisons,
  }


def image_sizes(size: tuple[int, int], upsample: set[Resize]) -> list[tuple[int, int]]:
  """The size itself and, where interpolation goes to any size, an odd one.

  Raises:
    UserError: too small, or not a multiple of 32 although pixels are repeated.
  """
  if min(size) < 64:
    raise UserError(f"images of {size[0]}x{size[1]} are too small; 64 is the least")
  if Resize.NEAREST not in upsample:
    return [size, (size[0] - 3, size[1] - 5)]
  if any(side % 32 for side in size):
    raise UserError(
      f"images of {size[0]}x{size[1]}: height and width have to be multiples of 32 "
      "for a network with upsample 'nearest'"
    )
  return [size]


def seeded_images(height: int, width: int, channels: int) -> np.ndarray:
  """Two images of normal noise, `(2, height, width, channels)` float32; seeds 0 and 1."""
  shape = (height, width, channels)
  draws = [np.random.RandomState(seed).standard_normal(shape) for seed in (0, 1)]
  return np.stack(draws).astype(np.float32)


def trace(
  model: Network, variables: Mapping[str, Any], images: np.ndarray, *, enlarge: bool
) -> dict[str, np.ndarray]:
  """Runs our network in evaluation mode and keeps the output of each part, as `torch_trace.trace`.

  Returns:
    `stem`, `stage1`, `stage2.0` ... `outputs`, and `enlarged` if asked for; float32.
  """
  with jax.default_matmul_precision(PRECISION):
    flat = _trace(model, variables, images, enlarge)
  return {name: np.asarray(x, np.float32) for name, x in flat.items()}


@functools.partial(jax.jit, static_argnums=(0, 3))
def _trace(
  model: Network, variables: Mapping[str, Any], images: jax.Array, enlarge: bool
) -> dict[str, jax.Array]:
  parts = {"stem_2": "stem", "stage1": "stage1"} | {stage: stage for stage in STAGES}
  wanted = {("backbone", name) for name in parts}
  outputs, state = model.apply(
    variables, images, train=False, capture_intermediates=lambda module, _: module.path in wanted
  )
  captured, flat = state["intermediates"]["backbone"], {}
  for name, part in parts.items():
    (value,) = captured[name]["__call__"]
    maps = {f"{part}.{i}": x for i, x in enumerate(value)} if name in STAGES else {part: value}
    flat |= maps
  flat["outputs"] = outputs
  if enlarge:
    flat["enlarged"] = resize(outputs, images.shape[1:3], model.backbone.upsample.for_outputs)
  return flat


def compare(
  comparison: TorchComparison,
  actual: Mapping[str, np.ndarray],
  expected: Mapping[str, np.ndarray],
  limit: float,
) -> dict[str, Any]:
  """Differences of all parts in the order of the network, and of what the scores decide.

  The decisions are no criterion of their own: where all scores are within the limit, another one is
  only possible where PyTorch's two best scores are within twice the limit.
  """
  differences = [difference(part, actual[part], expected[part], limit) for part in expected]
  late = [d.part for d in differences if not d.passed]
  last = "enlarged" if comparison.enlarges else "outputs"
  return {
    "starts_at": late[0] if late else None,
    "differences": [dataclasses.asdict(d) for d in differences],
    "decisions": comparison.decide(actual[last], expected[last]),
  }


def difference(part: str, actual: np.ndarray, expected: np.ndarray, limit: float) -> Difference:
  """Compares one array; what is not a number fails.

  Raises:
    ValueError: the shapes differ.
  """
  if actual.shape != expected.shape:
    raise ValueError(f"{part} has shape {actual.shape}, in PyTorch {expected.shape}")
  largest = float(np.abs(actual - expected).max())
  relative = largest / max(float(expected.std()), np.finfo(np.float32).tiny)
  return Difference(part, actual.shape, largest, relative, relative <= limit)


def count(variables: Mapping[str, Any], state_dict: Mapping[str, np.ndarray]) -> dict[str, int]:
  """Counts the tensors and values that were used."""
  leaves = {name: jax.tree.leaves(part) for name, part in variables.items()}
  return {
    "in_file": len(state_dict),
    "used": sum(map(len, leaves.values())),
    "parameters": sum(x.size for x in leaves["params"]),
    "running_statistics": sum(x.size for x in leaves["batch_stats"]),
  }
