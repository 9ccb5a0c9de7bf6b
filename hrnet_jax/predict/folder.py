"""Runs a trained network on photos: what `hrnet predict` does.

Photo `(H, W, C)` uint8 -> inputs of the network `(B, h, w, C)` uint8 -> predictions -> files.

The checkpoint's task has a `Predictor`, which says how a photo is shown to the network and what is
written about it.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import pathlib
import sys
import time
from typing import Any

import cv2
import jax
import numpy as np
import tqdm

from hrnet_jax import registry
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.regular_files import IMAGE_SUFFIXES, describe_left_out, is_of_system, list_files
from hrnet_jax.errors import OptionError, UserError, out_of_memory, printable
from hrnet_jax.models.folding import fold_batchnorm
from hrnet_jax.predict.predictor import Photo, Predictor
from hrnet_jax.tasks.interface import Task

SUFFIXES = (*IMAGE_SUFFIXES, images.ARRAY_SUFFIX)
# Of photos in the network's eyes; programs of more are forgotten, each holds some 20 MB.
_MOST_SHAPES = 64


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
  """A checkpoint's network, ready to look at photos.

  Attributes:
    run: `(B, h, w, C)` uint8 images, and by name what else the network takes -> predictions,
      arrays with one row per image.
    predictor: prepares photos and saves what was predicted.
  """

  run: Callable[..., Any]
  predictor: Predictor


def trained_network(loaded: networks.Loaded, **options: Any) -> TrainedNetwork:
  """Builds the network of a checkpoint, compiled once for every shape of batch.

  Its norms are folded, which halves the time to compile and leaves less to compute.

  Args:
    loaded: the checkpoint.
    **options: of the task's predictor, see `TaskSpec.predictor_options`.

  Raises:
    ValueError: nothing is known to write for the task, or it has no such option.
  """
  name = loaded.config.model.task
  registry.load_plugins(loaded.config.get("plugins", ()))
  make_predictor = registry.task_part(name, "predictor", "predictions")
  spec = registry.task_spec(name)
  if unknown := sorted(options.keys() - set(spec.predictor_options)):
    raise OptionError(f"--{unknown[0]} means nothing to a network for {name}; leave it out")
  predictor = make_predictor(loaded, **options)
  task = registry.build_task(loaded.config, DatasetInfo.from_dict(loaded.dataset))
  variables = loaded.variables_for(task.model)
  if "batch_stats" in variables:
    model, variables = fold_batchnorm(task.model, variables)
    task = dataclasses.replace(task, model=model)
  decode = getattr(predictor, "decode", _decode)
  weights = jax.device_put(variables)

  @jax.jit
  def predict(variables, batch, extras):
    outputs = task.outputs(variables, task.normalize(batch), **extras)
    return decode(task, outputs, batch.shape[1:3])

  return TrainedNetwork(
    run=lambda batch, **extras: jax.device_get(predict(weights, batch, extras)),
    predictor=predictor,
  )


def _decode(task: Task, outputs: Any, size: tuple[int, int]) -> Any:
  return task.predict(outputs, size)


def find_photos(source: pathlib.Path) -> list[pathlib.Path]:
  """Lists the photos of a folder (without its subfolders) in order, or the one file named.

  Raises:
    FileNotFoundError: nothing there, or no photo in the folder.
    ValueError: two photos would be written to the same names.
  """
  if source.exists() and not source.is_dir():
    return [source]
  if not source.is_dir():
    raise FileNotFoundError(f"--input: {source} does not exist")
  found = list_files(source, SUFFIXES, deep=False, unique=False)
  photos = sorted(found.files.values())
  looked_for = f"looked for {', '.join(SUFFIXES)}"
  if not photos:
    raise FileNotFoundError(f"--input: no photo in {source} ({looked_for})")
  if text := describe_left_out(source, found.left_out, looked_for):
    print(printable(text), file=sys.stderr)
  if folders := sum(x.is_dir() and not is_of_system(x.name) for x in source.iterdir()):
    print(f"{printable(str(source))}: {folders} folders in it are not looked into", file=sys.stderr)
  by_stem: dict[str, pathlib.Path] = {}
  for photo in photos:
    other = by_stem.setdefault(photo.stem, photo)
    if other != photo:
      raise UserError(
        f"--input: {other.name} and {photo.name} would both be written to {photo.stem}_*.png; "
        "rename one of them"
      )
  return photos


def check_output(source: pathlib.Path, output: pathlib.Path) -> None:
  """Protects the photos and what lies beside them.

  Raises:
    ValueError: the output folder is that of the photos, or a file.
  """
  folder = source if source.is_dir() else source.parent
  if output.resolve() == folder.resolve():
    raise UserError(f"--output: {output} holds the input; name another folder")
  if output.exists() and not output.is_dir():
    raise UserError(f"--output: {output} is a file; name a folder")


def batches(photos: Iterator[Photo], batch_size: int) -> Iterator[list[tuple[Photo, int]]]:
  """Groups inputs of the same shape, as soon as a group is full; the rest at the end.

  An input is a photo and the number of one of its inputs.
  """
  waiting: dict[tuple[int, ...], list[tuple[Photo, int]]] = {}
  for photo in photos:
    for number, pixels in enumerate(photo.inputs):
      group = waiting.setdefault(pixels.shape, [])
      group.append((photo, number))
      if len(group) == batch_size:
        yield waiting.pop(pixels.shape)
  yield from waiting.values()


def predict_all(
  network: TrainedNetwork,
  paths: Sequence[pathlib.Path],
  output: pathlib.Path,
  *,
  max_side: int,
  batch_size: int,
) -> dict[pathlib.Path, str]:
  """Predicts every photo and writes its files; a photo that fails does not stop the others.

  Returns:
    The reason for every photo that failed.
  """
  failed: dict[pathlib.Path, str] = {}
  shapes: set[tuple[int, ...]] = set()
  found: dict[pathlib.Path, dict[int, Any]] = {}
  with tqdm.tqdm(total=len(paths), unit="photo", disable=None) as bar:

    def load() -> Iterator[Photo]:
      for path in paths:
        try:
          photo = network.predictor.load(path, max_side)
        except (OSError, ValueError, cv2.error) as error:
          failed[path] = str(error)
          bar.update()
          continue
        if photo.note:
          bar.write(photo.note)
        yield photo

    for group in batches(load(), batch_size):
      photo, number = group[0]
      shape = (len(group), *photo.inputs[number].shape)
      if shape not in shapes and len(shapes) == _MOST_SHAPES:
        jax.clear_caches()
        shapes.clear()
      shapes.add(shape)
      try:
        rows = network.run(
          np.stack([photo.inputs[number] for photo, number in group]), **_extras(group)
        )
      except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not out_of_memory(error):
          raise
        for path in {photo.path for photo, _ in group} - failed.keys():
          failed[path] = f"{path}: not enough memory; lower --max_side or --batch_size"
          found.pop(path, None)
          bar.update()
        continue
      for index, (photo, number) in enumerate(group):
        if photo.path in failed:
          continue
        known = found.setdefault(photo.path, {})
        known[number] = jax.tree.map(lambda x, index=index: x[index], rows)
        if len(known) == len(photo.inputs):
          predictions = [row for _, row in sorted(found.pop(photo.path).items())]
          try:
            network.predictor.save(photo, predictions, output / photo.path.stem)
          except OSError as error:  # a full disk, a name that is too long
            failed[photo.path] = f"{photo.path}: its results cannot be written ({error.strerror})"
          bar.update()
  return failed


def _extras(group: Sequence[tuple[Photo, int]]) -> dict[str, np.ndarray]:
  """Inputs of the network besides a batch of images, stacked."""
  rows = [photo.extras[number] for photo, number in group if photo.extras]
  return {name: np.stack([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def predict_folder(
  checkpoint: str | pathlib.Path,
  source: pathlib.Path,
  output: pathlib.Path,
  *,
  max_side: int,
  batch_size: int,
  **options: Any,
) -> dict[pathlib.Path, str]:
  """Predicts the photos of a folder, or one, and says how it went.

  Args:
    checkpoint: a run's folder, or that of one of its steps.
    source: a photo, or a folder of photos.
    output: folder for the results; made if it does not exist.
    max_side: long side in pixels to which larger photos are reduced for the network.
    batch_size: inputs of one shape at a time.
    **options: of `trained_network`.

  Returns:
    The reason for every photo that failed.

  Raises:
    ValueError, OSError: there is no photo, the output is no folder of its own, or no checkpoint.
  """
  source, output = source.expanduser(), output.expanduser()
  paths = find_photos(source)
  check_output(source, output)
  loaded = networks.load(checkpoint)
  with loaded.in_use():
    network = trained_network(loaded, **options)
  try:
    output.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(f"--output: {output} cannot be made ({error.strerror})") from None
  print(f"Network of step {loaded.step} from {checkpoint}, photos: {len(paths)}")
  describe = getattr(network.predictor, "describe", None)
  if describe and (text := describe({path.name for path in paths})):
    print(printable(text), file=sys.stderr)
  start = time.monotonic()
  failed = predict_all(network, paths, output, max_side=max_side, batch_size=batch_size)
  seconds = time.monotonic() - start
  print(f"{len(paths) - len(failed)} of {len(paths)} photos done in {seconds:.1f} s: {output}/")
  return failed
