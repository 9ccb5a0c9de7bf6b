"""PyTorch as a rival: `case, folder of arrays -> inference and train step`, in several variants.

Images are normalised float32 tensors in the rival's layout before the clock runs, and heat maps are
drawn, as the loader of the reference would hand them over. Needs the extra `torch`.
"""

from collections.abc import Callable, Mapping
import os
import pathlib
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks import apart, cases

ALONE_MIB = apart.resident_mib()  # before our package is imported for the table of sizes

from hrnet_jax.ops.normalize import MEAN, STD  # noqa: E402
from hrnet_jax.parity import torch_hrnet  # noqa: E402

# Scale of the norm that ends a residual block. With PyTorch's one, random networks are so sensitive
# that its own two layouts differ by more than is allowed here; trained ones are not.
_BLOCK_SCALE = 0.1
FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def random_weights(case: cases.Case, images: np.ndarray, seed: int) -> cases.Arrays:
  """Seeded weights of PyTorch whose running statistics are those of the images.

  So every layer has activations as a trained network has.
  """
  torch.manual_seed(seed)
  network = _build(case, bn_momentum=1.0)
  for module in network.modules():
    if isinstance(module, torch_hrnet.Residual):
      torch.nn.init.constant_(getattr(module, f"bn{module.count}").weight, _BLOCK_SCALE)
  with torch.inference_mode():
    network.train()(_images(images, "nchw"))
  return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def inference(
  case: Mapping[str, Any], folder: str, *, answer: str, layout: str, compiled: bool
) -> apart.Rival:
  """The network's outputs for normalised images, in inference mode.

  Args:
    case: values of a `Case`.
    folder: with the arrays of `cases.write`.
    answer: a file for the outputs, channels last.
    layout: a key of `FORMATS`.
    compiled: whether `torch.compile` is used.
  """
  case = cases.Case(**case)
  foreign = _foreign_mib()
  network = _network(case, folder, layout).eval()
  images = _images(cases.read(folder, cases.INPUTS)["image"], layout)
  call = torch.compile(network) if compiled else network

  def run() -> Tensor:
    with torch.inference_mode():
      return call(images)

  start = time.perf_counter()
  outputs = run()
  facts = {"first_call_seconds": time.perf_counter() - start}
  np.save(pathlib.Path(folder) / answer, outputs.movedim(1, -1).contiguous().numpy())
  del outputs
  return apart.Rival(facts, apart.timed(run), foreign)


def training(
  case: Mapping[str, Any], folder: str, *, steps: int, layout: str, compiled: bool
) -> apart.Rival:
  """Loss, gradients and SGD.

  Args:
    case, folder, layout, compiled: as `inference`.
    steps: whose losses are reported, the first one included.
  """
  case = cases.Case(**case)
  foreign = _foreign_mib()
  network, arrays = _network(case, folder, layout).train(), cases.read(folder, cases.INPUTS)
  images, wanted = _images(arrays["image"], layout), _wanted(case, arrays, layout)
  rates = {"lr": cases.LEARNING_RATE, "momentum": cases.MOMENTUM}
  optimizer = torch.optim.SGD(network.parameters(), **rates, weight_decay=cases.WEIGHT_DECAY)
  measure = LOSSES[case.task]

  def forward(images: Tensor, wanted: Tensor) -> Tensor:
    return measure(network(images), wanted)

  call = torch.compile(forward) if compiled else forward

  def run() -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = call(images, wanted)
    loss.backward()
    optimizer.step()
    return float(loss.detach())

  start = time.perf_counter()
  losses = [run()]
  seconds = time.perf_counter() - start
  losses += [run() for _ in range(steps - 1)]
  facts = {"first_call_seconds": seconds, "losses": losses}
  return apart.Rival(facts, apart.timed(run), foreign)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
  """Of every pixel, with logits enlarged to the labels."""
  mode, aligned = torch_hrnet.MODES[cases.UPSAMPLE]
  size = tuple(labels.shape[1:])
  logits = functional.interpolate(logits, size=size, mode=mode, align_corners=aligned)
  return functional.cross_entropy(logits, labels, ignore_index=cases.IGNORE)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
  "classification": functional.cross_entropy,
  "landmarks": functional.mse_loss,
  "segmentation": _cross_entropy,
}


def _foreign_mib() -> float:
  """What importing our package has added to the process; a PyTorch project would not have it."""
  torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
  return apart.resident_mib() - ALONE_MIB


def _build(case: cases.Case, bn_momentum: float | None = None) -> torch_hrnet.Trunk:
  depth = case.network.get("variant") or torch_hrnet.HRNetConfig(**_tuples(case.network))
  upsample = cases.UPSAMPLE if case.task == "segmentation" else None
  options = {"upsample": upsample, "bn_momentum": bn_momentum}
  return torch_hrnet.build(case.task, depth, case.outputs, **options)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
  return {key: tuple(x) if isinstance(x, list) else x for key, x in fields.items()}


def _network(case: cases.Case, folder: str, layout: str) -> torch_hrnet.Trunk:
  network = _build(case)
  torch_hrnet.load(network, cases.read(folder, cases.WEIGHTS))
  return network.to(memory_format=FORMATS[layout])


def _images(images: np.ndarray, layout: str) -> Tensor:
  """uint8 `(B, H, W, 3)` -> normalised `(B, 3, H, W)`."""
  x = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
  return _channels_second(x, layout)


def _wanted(case: cases.Case, arrays: cases.Arrays, layout: str) -> Tensor:
  if case.task == "landmarks":
    return _channels_second(arrays["targets"], layout)
  return torch.from_numpy(arrays["label"].astype(np.int64))


def _channels_second(x: np.ndarray, layout: str) -> Tensor:
  return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=FORMATS[layout])
