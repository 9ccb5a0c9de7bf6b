"""Joins the processes of a job before anything is computed: environment or flags -> JAX.

One process has to run on every host of a TPU slice, and one for every GPU or every node. TPU pods,
SLURM and Open MPI say in the environment who the others are; elsewhere three flags do.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import functools
import glob
import json
import os
import socket
import sys
import threading
import time
from typing import NoReturn

import jax

from hrnet_jax import ending
from hrnet_jax.distributed import board, collectives
from hrnet_jax.errors import UserError, describe, is_about_input

_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_OPEN_MPI = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")
# Whoever asks the service for a note while its process still connects kills that process.
_joined = threading.Event()
_END = "end"  # key of the note of the process that ends first
_LOOK_SECONDS = 1.0
_GONE = ("closed by peer", "reset by peer", "Broken pipe")  # how collectives say it
_HOW = "give all of --coordinator_address=HOST:PORT --num_processes=N --process_id=I"


@dataclasses.dataclass(frozen=True)
class Job:
  """How this process finds the others; what is None is found out by JAX.

  Attributes:
    origin: who says so, for messages.
    address: host and port of process 0.
    processes: how many there are.
    process: which one this is.
  """

  origin: str
  address: str | None = None
  processes: int | None = None
  process: int | None = None


def join(
  address: str | None = None,
  processes: int | None = None,
  process: int | None = None,
  timeout: float = 300,
) -> None:
  """Joins the other processes as flags and environment say; alone if there are none.

  Args:
    address: value of `--coordinator_address`.
    processes: value of `--num_processes`.
    process: value of `--process_id`.
    timeout: seconds to wait for the others.

  Raises:
    ValueError: the flags are incomplete, or contradict each other.
    TimeoutError: there is no process 0 at the address within `timeout` seconds.
    OSError: process 0 cannot listen at its port.
  """
  job = find_job(os.environ, address, processes, process)
  if job is not None:
    connect(job, timeout)


def find_job(
  environ: Mapping[str, str],
  address: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> Job | None:
  """The job that this process is a part of; None if it is alone.

  Args:
    environ: the environment.
    address: of process 0, from a flag; flags go before the environment.
    processes: how many there are, from a flag.
    process: which one this is, from a flag.

  Raises:
    ValueError: the flags are incomplete, or contradict each other.
  """
  given = (address, processes, process)
  if None not in given:
    return _checked(Job("the flags", *given))
  if all(name in environ for name in _OPEN_MPI) and int(environ[_OPEN_MPI[0]]) > 1:
    # Open MPI 5 no longer tells the address of the first host.
    if address is None and "OMPI_MCA_orte_hnp_uri" not in environ:
      raise UserError(
        f"Open MPI started {environ[_OPEN_MPI[0]]} processes and does not say where process 0 is; "
        "add --coordinator_address=HOST:PORT, a free port of the first host"
      )
    size, rank = (int(environ[name]) for name in _OPEN_MPI)
    return _checked(
      Job("Open MPI", address, processes or size, rank if process is None else process)
    )
  if all(name in environ for name in _SLURM) and int(environ["SLURM_NTASKS"]) > 1:
    return Job("SLURM", *given)
  if any(x is not None for x in given):
    raise UserError(f"the flags name only a part of the job; {_HOW}")
  hosts = environ.get("TPU_WORKER_HOSTNAMES", "") + environ.get("TPU_PROCESS_ADDRESSES", "")
  if "," in hosts or "MEGASCALE_COORDINATOR_ADDRESS" in environ or _is_tpu_host(environ):
    return Job("the TPU slice")
  return None


def connect(job: Job, timeout: float) -> None:
  """Waits for all processes of the job; a process that waits in vain says so and ends.

  JAX itself would end it with a trace of its own code.

  Raises:
    TimeoutError: there is no process 0 at its address.
    OSError: process 0 cannot listen at its port.
  """
  began = time.monotonic()
  if job.address and job.process == 0:
    _check_port(job.address)
  elif job.address:
    _wait_for(job, timeout)
  jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is the loop's
  who = f"process {job.process}" if job.process is not None else "this process"
  count = f"of {job.processes} " if job.processes else ""
  message = (
    f"{who} {count}has waited {timeout:.0f} s for the others (told by {job.origin}); "
    "are all of them running, with the same address and number of processes?"
  )
  with _limit(timeout - (time.monotonic() - began), message):
    jax.distributed.initialize(
      job.address, job.processes, job.process, initialization_timeout=int(timeout) + 60
    )
  _joined.set()


@contextlib.contextmanager
def leaving_together(name: str) -> Iterator[None]:
  """Where there are other processes, all end when one does, for whatever reason, within seconds.

  The usual end would wait for the others, which wait for this one. Whoever ends leaves a note for
  the others with its status and reason, and each of them looks for one every second. Where all is
  well, all wait here for the last of them.

  Args:
    name: of the command, for messages.
  """
  stop = threading.Event()
  looking = threading.Thread(
    target=_look_for_ends, args=(name, stop), name="other processes", daemon=True
  )
  looking.start()
  try:
    with ending.before_leaving(functools.partial(_tell_others, name, stop)):
      try:
        yield
        collectives.barrier("end")
      except ending.Stopped:
        collectives.barrier("end")
        raise
      except BaseException as error:
        if jax.process_count() == 1:
          raise
        _end(name, error, stop)
  finally:
    stop.set()
    looking.join(_LOOK_SECONDS)


def _end(name: str, error: BaseException, stop: threading.Event) -> NoReturn:
  """Ends this process with an error, and says so to the others unless they know."""
  if isinstance(error, board.KnownToAll):
    stop.set()
  if isinstance(error, SystemExit):
    ending.leave(error.code if isinstance(error.code, int) else 1)
  lost = ending.interrupted() and not is_about_input(error)  # libraries turn it into their own
  if isinstance(error, KeyboardInterrupt) or lost:
    ending.leave(ending.INTERRUPTED, f"{name}: interrupted")
  if isinstance(error, jax.errors.JaxRuntimeError) and any(x in str(error) for x in _GONE):
    reason = str(error).splitlines()[0]
    ending.leave(1, f"{name}: another process has gone without a word ({reason})")
  ending.leave(1, describe(name, error))


def _look_for_ends(name: str, stop: threading.Event) -> None:
  """Ends this process once another one has said that it ends."""
  while not stop.wait(_LOOK_SECONDS):
    note = board.look(_END) if _joined.is_set() and board.available() else None
    if note is not None and not stop.is_set():
      told = json.loads(note)
      if told["process"] != board.process():
        ending.leave(
          told["status"], f"{name}: process {told['process']} has ended: {told['reason']}"
        )


def _tell_others(name: str, known: threading.Event, status: int, text: str) -> None:
  """Leaves the note, unless all know; process 0, who keeps it, gives them time to read."""
  if not _joined.is_set() or not board.available():
    return
  if not known.is_set():
    reason = text.removeprefix(f"{name}: ") or f"status {status}"
    told = {"process": board.process(), "status": status, "reason": reason}
    board.post(_END, json.dumps(told))
  if board.process() == 0:
    time.sleep(2.5 * _LOOK_SECONDS)


def _checked(job: Job) -> Job:
  host, _, port = (job.address or "").rpartition(":")
  if job.address is not None and not (host and port.isdigit()):
    raise UserError(f"--coordinator_address is {job.address!r}, expected HOST:PORT")
  if not 0 <= job.process < job.processes:
    raise UserError(
      f"process {job.process} of {job.processes}: expected 0 .. {job.processes - 1} ({job.origin})"
    )
  return job


def _is_tpu_host(environ: Mapping[str, str]) -> bool:
  platforms = environ.get("JAX_PLATFORMS", "tpu")
  return "tpu" in platforms and bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"))


def _check_port(address: str) -> None:
  port = int(address.rpartition(":")[2])
  with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(("", port))
    except OSError as error:
      raise OSError(
        f"process 0 cannot listen at port {port} ({error.strerror}); give all processes another "
        "port in --coordinator_address"
      ) from None


def _wait_for(job: Job, timeout: float) -> None:
  host, _, port = job.address.rpartition(":")
  end, reason = time.monotonic() + timeout, "no answer"
  while time.monotonic() < end:
    try:
      socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
      return
    except OSError as error:
      reason = error.strerror or str(error)
      time.sleep(0.2)
  raise TimeoutError(
    f"process {job.process} of {job.processes} found no process 0 at {job.address} within "
    f"{timeout:.0f} s ({reason}); is it running there, and may this host reach that port?"
  )


@contextlib.contextmanager
def _limit(
  seconds: float, message: str, leave: Callable[[int], None] = ending.leave
) -> Iterator[None]:
  """Ends the process with the message if the body takes longer; it may be deep in other code."""

  def give_up() -> None:
    print(f"error: {message}", file=sys.stderr)
    leave(1)

  timer = threading.Timer(max(seconds, 0.1), give_up)
  timer.daemon = True
  timer.start()
  try:
    yield
  finally:
    timer.cancel()
