"""PyTorch as a contender: inference and train step in several variants, and a DataLoader.

Images are normalised float32 tensors in the contender's layout before the clock runs, and heat maps
are drawn, as the loader of the reference would hand them over. Needs the extra `torch`.
"""

from collections.abc import Mapping, Sequence
import os
import pathlib
import random
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import data

from benchmarks.worker import Contender, resident_mib, timed

ALONE_MIB = resident_mib()  # before our package is imported for the table of sizes

import cv2  # noqa: E402

from benchmarks import cases, jax_side  # noqa: E402
from hrnet_jax import registry  # noqa: E402
from hrnet_jax.data import images as image_files  # noqa: E402
from hrnet_jax.data.inputs import open_dataset  # noqa: E402
from hrnet_jax.ops.normalize import MEAN, STD  # noqa: E402
from hrnet_jax.parity import torch_hrnet  # noqa: E402

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
CHECKED = 8  # examples of the DataLoader that are compared with ours
# Scale of the norm that ends a residual block. With PyTorch's one, random networks are so sensitive
# that its own two layouts differ by more than is allowed here; trained ones are not.
_BLOCK_SCALE = 0.1
_EQUAL = 1e-5  # of normalised values; one grey level is 0.017
_ENDLESS = 10**7
Example = tuple[np.ndarray, np.ndarray]


def write_case(config: Mapping[str, Any], folder: str, seed: int = 0) -> Contender:
  """Writes the inputs and weights of a comparison; facts: `image`, the shape of the images."""
  config = cases.from_json(config)
  arrays = cases.make_inputs(config, seed)
  np.savez(pathlib.Path(folder) / cases.INPUTS, **arrays)
  weights = random_weights(config, arrays["image"], seed)
  np.savez(pathlib.Path(folder) / cases.WEIGHTS, **weights)
  return Contender({"image": arrays["image"].shape}, lambda calls: 0.0)


def random_weights(config: Any, images: np.ndarray, seed: int) -> cases.Arrays:
  """Seeded weights of PyTorch whose running statistics are those of the images.

  So every layer has activations as a trained network has.
  """
  torch.manual_seed(seed)
  network = build(config, bn_momentum=1.0)
  for module in network.modules():
    if isinstance(module, torch_hrnet.Residual):
      torch.nn.init.constant_(getattr(module, f"bn{module.count}").weight, _BLOCK_SCALE)
  with torch.inference_mode():
    network.train()(to_tensor(images, "nchw"))
  return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def build(config: Any, **options: Any) -> torch_hrnet.Trunk:
  """The PyTorch network of a config, with random weights."""
  model = cases.build_network(config)
  options |= {"upsample": config.model.upsample}
  return torch_hrnet.build(model.task, model.backbone.config, model.head.num_outputs, **options)


def inference(
  config: Mapping[str, Any], folder: str, *, answer: str, layout: str, compiled: bool
) -> Contender:
  """The network's outputs for normalised images, in inference mode.

  Args:
    config: values of a case's config.
    folder: with the arrays of `write_case`.
    answer: a file for the outputs, channels last.
    layout: a key of `FORMATS`.
    compiled: whether `torch.compile` is used.
  """
  foreign = _foreign_mib()
  network = _network(cases.from_json(config), folder, layout).eval()
  images = to_tensor(cases.read(folder, cases.INPUTS)["image"], layout)
  call = torch.compile(network) if compiled else network

  def run() -> Tensor:
    with torch.inference_mode():
      return call(images)

  start = time.perf_counter()
  outputs = run()
  facts = {"first_call_seconds": time.perf_counter() - start}
  np.save(pathlib.Path(folder) / answer, outputs.movedim(1, -1).contiguous().numpy())
  del outputs
  return Contender(facts, timed(run), foreign)


def training(
  config: Mapping[str, Any], folder: str, *, steps: int, layout: str, compiled: bool
) -> Contender:
  """Loss, gradients and SGD.

  Args:
    config, folder, layout, compiled: as `inference`.
    steps: whose losses are reported, the first one included.
  """
  config, foreign = cases.from_json(config), _foreign_mib()
  network, arrays = _network(config, folder, layout).train(), cases.read(folder, cases.INPUTS)
  images, truth = to_tensor(arrays["image"], layout), _truth(arrays, layout)
  rates = {"lr": config.optimizer.learning_rate, "momentum": config.optimizer.momentum}
  decay = config.optimizer.weight_decay
  optimizer = torch.optim.SGD(network.parameters(), **rates, weight_decay=decay)

  def forward(images: Tensor, truth: Tensor) -> Tensor:
    return measure_loss(config, network(images), truth)

  call = torch.compile(forward) if compiled else forward

  def run() -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = call(images, truth)
    loss.backward()
    optimizer.step()
    return float(loss.detach())

  start = time.perf_counter()
  losses = [run()]
  seconds = time.perf_counter() - start
  losses += [run() for _ in range(steps - 1)]
  return Contender({"first_call_seconds": seconds, "losses": losses}, timed(run), foreign)


def measure_loss(config: Any, outputs: Tensor, truth: Tensor) -> Tensor:
  """The loss of a config's task, told from the truth.

  Args:
    config: the experiment.
    outputs: of the network.
    truth: heat maps, whose mean squared error it is; or labels of images, or of pixels, at whose
      size the cross entropy is taken.
  """
  if truth.is_floating_point():
    return functional.mse_loss(outputs, truth)
  if truth.ndim == 1:
    return functional.cross_entropy(outputs, truth)
  mode, aligned = torch_hrnet.MODES[config.model.upsample]
  size = tuple(truth.shape[1:])
  outputs = functional.interpolate(outputs, size=size, mode=mode, align_corners=aligned)
  return functional.cross_entropy(outputs, truth, ignore_index=config.loss.ignore)


def to_tensor(images: np.ndarray, layout: str) -> Tensor:
  """uint8 `(B, H, W, 3)` -> normalised `(B, 3, H, W)` in a layout of `FORMATS`."""
  x = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
  return _channels_second(x, layout)


class CamvidFiles(data.Dataset):
  """Photos and labels of a split in CamVid's folders, with the augmentation of a config.

  Written after the order of operations of the reference's lib/datasets/base_dataset.py
  (`gen_sample`), with its libraries: OpenCV on the host, float32 images `(3, h, w)` and int32
  labels `(h, w)` to the network.
  """

  def __init__(self, folder: pathlib.Path, split: str, transform: Any):
    """Takes the numbers of our training transform, none of its code."""
    self._photos = {path.stem: path for path in sorted((folder / split).iterdir())}
    self._names = list(self._photos)
    self._labels = folder / f"{split}annot"
    self._crop, self._base = transform.crop_size, transform.base_size
    self._scales, self._ignore = transform.scale_factor, transform.ignore

  def __len__(self) -> int:
    return len(self._photos)

  def __getitem__(self, index: int) -> Example:
    image, label = self.read(self._names[index])
    image, label = self.scale(image, label, 0.5 + random.randint(0, self._scales) / 10.0)
    x = random.randint(0, image.shape[1] - self._crop[1])
    y = random.randint(0, image.shape[0] - self._crop[0])
    return self.finish(image, label, x, y, np.random.choice(2) == 0)  # noqa: NPY002

  def read(self, name: str) -> Example:
    """BGR photo `(H, W, 3)` and label `(H, W)`, both uint8."""
    label = cv2.imread(str(self._labels / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    return cv2.imread(str(self._photos[name]), cv2.IMREAD_COLOR), label

  def scale(self, image: np.ndarray, label: np.ndarray, factor: float) -> Example:
    """Resizes to a multiple of the base size and fills up to the crop's size."""
    height, width = image.shape[:2]
    long = int(self._base * factor + 0.5)
    if height > width:
      size = (int(width * long / height + 0.5), long)
    else:
      size = (long, int(height * long / width + 0.5))
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    bottom, right = max(self._crop[0] - size[1], 0), max(self._crop[1] - size[0], 0)
    if bottom or right:
      edges = (0, bottom, 0, right, cv2.BORDER_CONSTANT)
      image = cv2.copyMakeBorder(image, *edges, value=(0.0, 0.0, 0.0))
      label = cv2.copyMakeBorder(label, *edges, value=(self._ignore,))
    return image, label

  def finish(self, image: np.ndarray, label: np.ndarray, x: int, y: int, flip: bool) -> Example:
    """Crop, normalisation and mirror."""
    window = np.s_[y : y + self._crop[0], x : x + self._crop[1]]
    image = image[window].astype(np.float32)[:, :, ::-1]
    image = image / 255.0
    image -= np.array(MEAN, np.float32)
    image /= np.array(STD, np.float32)
    image, label = image.transpose(2, 0, 1), label[window].astype(np.int32)
    if flip:
      image, label = image[:, :, ::-1], label[:, ::-1]
    return image.copy(), label.copy()


def loader(*, workers: int, folder: str, **of_config: Any) -> Contender:
  """Endless shuffled batches of a DataLoader.

  Args:
    workers: processes; 0 prepares batches when they are asked for.
    folder: CamVid's, with the files.
    **of_config: see `jax_side.camvid_config`; the examples are compared with ours.

  Raises:
    ValueError: an image or label differs from ours.
  """
  config = jax_side.camvid_config(**of_config)
  transform = registry.task_of(config).part("train_transform")(**config.transform.train)
  files = CamvidFiles(pathlib.Path(folder), config.data.train_split, transform)
  check(files, open_dataset(config).source(config.data.train_split), transform)
  batches = data.DataLoader(
    files,
    batch_size=config.train.batch_size,
    sampler=data.RandomSampler(files, num_samples=_ENDLESS),
    num_workers=workers,
    drop_last=True,
  )
  batches = iter(batches)
  next(batches)
  return Contender({"torch": torch.__version__}, jax_side.read_from(batches))


def check(files: CamvidFiles, source: Sequence[Mapping[str, Any]], transform: Any) -> None:
  """Refuses to go on unless the same decisions give the same example here and in our transform.

  Raises:
    ValueError: they do not.
  """
  rng = np.random.default_rng(0)
  for record in [source[i] for i in range(min(CHECKED, len(source)))]:
    name = record["name"]
    image = image_files.decode_image(record["image"], name)
    label = image_files.decode_label(record["label"], name)
    decisions = transform.draw(rng, label.shape)
    example = transform.apply(image, label, decisions)
    scaled = files.scale(*files.read(name), decisions.scale)
    image, label = files.finish(*scaled, decisions.x, decisions.y, decisions.flip)
    expected = ((example["image"] / 255.0 - MEAN) / STD).transpose(2, 0, 1)
    far = float(np.abs(image - expected).max())
    if far > _EQUAL or (label != example["label"]).any():
      raise ValueError(f"{name}: the loaders' examples differ, images by up to {far:.2g}")


def _foreign_mib() -> float:
  """Memory that importing our package has added; a PyTorch project would not have it."""
  torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
  return resident_mib() - ALONE_MIB


def _network(config: Any, folder: str, layout: str) -> torch_hrnet.Trunk:
  network = build(config)
  torch_hrnet.load(network, cases.read(folder, cases.WEIGHTS))
  return network.to(memory_format=FORMATS[layout])


def _truth(arrays: cases.Arrays, layout: str) -> Tensor:
  if "targets" in arrays:
    return _channels_second(arrays["targets"], layout)
  return torch.from_numpy(arrays["label"].astype(np.int64))


def _channels_second(x: np.ndarray, layout: str) -> Tensor:
  return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=FORMATS[layout])
