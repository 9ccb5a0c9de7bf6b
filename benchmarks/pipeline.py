"""CamVid through the loaders, the training loop and `prepare`: folder of prepared data -> rates.

The files that PyTorch and `prepare` read are written from the prepared data set, whose images are
the bytes of the originals.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import pathlib
import tempfile
from typing import Any

from benchmarks import worker
from benchmarks.worker import Worker

WORKERS = (0, 2)
JAX, TORCH = "hrnet_jax", "PyTorch DataLoader"
ONE_THREAD = f"{JAX}, no threads"
LOOP, STEP = "training loop", "step alone"
_REST = 1.0  # seconds in which loaders fill their buffers and come to rest
_JAX_SIDE, _TORCH_SIDE = "benchmarks.jax_side", "benchmarks.torch_side"


@dataclasses.dataclass(frozen=True)
class Amount:
  """How much work a round is.

  Attributes:
    batches: read by a loader.
    steps: of training.
    rounds: how often each contender is measured.
    crop: `(height, width)` of the training examples; None is the config's.
    batch_size: of training; None is the config's.
  """

  batches: int = 60
  steps: int = 20
  rounds: int = 3
  crop: tuple[int, int] | None = None
  batch_size: int | None = None


QUICK = Amount(batches=10, steps=4, rounds=1, crop=(64, 96), batch_size=2)


def loading(data_dir: str | None, amount: Amount, threads: int) -> dict[str, Any]:
  """Images a second of the training examples, by number of worker processes.

  Both loaders decode, scale, crop and mirror; PyTorch's also normalises and turns the image, which
  here the device does, as the reference has it. With no worker, PyTorch prepares batches when they
  are asked for; ours has two threads as in the config, and, to compare, none.

  Args:
    data_dir: where `camvid` is prepared.
    amount: of work.
    threads: of each contender.

  Raises:
    RuntimeError: a contender failed; also if a batch's images are not equal.
  """
  result = {}
  with _files(data_dir, threads) as folder:
    given = {"data_dir": data_dir, **_size(amount)}
    for workers in WORKERS:
      entries = {JAX: (f"{_JAX_SIDE}:loader", {**given, "workers": workers})}
      if not workers:
        entries[ONE_THREAD] = (f"{_JAX_SIDE}:loader", {**given, "workers": 0, "threads": 0})
      entries[TORCH] = (f"{_TORCH_SIDE}:loader", {**given, "workers": workers, "folder": folder})
      seconds, facts = _measure(entries, amount.batches, amount.rounds, threads)
      rates = _rates(seconds, facts[JAX]["batch_size"])
      result[str(workers)] = {
        "images_per_second": rates,
        "jax_is_faster_by": dataclasses.asdict(worker.speedup(seconds[JAX], seconds[TORCH])),
      }
  return result


def training(data_dir: str | None, amount: Amount, threads: int) -> dict[str, Any]:
  """Images a second of `train.py`'s loop, and of its step alone on one batch that stays.

  Arguments, raises: as `loading`.
  """
  with tempfile.TemporaryDirectory(prefix="hrnet_jax_benchmark_") as folder:
    given = {"data_dir": data_dir, **_size(amount)}
    entries = {
      LOOP: (f"{_JAX_SIDE}:loop", {**given, "folder": folder}),
      STEP: (f"{_JAX_SIDE}:step", given),
    }
    env = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/xla"}
    seconds, facts = _measure(entries, amount.steps, amount.rounds, threads, env)
  shares = worker.speedup(seconds[LOOP], seconds[STEP])
  rates = _rates(seconds, facts[STEP]["batch_size"])
  return {"images_per_second": rates, "share_of_the_step": dataclasses.asdict(shares)}


def prepare(data_dir: str | None, amount: Amount, threads: int) -> dict[str, Any]:
  """Images a second of `python -m hrnet_jax.prepare`, with every file checked.

  Arguments, raises: as `loading`.
  """
  with (
    _files(data_dir, threads) as folder,
    tempfile.TemporaryDirectory(prefix="hrnet_jax_benchmark_") as place,
  ):
    arguments = {"source": folder, "data_dir": place, "threads": threads}
    entries = {JAX: (f"{_JAX_SIDE}:preparation", arguments)}
    seconds, facts = _measure(entries, 1, amount.rounds, threads)
  return {
    "images": facts[JAX]["images"],
    "images_per_second": _rates(seconds, facts[JAX]["images"]),
  }


PARTS = {"loading": loading, "training": training, "prepare": prepare}


@contextlib.contextmanager
def _files(data_dir: str | None, threads: int) -> Iterator[str]:
  """CamVid's folder of photos and labels, for as long as it is needed."""
  with tempfile.TemporaryDirectory(prefix="hrnet_jax_camvid_") as folder:
    worker.facts_of(
      f"{_JAX_SIDE}:write_files", {"data_dir": data_dir, "folder": folder}, threads=threads
    )
    yield str(pathlib.Path(folder))


def _size(amount: Amount) -> dict[str, Any]:
  return {"crop": amount.crop, "batch_size": amount.batch_size}


def _measure(
  entries: Mapping[str, tuple[str, Mapping[str, Any]]],
  calls: int,
  rounds: int,
  threads: int,
  env: Mapping[str, str] | None = None,
) -> tuple[dict[str, list[float]], dict[str, Any]]:
  """Seconds of one call by contender and round, and the facts of the contenders."""
  with contextlib.ExitStack() as stack:
    workers = {
      name: stack.enter_context(Worker(target, arguments, threads=threads, env=env))
      for name, (target, arguments) in entries.items()
    }
    runs = {name: lambda x=x: x.run(calls) for name, x in workers.items()}
    seconds = worker.run_rounds(runs, rounds, pause=_REST)
    return seconds, {name: x.facts for name, x in workers.items()}


def _rates(seconds: Mapping[str, list[float]], images: int) -> dict[str, Any]:
  return {name: dataclasses.asdict(worker.rate(x, images)) for name, x in seconds.items()}
