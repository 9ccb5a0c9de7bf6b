"""Settled by all processes before the first step: whose folder it is, and that they agree.

In a run of one process only the folder is settled.
"""

from collections.abc import Callable, Iterator
import contextlib
import json
import pathlib
import socket
from typing import Any

import jax

from hrnet_jax import ownership
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import agreement, board
from hrnet_jax.errors import UserError
from hrnet_jax.run_log.log import info

_SAME_START = "start all of them with the same command, data and installation"
_SAME_FOLDER = "the work folder has to be one that all of them see"
_SAME_STATE = "they have read or made other weights: compare their devices and checkpoints"


def agree_on_inputs(config: Any, dataset: Any) -> None:
  """Compares everything that the run is a function of.

  Raises:
    KnownToAll: it differs; in all processes.
  """
  if board.available():
    agreement.check(agreement.facts(config, dataset), _SAME_START)


def agree_on_start(state: TrainState, position: dict[str, int]) -> None:
  """Compares the state that the run starts or goes on from, and its position in the data.

  Raises:
    KnownToAll: it differs; in all processes.
  """
  if board.available():
    place = {f"position in the data ({key})": value for key, value in position.items()}
    agreement.check(place | agreement.digests(state), _SAME_STATE)


@contextlib.contextmanager
def owned(folder: pathlib.Path) -> Iterator[Callable[..., None]]:
  """Has the work folder for this job alone; yields `Owner.check`, or its like.

  Process 0 takes it, and the others make sure that they see the same folder.

  Raises:
    UserError: another run has it; in all processes.
  """
  with contextlib.ExitStack() as stack:
    owner, refusal = None, ""
    if jax.process_index() == 0:
      folder.mkdir(parents=True, exist_ok=True)
      try:
        owner = stack.enter_context(ownership.Owner(folder, say=info))
      except UserError as error:
        if not board.available():
          raise
        refusal = str(error)
    told = json.dumps([owner and owner.token, refusal, str(folder)])
    token, refusal, place = json.loads(agreement.tell_all(told))
    if refusal:
      raise board.KnownToAll(refusal)
    if owner is None and not ownership.sees(folder, token):
      place = f"{folder} on {socket.gethostname()}, which is not that of process 0"
    agreement.check({"work folder": place}, _SAME_FOLDER)
    yield owner.check if owner is not None else _no_check


def _no_check(*, look: bool = False) -> None:
  """Only the process that writes has to look whether the folder is still its own."""
