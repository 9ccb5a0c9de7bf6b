"""Our network against the PyTorch one, part by part: weights -> report with numbers and a verdict.

Both get the same weights and the same seeded images `(B, H, W, 3)`, in float32 on the PyTorch side.
A difference is the largest absolute one over a part's whole output, divided by the standard
deviation of PyTorch's output, so that it does not depend on the scale of the weights.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import importlib.util
import itertools
from typing import Any

import jax
import numpy as np

from hrnet_jax.convert import from_torch
from hrnet_jax.models.network import Network, build_model
from hrnet_jax.ops.resize import Resize, resize

# Another order of summation moves float32 results by 1e-6 to 1e-5 of the standard deviation, a
# wrong interpolation or padding by more than 1e-1. In bfloat16, whose steps are 4e-3, it is a few
# times 1e-2 in all networks; its limit only catches what is broken.
LIMITS = {"float32": 1e-4, "bfloat16": 0.25}

SIZES = {
  "classification": (224, 224),
  "landmarks": (256, 256),
  "pose": (256, 192),
  "segmentation": (128, 256),
}
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
    size: height and width of the images; `SIZES` by default.
    upsample: interpolation of the PyTorch network. By default that of the task's reference; of
      `options` for segmentation, whose checkpoints differ in it.
    variables: for our network instead of the `state_dict`, such as those of a checkpoint.
    dtypes: of our network, keys of `LIMITS`.

  Returns:
    A report, JSON throughout: `passed`, `flags`, `tensors`, `limits` and `comparisons`, one for
    each dtype and image size, with `differences`, `starts_at` (the first part beyond the limit, or
    None) and `decisions`.

  Raises:
    ValueError: the weights do not fit, or the options or the size are not possible.
  """
  if importlib.util.find_spec("torch") is None:
    raise ValueError("PyTorch is not installed; pip install torch")
  from hrnet_jax.parity import torch_hrnet, torch_trace

  models = {dtype: build_model(**{**options, "dtype": dtype}) for dtype in dtypes}
  model = next(iter(models.values()))
  for key, value in {"representation": "v2", "head": "pixel"}.items():
    if options.get(key, value) != value:
      raise ValueError(f"{key} {options[key]!r} cannot be compared; there is only {value!r}")
  task, trunk = model.task, model.backbone
  upsample = upsample or torch_hrnet.UPSAMPLE.get(task, str(trunk.upsample))
  sizes = image_sizes(size or SIZES[task], {Resize(upsample), trunk.upsample})
  if variables is None:
    variables = from_torch(model, state_dict)
  reference = torch_hrnet.build(task, trunk.depth, model.head.num_outputs, upsample=upsample)
  torch_hrnet.load(reference, state_dict)
  comparisons = []
  for images in itertools.starmap(seeded_images, sizes):
    theirs = torch_trace.trace(reference, images)
    if task == "segmentation":
      theirs["enlarged"] = torch_trace.enlarge(theirs["outputs"], images.shape[1:3], upsample)
    for dtype, model in models.items():
      found = compare(task, trace(model, variables, images), theirs, LIMITS[dtype])
      comparisons.append({"dtype": dtype, "images": list(images.shape), **found})
  return {
    "passed": all(c["starts_at"] is None for c in comparisons),
    "flags": {
      "task": task,
      "depth": dataclasses.asdict(trunk.depth),
      "upsample": str(trunk.upsample),
      "upsample_torch": str(upsample),
      "bn_momentum": trunk.numerics.bn_momentum,
      "bn_momentum_torch": torch_hrnet.BN_MOMENTUM[task],
      "bn_epsilon": trunk.numerics.bn_epsilon,
      "matmul_precision": PRECISION,
    },
    "tensors": count(variables, state_dict),
    "limits": {dtype: LIMITS[dtype] for dtype in dtypes},
    "comparisons": comparisons,
  }


def image_sizes(size: tuple[int, int], upsample: set[Resize]) -> list[tuple[int, int]]:
  """The size itself and, where interpolation goes to any size, an odd one.

  Raises:
    ValueError: too small, or not a multiple of 32 although pixels are repeated.
  """
  if min(size) < 64:
    raise ValueError(f"images of {size[0]}x{size[1]} are too small; 64 is the least")
  if Resize.NEAREST not in upsample:
    return [size, (size[0] - 3, size[1] - 5)]
  if any(side % 32 for side in size):
    raise ValueError(
      f"images of {size[0]}x{size[1]}: height and width have to be multiples of 32 "
      "for a network with upsample 'nearest'"
    )
  return [size]


def seeded_images(height: int, width: int) -> np.ndarray:
  """Two images of normal noise, `(2, height, width, 3)` float32; seeds 0 and 1."""
  shape = (height, width, 3)
  draws = [np.random.RandomState(seed).standard_normal(shape) for seed in (0, 1)]
  return np.stack(draws).astype(np.float32)


def trace(
  model: Network, variables: Mapping[str, Any], images: np.ndarray
) -> dict[str, np.ndarray]:
  """Runs our network in evaluation mode and keeps what leaves each part, as `torch_trace.trace`.

  Returns:
    `stem`, `stage1`, `stage2.0` ... `outputs`, and `enlarged` for segmentation; float32.
  """
  with jax.default_matmul_precision(PRECISION):
    flat = _trace(model, variables, images)
  return {name: np.asarray(x, np.float32) for name, x in flat.items()}


@functools.partial(jax.jit, static_argnums=0)
def _trace(model: Network, variables: Mapping[str, Any], images: jax.Array) -> dict[str, jax.Array]:
  last = f"stage1_{model.backbone.depth.bottlenecks - 1}"
  parts = {"stem_2": "stem", last: "stage1"} | {stage: stage for stage in STAGES}
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
  if model.task == "segmentation":
    method = model.backbone.upsample.of_outputs
    flat["enlarged"] = resize(outputs, images.shape[1:3], method)
  return flat


def compare(
  task: str, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], limit: float
) -> dict[str, Any]:
  """Differences of all parts, in the order of the network, and of what is decided by the scores."""
  differences = [difference(part, ours[part], theirs[part], limit) for part in theirs]
  late = [d.part for d in differences if not d.passed]
  last = "enlarged" if task == "segmentation" else "outputs"
  return {
    "starts_at": late[0] if late else None,
    "differences": [dataclasses.asdict(d) for d in differences],
    "decisions": decisions(task, ours[last], theirs[last]),
  }


def difference(part: str, ours: np.ndarray, theirs: np.ndarray, limit: float) -> Difference:
  """Compares one array; what is not a number or of another shape fails."""
  if ours.shape != theirs.shape:
    raise ValueError(f"{part} has shape {ours.shape}, in PyTorch {theirs.shape}")
  largest = float(np.abs(ours - theirs).max())
  relative = largest / max(float(theirs.std()), np.finfo(np.float32).tiny)
  return Difference(part, ours.shape, largest, relative, relative <= limit)


def decisions(task: str, ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
  """How often both networks decide alike.

  Not a criterion of its own: where all scores are within the limit, another decision is only
  possible where PyTorch's two best scores are within twice the limit.
  """
  a, b = _choices(task, ours), _choices(task, theirs)
  best, expected = a.argmax(-1), b.argmax(-1)
  result: dict[str, Any] = {"count": len(best), "equal": int((best == expected).sum())}
  if task == "classification":
    five = [np.sort(np.argsort(-x, -1, kind="stable")[:, :5], -1) for x in (a, b)]
    result["equal_top5"] = int((five[0] == five[1]).all(-1).sum())
  elif task != "segmentation":
    steps = [np.stack(np.unravel_index(x, ours.shape[1:3])) for x in (best, expected)]
    result["furthest"] = int(np.abs(steps[0] - steps[1]).max())
  return result


def _choices(task: str, scores: np.ndarray) -> np.ndarray:
  """Scores as (decisions, choices), such as pixels by classes or heat maps by positions."""
  if task in ("landmarks", "pose"):
    return scores.transpose(0, 3, 1, 2).reshape(scores.shape[0] * scores.shape[3], -1)
  return scores.reshape(-1, scores.shape[-1])


def count(variables: Mapping[str, Any], state_dict: Mapping[str, np.ndarray]) -> dict[str, int]:
  """How many tensors and values were used."""
  leaves = {name: jax.tree.leaves(part) for name, part in variables.items()}
  return {
    "in_file": len(state_dict),
    "used": sum(map(len, leaves.values())),
    "parameters": sum(x.size for x in leaves["params"]),
    "running_statistics": sum(x.size for x in leaves["batch_stats"]),
  }
