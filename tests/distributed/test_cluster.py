"""Who the other processes are, and what is said when they do not come."""

import subprocess
import sys
import time

import pytest

from hrnet_jax.distributed import cluster
from hrnet_jax.distributed.cluster import Job, find_job
from tests.helpers import pods, toy

SLURM = {
  "SLURM_JOB_ID": "7",
  "SLURM_STEP_NODELIST": "node[1-4]",
  "SLURM_NTASKS": "4",
  "SLURM_PROCID": "2",
  "SLURM_LOCALID": "0",
}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}


@pytest.fixture(autouse=True)
def no_chips(monkeypatch):
  monkeypatch.setattr(cluster.glob, "glob", lambda pattern: [])


@pytest.mark.parametrize(
  "environ",
  [
    {},
    SLURM | {"SLURM_NTASKS": "1"},
    {k: v for k, v in SLURM.items() if k != "SLURM_PROCID"},  # a script without srun
    OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1"},
    {"TPU_WORKER_HOSTNAMES": "localhost"},
  ],
)
def test_most_processes_are_alone(environ):
  assert find_job(environ) is None


def test_flags_go_before_the_environment():
  job = find_job(SLURM, "10.0.0.1:1234", 2, 1)
  assert job == Job("the flags", "10.0.0.1:1234", 2, 1)


def test_slurm_is_left_to_jax():
  assert find_job(SLURM) == Job("SLURM")
  assert find_job(SLURM, "node1:99") == Job("SLURM", "node1:99")


def test_open_mpi_has_rank_and_size_and_newer_ones_no_address():
  old = OPEN_MPI | {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:5"}
  assert find_job(old) == Job("Open MPI", None, 4, 3)
  assert find_job(OPEN_MPI, "node1:99") == Job("Open MPI", "node1:99", 4, 3)
  with pytest.raises(ValueError, match=r"4 processes and does not say .* --coordinator_address"):
    find_job(OPEN_MPI)


@pytest.mark.parametrize(
  "environ",
  [
    {"TPU_WORKER_HOSTNAMES": "t0,t1"},
    {"TPU_PROCESS_ADDRESSES": "t0:8476,t1:8476"},
    {"MEGASCALE_COORDINATOR_ADDRESS": "t0"},
  ],
)
def test_tpu_slices_are_left_to_jax(environ):
  assert find_job(environ) == Job("the TPU slice")


def test_a_host_with_chips_is_part_of_a_slice_unless_jax_is_to_use_something_else(monkeypatch):
  monkeypatch.setattr(cluster.glob, "glob", lambda pattern: ["/dev/accel0"])
  assert find_job({}) == Job("the TPU slice")
  assert find_job({"JAX_PLATFORMS": "cpu"}) is None


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ((None, 2, 1), "name only a part of the job; give all of --coordinator_address=HOST:PORT"),
    (("10.0.0.1:5", 2, None), "name only a part of the job"),
    (("10.0.0.1", 2, 1), "--coordinator_address is '10.0.0.1', expected HOST:PORT"),
    (("10.0.0.1:http", 2, 1), "expected HOST:PORT"),
    (("10.0.0.1:5", 2, 2), r"process 2 of 2: expected 0 .. 1 \(the flags\)"),
  ],
)
def test_wrong_flags_are_refused(flags, message):
  with pytest.raises(ValueError, match=message):
    find_job({}, *flags)


def attempt(data, workdir, *options):
  """Output and seconds of a command that is to fail."""
  line, env = toy.command("train.py", data, workdir, *options)
  began = time.monotonic()
  done = subprocess.run(line, env=env, cwd=toy.ROOT, capture_output=True, text=True, timeout=200)
  assert done.returncode == 1, done.stderr
  assert "Check failure" not in done.stderr  # the trace of the library below
  assert "Traceback" not in done.stderr
  return done.stderr, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
  ("process", "message"),
  [
    (0, "process 0 of 2 has waited 3 s for the others (told by the flags)"),
    (1, "process 1 of 2 found no process 0 at 127.0.0.1:"),
  ],
)
def test_a_process_that_waits_in_vain_says_so(tmp_path, process, message):
  address = f"--coordinator_address=127.0.0.1:{pods.free_port()}"
  others = ("--num_processes=2", f"--process_id={process}", "--join_timeout=3")
  said, seconds = attempt(tmp_path, tmp_path / "run", address, *others)
  assert message in said
  assert seconds < 120
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path):
  with cluster.socket.socket() as other:
    other.bind(("", 0))
    other.listen()
    port = other.getsockname()[1]
    options = (f"--coordinator_address=127.0.0.1:{port}", "--num_processes=2", "--process_id=0")
    said, _ = attempt(tmp_path, tmp_path / "run", *options)
  assert f"process 0 cannot listen at port {port} (Address already in use)" in said


def test_the_limit_ends_only_what_takes_longer():
  with cluster._limit(0.05, "too long", leave=lambda status: ends.append(status)):
    pass
  ends = []
  with cluster._limit(0.02, "too long", leave=ends.append):
    time.sleep(0.3)
  assert ends == [1]


def test_an_error_of_one_process_alone_is_raised():
  with pytest.raises(KeyError), cluster.leaving_together("hrnet train"):
    raise KeyError("x")


def test_an_error_among_several_ends_the_process_at_once():
  code = (
    "import jax; jax.process_count = lambda: 2\n"
    "from hrnet_jax.distributed import cluster\nfrom hrnet_jax.errors import UserError\n"
    "with cluster.leaving_together('hrnet train'):\n"
    "  raise UserError('wrong x')\n"
  )
  done = subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, capture_output=True, text=True)
  assert done.returncode == 1
  assert done.stderr.startswith("hrnet train: wrong x")


def end_among_several(statement):
  code = (
    "import jax; jax.process_count = lambda: 2\n"
    "from hrnet_jax.distributed import cluster\n"
    f"with cluster.leaving_together('hrnet train'):\n  {statement}\n"
  )
  done = subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, capture_output=True, text=True)
  return done.returncode, done.stderr


def test_a_lost_connection_and_an_interrupt_are_one_line():
  gone = "Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:1\\nmore"
  status, said = end_among_several(f"raise jax.errors.JaxRuntimeError('{gone}')")
  assert status == 1
  assert said.startswith("hrnet train: another process has gone without a word (Gloo all-reduce")
  assert said.count("\n") == 1
  assert end_among_several("raise KeyboardInterrupt") == (130, "hrnet train: interrupted\n")


def test_what_another_process_says_ends_this_one(monkeypatch):
  ends, stop = [], cluster.threading.Event()
  note = {"process": 1, "status": 75, "reason": "no data"}
  monkeypatch.setattr(cluster, "_LOOK_SECONDS", 0.01)
  monkeypatch.setattr(cluster.board, "available", lambda: True)
  monkeypatch.setattr(cluster.board, "look", lambda key: cluster.json.dumps(note))
  monkeypatch.setattr(cluster.ending, "leave", lambda *x: (ends.append(x), stop.set()))
  cluster._joined.set()
  try:
    cluster._look_for_ends("hrnet train", stop)
  finally:
    cluster._joined.clear()
  assert ends == [(75, "hrnet train: process 1 has ended: no data")]
