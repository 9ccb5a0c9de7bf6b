"""Images a second of multi-scale testing, here and in PyTorch: CamVid's photos -> table and JSON.

    python -m benchmarks.evaluation --output=evaluation.json

Both test the same photos with the same weights: W18-small-v1 with 11 classes, six scales from 0.5
to 1.75 and the mirrored image, from decoded bytes to classes and confusion matrix. Decoding is
left out on both sides. They take turns, and must agree about the pixels. Needs the extra `torch`
and the prepared data set `camvid`.
"""

from collections.abc import Callable, Mapping, Sequence
import pathlib
from typing import Any

from absl import app, flags
import jax
import numpy as np

from benchmarks import harness
from hrnet_jax import convert
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import padded_batch, prepared
from hrnet_jax.distributed import runtime, sharding
from hrnet_jax.models.network import build_model
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.segmentation.task import Segmentation
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig
from hrnet_jax.tasks.segmentation.test_step import MultiScaleStep
from hrnet_jax.tasks.segmentation.whole_image import WholeImage

VARIANT, UPSAMPLE = "w18_small_v1", Resize.BILINEAR
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
CROPS = {"whole": (360, 480), "windows": (320, 320)}
SPLIT, CALIBRATION = "val", 4
OURS = "hrnet_jax"
# Two float32 programs may differ at pixels where two classes are all but equal.
AGREEMENT = 0.9999

Answer = tuple[np.ndarray, np.ndarray]  # classes (H, W) uint8, confusion matrix (K, K)
Rival = Callable[[Mapping[str, np.ndarray]], Answer]


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_string("checkpoint", None, "Of W18-small-v1 on CamVid; random weights by default.")
  flags.DEFINE_string("data_dir", None, "Where data sets are prepared.")
  flags.DEFINE_string("output", None, "A JSON file.")
  flags.DEFINE_integer("images", 4, "Photos in a turn.", lower_bound=1)
  flags.DEFINE_integer("rounds", 3, "Turns of each rival.", lower_bound=1)
  flags.DEFINE_integer("threads", 2, "Of each rival.", lower_bound=1)
  flags.DEFINE_multi_enum("protocol", list(CROPS), list(CROPS), "What to measure.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  del argv
  f = flags.FLAGS
  harness.use_cores(f.threads)
  runtime.set_up()
  result = measure(
    f.protocol,
    images=f.images,
    rounds=f.rounds,
    threads=f.threads,
    path=f.checkpoint,
    data_dir=f.data_dir,
  )
  if f.output:
    harness.write(pathlib.Path(f.output), result)


def measure(
  protocols: Sequence[str],
  *,
  images: int,
  rounds: int,
  threads: int,
  path: str | None = None,
  data_dir: str | None = None,
) -> dict[str, Any]:
  """Measures protocols one after the other and prints a table for each.

  Args:
    protocols: keys of `CROPS`.
    images: photos in a turn, the first of the split.
    rounds: turns of each rival.
    threads: of each rival.
    path: a checkpoint; random weights by default.
    data_dir: where data sets are prepared.

  Returns:
    Figures of every protocol and the machine.

  Raises:
    ValueError: the rivals do not agree. ImportError: PyTorch is missing.
  """
  from benchmarks import torch_testing

  torch_testing.set_threads(threads)
  dataset = prepared.open_dataset("camvid", data_dir)
  batches = [_batch(record) for record in list(dataset.source(SPLIT))[: max(images, CALIBRATION)]]
  count = len(dataset.class_names)
  model = build_model(task="segmentation", variant=VARIANT, num_classes=count, upsample=UPSAMPLE)
  task = Segmentation(
    model=model,
    num_classes=count,
    upsample=UPSAMPLE,
    class_names=dataset.class_names,
    palette=dataset.palette,
  )
  if path:
    weights = convert.to_torch(model, networks.load(path).variables)
  else:
    photos = np.concatenate([batch["image"] for batch in batches[:CALIBRATION]])
    weights = torch_testing.random_weights(VARIANT, count, UPSAMPLE, photos)
  variables = convert.from_torch(model, weights)
  versions = {"jax": jax.__version__, "torch": torch_testing.version()}
  result = {"machine": harness.machine(threads, versions), "images": images, "rounds": rounds}
  for kind in protocols:
    protocol = MultiScaleConfig(
      kind=kind, base_size=480, crop_size=CROPS[kind], scales=SCALES, flip=True
    )
    network = torch_testing.build(VARIANT, count, UPSAMPLE, weights)
    rivals = {OURS: _ours(task, protocol, variables)}
    for variant in torch_testing.VARIANTS:
      step = torch_testing.TorchTesting(network, protocol, variant)
      rivals[f"PyTorch, {variant}"] = _theirs(step)
    result[kind] = _compare(rivals, batches[:images], rounds)
    print(f"\n{kind}\n{_table(result[kind])}", flush=True)
  return result


def _batch(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """A decoded photo as the loader of `eval.py` hands it over."""
  row = WholeImage().map(record) | {"mask": np.bool_(True)}
  return padded_batch.StackPadded({"image": 0, "label": 255}, multiple=1)([row])


def _ours(task: Segmentation, protocol: MultiScaleConfig, variables: Any) -> Rival:
  mesh = sharding.local_mesh()
  step = MultiScaleStep(task, task.upsample, protocol, mesh)
  placed = jax.device_put(variables, sharding.replicated(mesh))

  def run(batch: Mapping[str, np.ndarray]) -> Answer:
    scored = step(placed, batch)
    return scored.predictions[0], np.asarray(scored.metric_sums["confusion"], np.int64)

  return run


def _theirs(step: Callable[..., Answer]) -> Rival:
  return lambda batch: step(batch["image"][0], batch["label"][0])


def _compare(
  rivals: Mapping[str, Rival], batches: Sequence[Mapping[str, np.ndarray]], rounds: int
) -> dict[str, Any]:
  """Answers first, which compiles as well; then turns."""
  answers = {name: [run(batch) for batch in batches] for name, run in rivals.items()}
  agreement = {
    name: _agreement(answers[OURS], answer) for name, answer in answers.items() if name != OURS
  }

  def turn(run: Rival) -> Callable[[], None]:
    return lambda: [run(batch) for batch in batches] and None

  seconds = harness.take_turns({name: turn(run) for name, run in rivals.items()}, rounds)
  return {
    name: {
      "images_per_second": harness.rate(seconds[name], len(batches)).__dict__,
      "ours_is_faster_by": harness.ratio(seconds[OURS], seconds[name]).__dict__,
      "seconds": seconds[name],
      **agreement.get(name, {}),
    }
    for name in rivals
  }


def _agreement(ours: Sequence[Answer], theirs: Sequence[Answer]) -> dict[str, float]:
  """Share of equal pixels, and by how many the confusion matrices differ."""
  equal = np.mean([(a[0] == b[0]).mean() for a, b in zip(ours, theirs, strict=True)])
  totals = [sum(answer[1] for answer in answers) for answers in (ours, theirs)]
  if equal < AGREEMENT or totals[0].sum() != totals[1].sum():
    raise ValueError(f"the rivals do not compute the same: {equal:.6f} of the pixels are equal")
  moved = int(np.abs(totals[0] - totals[1]).sum() // 2)
  return {"equal_pixels": float(equal), "pixels_moved": moved}


def _table(figures: Mapping[str, Mapping[str, Any]]) -> str:
  header = ("", "images/s, median (range)", "ours is faster by", "equal pixels", "moved")
  rows = []
  for name, x in figures.items():
    rate, faster = (harness.Rate(**x[key]) for key in ("images_per_second", "ours_is_faster_by"))
    same = ("", "") if name == OURS else (f"{x['equal_pixels']:.6f}", x["pixels_moved"])
    rows.append((name, rate, "" if name == OURS else faster, *same))
  return harness.table(header, rows)


if __name__ == "__main__":
  define_flags()
  app.run(main)
