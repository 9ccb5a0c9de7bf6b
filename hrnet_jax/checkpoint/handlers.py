"""The items of one checkpoint, written and read by one process: trees <-> a folder.

`variables` (parameters and BatchNorm statistics), `training` (step and optimizer), `loader`
(position in the data), `facts` (config and data set), and `digests` of the other four.
"""

import asyncio
from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from hrnet_jax.checkpoint import checksums
from hrnet_jax.errors import UserError, about_input

NAMES = ("variables", "training", "loader", "facts", "digests")


def alone(name: str) -> ocp.options.MultiprocessingOptions:
  """This process works without the others: nothing to wait for, nothing to hang on."""
  me = jax.process_index()
  return ocp.options.MultiprocessingOptions(
    primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"{name}_{me}"
  )


def to_save(arrays: Mapping[str, Any], plain: Mapping[str, Any]) -> ocp.args.Composite:
  """Makes the arguments of an Orbax save, with the digests of all items.

  Args:
    arrays: trees of replicated arrays by item; they are copied.
    plain: JSON by item.
  """
  arrays = jax.tree.map(_on_host, dict(arrays))
  plain = {**plain, "digests": checksums.digests({**arrays, **plain})}
  items = {item: ocp.args.StandardSave(tree) for item, tree in arrays.items()}
  items |= {item: ocp.args.JsonSave(tree) for item, tree in plain.items()}
  return ocp.args.Composite(**items)


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
    ValueError: an item is missing, or holds other arrays than expected.
  """
  for item in arrays:
    if not (folder / item).is_dir():
      raise UserError(
        f"{folder} holds weights alone, no run to go on with; name it in config.init_from and "
        "choose another --workdir"
      )
  # Checkpoints of earlier versions have no digests.
  known = (*plain, "digests") if (folder / "digests").is_dir() else plain
  blank = {item: x if x is None else jax.tree.map(_blank, x) for item, x in arrays.items()}
  args = {item: _restore_args(x) for item, x in blank.items()}
  args |= {item: ocp.args.JsonRestore() for item in known}
  handler = ocp.CompositeCheckpointHandler(
    *NAMES,
    composite_options=ocp.CompositeOptions(multiprocessing_options=alone("read")),
    **{item: _arrays_handler() for item in arrays},
  )
  with about_input(f"{folder} is damaged or incomplete; use another checkpoint"):
    with ocp.Checkpointer(handler, multiprocessing_options=alone("read")) as checkpointer:
      found = dict(checkpointer.restore(folder, ocp.args.Composite(**args)).items())
    checksums.check(found, found.pop("digests", {}))
  for item, expected in arrays.items():
    if expected is not None:
      _check_shapes(folder / item, found[item], expected)
  return found


class _Arrays(ocp.type_handlers.NumpyHandler):
  """Where one array cannot be read, waits for those under way before it says so.

  Orbax raises at the first, and closes the event loop; each of the others prints a traceback when
  it then reports to a loop that is closed.
  """

  async def deserialize(
    self,
    infos: Sequence[ocp.type_handlers.ParamInfo],
    args: Sequence[ocp.type_handlers.RestoreArgs] | None = None,
  ) -> Sequence[np.ndarray]:
    before = asyncio.all_tasks()
    try:
      return await super().deserialize(infos, args)
    finally:
      await asyncio.gather(*(asyncio.all_tasks() - before), return_exceptions=True)


class _ArraysOfJax(_Arrays):
  """As the first versions wrote them; read like the others, whatever devices they were on."""

  def typestr(self) -> str:
    return "jax.Array"


def _arrays_handler() -> ocp.PyTreeCheckpointHandler:
  registry = ocp.type_handlers.create_type_handler_registry(
    (np.ndarray, _Arrays()), (jax.Array, _ArraysOfJax())
  )
  return ocp.PyTreeCheckpointHandler(
    type_handler_registry=registry, multiprocessing_options=alone("read")
  )


def _restore_args(expected: Any) -> ocp.args.PyTreeRestore:
  if expected is None:
    return ocp.args.PyTreeRestore()
  return ocp.args.PyTreeRestore(
    expected, restore_args=ocp.checkpoint_utils.construct_restore_args(expected)
  )


def _on_host(x: Any) -> np.ndarray:
  """A copy of a replicated array; in a process that has only some of its devices too."""
  return np.asarray(x.addressable_data(0) if isinstance(x, jax.Array) else x)


def _blank(x: Any) -> np.ndarray:
  return np.empty(x.shape, x.dtype)


def _check_shapes(where: pathlib.Path, found: Any, expected: Any) -> None:
  def check(path: Any, x: np.ndarray, y: Any) -> None:
    if x.shape != y.shape or x.dtype != y.dtype:
      raise UserError(
        f"{where}{jax.tree_util.keystr(path)} is {x.dtype}{x.shape}, expected {y.dtype}{y.shape}"
      )

  jax.tree_util.tree_map_with_path(check, found, expected)
