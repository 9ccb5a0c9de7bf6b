"""The items of one checkpoint, written and read by one process: trees <-> a folder.

`variables` (parameters and BatchNorm statistics), `training` (step and optimizer), `loader`
(position in the data), `facts` (config, data set, versions), and `digests` of the others and of
the step. `metrics` is the score's, see `scores`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
import contextlib
import json
import logging
import pathlib
import time
from typing import Any

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp

from hrnet_jax.checkpoint import checksums, scores, versions
from hrnet_jax.checkpoint.checksums import Damaged, Digests
from hrnet_jax.checkpoint.reading import of_system, reliably, say_once
from hrnet_jax.checkpoint.versions import Unfit
from hrnet_jax.errors import first_line

NAMES = ("variables", "training", "loader", "facts", "digests")
_STEP = "step"  # its digest is among those of the items
_TRAINING = "training"
_JSON = "metadata"  # the file of an item of plain data
# Orbax logs an error of one of its threads with a traceback before it raises the same one.
logging.getLogger("absl").addFilter(lambda x: "_SignalingThread.run() raised" not in str(x.msg))


def alone(name: str) -> ocp.options.MultiprocessingOptions:
  """This process works without the others: nothing to wait for, nothing to hang on."""
  me = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"{name}_{me}"
  )


def on_host(tree: Any) -> Any:
  """A copy of replicated arrays that stays what it is while the devices go on."""
  return jax.tree.map(_on_host, tree)


def write(
  folder: pathlib.Path,
  step: int,
  arrays: Mapping[str, Any],
  plain: Mapping[str, Any],
  score: float | None = None,
) -> None:
  """Writes all items of a checkpoint into a folder, and waits for them.

  Args:
    folder: empty; gives no promise before the caller brings it to the disk.
    step: of the checkpoint.
    arrays: trees of arrays on the host by item.
    plain: JSON by item, among them `facts`.
    score: of the validation, if there was one.

  Raises:
    OSError: it could not be written.
  """
  began = time.time_ns()
  plain = {**plain, "facts": versions.stamped(plain["facts"])}
  plain["digests"] = checksums.digests({**arrays, **plain, _STEP: step})
  try:
    for item, tree in arrays.items():
      _write_arrays(folder / item, tree)
  except Exception as error:
    if isinstance(error, OSError) or (of := of_system(error)) is None:
      raise
    raise OSError(of.errno, of.strerror, str(folder)) from error
  for item, tree in plain.items():
    (folder / item).mkdir()
    (folder / item / _JSON).write_text(json.dumps(tree))
  (folder / scores.ITEM).mkdir()
  (folder / scores.ITEM / scores.ITEM).write_text(scores.content(step, score))
  _write_description(folder, arrays, [*plain, scores.ITEM], began)


def read(
  folder: pathlib.Path, arrays: Mapping[str, Any], plain: tuple[str, ...] = ()
) -> dict[str, Any]:
  """Items of a checkpoint on the host, checked against their digests.

  Args:
    folder: of the checkpoint.
    arrays: by item, trees of the shapes and dtypes to expect, or None for whatever was written.
    plain: further items.

  Raises:
    Damaged: the content is not what was written.
    Unreadable, Gone: the content cannot be had, see `reliably`.
    Unfit: it is whole, and another network's, a later version's, or has not all of these items.
  """
  return reliably(folder, lambda: _read(folder, arrays, plain))


def _read(
  folder: pathlib.Path, arrays: Mapping[str, Any], plain: tuple[str, ...]
) -> dict[str, Any]:
  found, digests = _read_described(folder, arrays, plain)
  for item, expected in arrays.items():
    found[item] = _read_arrays(folder / item, expected, digests.get(item))
  checksums.check(found, digests)
  if _TRAINING in arrays and folder.name != str(int(found[_TRAINING][_STEP])):
    raise Damaged(f"it holds step {int(found[_TRAINING][_STEP])}")
  for item, expected in arrays.items():
    if expected is not None:
      _check_shapes(folder / item, found[item], expected)
  return {item: found[item] for item in (*arrays, *plain)}


def _read_described(
  folder: pathlib.Path, arrays: Mapping[str, Any], plain: tuple[str, ...]
) -> tuple[dict[str, Any], Digests]:
  """The items of plain data, and the digests of all, once it is clear that the rest is there."""
  there = {path.name for path in folder.iterdir()}
  digests = _read_json(folder, "digests") if "digests" in there else None
  facts = _read_json(folder, "facts") if "facts" in there else None
  modern = versions.format_of(facts) > 1
  if versions.is_newer(facts):
    versions.refuse_newer(facts)
  if digests is None:
    if modern:
      raise Damaged("its digests are missing")
    say_once(f"{folder} is not checked: it was written by an earlier version, without digests")
    digests = {}
  if not isinstance(digests, dict):
    raise Damaged("digests are no object")
  needed = [*arrays, *plain, *(["facts"] if "facts" in digests else [])]
  if missing := [x for x in needed if x not in there]:
    if _TRAINING in missing and _TRAINING not in digests:
      raise Unfit(
        f"{folder} holds weights alone, no run to go on with; name it in config.init_from and "
        "choose another --workdir"
      )
    raise Damaged(f"{missing[0]} is missing")
  if modern and (bare := [x for x in (*arrays, *plain, _STEP) if x not in digests]):
    raise Damaged(f"digests lack {bare[0]}")
  found = {item: _read_json(folder, item) for item in plain}
  # Facts are checked whoever asks, because they say how the rest is to be read.
  step = {_STEP: int(folder.name)} if folder.name.isdecimal() else {}
  checksums.check(({} if facts is None else {"facts": facts}) | step | found, digests)
  versions.refuse_newer(facts)
  return found, digests


def _read_json(folder: pathlib.Path, item: str) -> Any:
  data = (folder / item / _JSON).read_bytes()
  try:
    return json.loads(data)
  except (ValueError, RecursionError) as error:
    raise Damaged(f"{item} is not valid JSON ({first_line(error)})") from None


def _write_arrays(folder: pathlib.Path, tree: Any) -> None:
  """Writes an item as `ocp.args.StandardSave` does, but in this thread and for this process."""
  folder.mkdir()
  handler = _arrays_handler("write", _ArraysToWrite())
  handler.save(epath.Path(folder), args=ocp.args.PyTreeSave(tree))
  handler.finalize(epath.Path(folder))


def _write_description(
  folder: pathlib.Path, arrays: Sequence[str] | Mapping[str, Any], plain: Sequence[str], began: int
) -> None:
  """Names the items as Orbax does, so that it reads the folder without this package."""
  kinds = {item: ocp.StandardCheckpointHandler for item in arrays}
  kinds |= {item: ocp.JsonCheckpointHandler for item in plain}
  text = {
    "item_handlers": {x: f"{kind.__module__}.{kind.__qualname__}" for x, kind in kinds.items()},
    "metrics": {},
    "performance_metrics": {},
    "init_timestamp_nsecs": began,
    "commit_timestamp_nsecs": time.time_ns(),
    "custom_metadata": {},
  }
  (folder / "_CHECKPOINT_METADATA").write_text(json.dumps(text))


def _read_arrays(folder: pathlib.Path, expected: Any, digests: dict[str, int] | None) -> Any:
  """The arrays of an item.

  Raises:
    Unfit: they are what was written, but not of the expected structure.
  """
  blank = expected if expected is None else jax.tree.map(_blank, expected)
  try:
    return _restore(folder, blank)
  except Exception:
    if blank is None or digests is None:
      raise
    # Without the structure, the names of what is in tuples are other ones.
    whole = checksums.digests({"": _restore(folder, None)})[""]
    if Counter(whole.values()) != Counter(digests.values()):
      raise
  try:
    return _restore(folder, blank)  # it may have been the storage
  except Exception as error:
    if of_system(error):
      raise
    raise Unfit(
      f"{folder} holds other arrays than the network and the optimizer of this config"
    ) from error


def _restore(folder: pathlib.Path, blank: Any) -> Any:
  args = ocp.args.PyTreeRestore()
  if blank is not None:
    args = ocp.args.PyTreeRestore(
      blank, restore_args=ocp.checkpoint_utils.construct_restore_args(blank)
    )
  handler = _arrays_handler("read", _Arrays(), _ArraysOfJax())
  with ocp.Checkpointer(handler, multiprocessing_options=alone("read")) as checkpointer:
    return checkpointer.restore(folder, args)


@contextlib.asynccontextmanager
async def _all_of_them() -> AsyncIterator[None]:
  """Where one array fails, waits for those under way before it says so.

  Orbax raises at the first, and closes the event loop; each of the others prints a traceback when
  it then reports to a loop that is closed.
  """
  before = asyncio.all_tasks()
  try:
    yield
  finally:
    await asyncio.gather(*(asyncio.all_tasks() - before), return_exceptions=True)


class _ArraysToWrite(ocp.type_handlers.NumpyHandler):
  """Writes while it is asked to, without a copy and a thread."""

  async def serialize(
    self,
    values: Sequence[np.ndarray],
    infos: Sequence[ocp.type_handlers.ParamInfo],
    args: Sequence[ocp.type_handlers.SaveArgs] | None = None,
  ) -> Sequence[Any]:
    async with _all_of_them():
      args = args or [ocp.type_handlers.SaveArgs()] * len(values)
      await self._background_serialize(values, infos, args)
    return []


class _Arrays(ocp.type_handlers.NumpyHandler):
  """Reads; see `_all_of_them`."""

  async def deserialize(
    self,
    infos: Sequence[ocp.type_handlers.ParamInfo],
    args: Sequence[ocp.type_handlers.RestoreArgs] | None = None,
  ) -> Sequence[np.ndarray]:
    async with _all_of_them():
      return await super().deserialize(infos, args)


class _ArraysOfJax(_Arrays):
  """As the first versions wrote them; read like the others, whatever devices they were on."""

  def typestr(self) -> str:
    return "jax.Array"


def _arrays_handler(
  name: str,
  numpy: ocp.type_handlers.NumpyHandler,
  of_jax: ocp.type_handlers.NumpyHandler | None = None,
) -> ocp.PyTreeCheckpointHandler:
  kinds: list[Any] = [(np.ndarray, numpy)] + ([(jax.Array, of_jax)] if of_jax else [])
  return ocp.PyTreeCheckpointHandler(
    type_handler_registry=ocp.type_handlers.create_type_handler_registry(*kinds),
    multiprocessing_options=alone(name),
  )


def _on_host(x: Any) -> np.ndarray:
  """A copy of a replicated array; in a process that has only some of its devices too."""
  # On a CPU, numpy's view of an array is the memory that the next step is given.
  return np.array(x.addressable_data(0) if isinstance(x, jax.Array) else x)


def _blank(x: Any) -> np.ndarray:
  return np.empty(x.shape, x.dtype)


def _check_shapes(where: pathlib.Path, found: Any, expected: Any) -> None:
  def check(path: Any, x: np.ndarray, y: Any) -> None:
    if x.shape != y.shape or x.dtype != y.dtype:
      raise Unfit(
        f"{where}{jax.tree_util.keystr(path)} is {x.dtype}{x.shape}, expected {y.dtype}{y.shape}"
      )

  jax.tree_util.tree_map_with_path(check, found, expected)
