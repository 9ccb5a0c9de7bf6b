"""Signals, the compilation cache, and memory after compiling."""

import math
import os
import pathlib
import signal
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax.distributed import runtime


@pytest.fixture
def cache():
  """Restores the folder of the compilation cache."""
  before = jax.config.jax_compilation_cache_dir
  yield
  jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.usefixtures("cache")
def test_compiled_programs_go_to_the_home_folder(monkeypatch):
  monkeypatch.delenv(runtime.CACHE_VARIABLE)
  monkeypatch.setenv("HOME", "/nowhere")
  runtime.use_compilation_cache()
  assert jax.config.jax_compilation_cache_dir == "/nowhere/.cache/hrnet_jax/xla"


def test_a_program_is_that_of_the_shapes_of_its_arguments():
  program = runtime.compiled(jax.jit(lambda x, y: {"sum": x + y}), jnp.ones(3), jnp.zeros(3))
  assert program(jnp.arange(3.0), jnp.ones(3))["sum"].tolist() == [1.0, 2.0, 3.0]
  with pytest.raises(TypeError, match="differ"):
    program(jnp.ones(4), jnp.ones(4))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_what_compiling_needed_goes_back_to_the_system():
  code = """
import pathlib, jax, jax.numpy as jnp
from hrnet_jax.distributed import runtime
program = runtime.compiled(jax.jit(lambda x: x + 1), jnp.ones(3))
held = lambda: int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024
blocks = [bytes(100_000) for _ in range(2000)]
last = bytes(100_000)  # above them, so that their memory does not go back by itself
del blocks
before = held()
runtime.compiled(jax.jit(lambda x: x + 2), jnp.ones(3))
print(before - held())
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert int(done.stdout) > 100  # of 190 MiB


@pytest.mark.usefixtures("cache")
def test_the_environment_names_another_folder_or_none(monkeypatch, tmp_path):
  monkeypatch.setenv(runtime.CACHE_VARIABLE, str(tmp_path))
  runtime.use_compilation_cache()
  assert jax.config.jax_compilation_cache_dir == str(tmp_path)
  monkeypatch.setenv(runtime.CACHE_VARIABLE, "")
  jax.config.update("jax_compilation_cache_dir", None)
  runtime.use_compilation_cache()
  assert jax.config.jax_compilation_cache_dir is None


def test_sigterm_is_noted_and_the_old_handler_comes_back():
  before = signal.getsignal(signal.SIGTERM)
  with runtime.Termination() as termination:
    assert not termination.requested
    os.kill(os.getpid(), signal.SIGTERM)
    assert termination.requested
  assert signal.getsignal(signal.SIGTERM) is before


def test_in_a_notebook_the_first_interrupt_is_noted_and_the_second_raised(monkeypatch):
  monkeypatch.setattr(runtime.ending, "SAME_SECONDS", 0.0)
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    with runtime.Termination() as termination:
      signal.raise_signal(signal.SIGINT)
      assert termination.requested == signal.SIGINT
      with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
  finally:
    signal.signal(signal.SIGINT, before)


def test_a_handler_of_the_users_own_stays_theirs():
  heard = []
  before = signal.signal(signal.SIGINT, lambda *args: heard.append(1))
  try:
    with runtime.Termination() as termination:
      signal.raise_signal(signal.SIGINT)
      assert (termination.requested, heard) == (0, [1])
  finally:
    signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_signals_are_somebody_elses():
  handlers = []

  def enter():
    with runtime.Termination():
      handlers.append(signal.getsignal(signal.SIGTERM))

  thread = threading.Thread(target=enter)
  thread.start()
  thread.join()
  assert handlers == [signal.getsignal(signal.SIGTERM)]


def test_the_time_to_end_depends_on_what_there_is_to_save():
  termination = runtime.Termination(7.0, lambda: "the same command goes on from step 3")
  assert termination.seconds(signal.SIGTERM) == termination.seconds(signal.SIGINT) == 0
  assert termination.line(signal.SIGTERM) == "the same command goes on from step 3"
  termination.started = True
  assert termination.seconds(signal.SIGTERM) == 7
  assert termination.seconds(signal.SIGINT) == math.inf
  assert "no step could be saved in 7 s (checkpoint.grace_seconds); the same command" in (
    termination.line(signal.SIGTERM)
  )
  termination.saving = True
  assert termination.seconds(signal.SIGTERM) == math.inf


def test_a_grace_of_nothing_is_refused():
  with pytest.raises(ValueError, match=r"checkpoint\.grace_seconds is 0, expected more than 0"):
    runtime.Termination(0)


def test_there_is_a_folder_for_the_cache_under_pytest():
  assert pathlib.Path(os.environ[runtime.CACHE_VARIABLE]).is_dir()


def test_without_a_home_folder_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
  def home() -> None:
    raise RuntimeError("Could not determine home directory.")

  updates: list[tuple] = []
  monkeypatch.delenv(runtime.CACHE_VARIABLE, raising=False)
  monkeypatch.setattr(runtime.pathlib.Path, "home", home)
  monkeypatch.setattr(runtime.jax.config, "update", lambda *x: updates.append(x))
  runtime.use_compilation_cache()
  assert not updates
