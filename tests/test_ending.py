"""Ctrl-C and SIGTERM in a process of its own: one line, the right status, never lost."""

import signal
import subprocess
import sys
import time

import pytest

from hrnet_jax import ending
from tests.helpers import environment

PRELUDE = """
import contextlib, gc, hashlib, signal, sys, threading, time
from hrnet_jax import ending
ending._UNWINDING = 0.6
process = ending.CommandProcess("hrnet test")
process.start()
def compute():
  hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, without a look at signals
def begin():
  print("begun", flush=True)
def compute_and_begin():
  threading.Timer(0.3, begin).start()
  compute()
class Answer:
  noted, wait = [], 0.6
  def note(self, signum, frame): self.noted.append(signum)
  def seconds(self, signum): return self.wait
  def line(self, signum): return "it goes on from step 3"
  def notice(self): return "ending with a checkpoint"
"""

pytestmark = pytest.mark.usefixtures("interruptible")


def end(code: str, *signals: int, gap: float = 0.0, prelude: str = PRELUDE) -> tuple[int, str]:
  """Status and stderr of a program that gets signals once it has begun."""
  process = subprocess.Popen(
    [sys.executable, "-c", prelude + code],
    cwd=environment.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "begun\n", process.communicate()
  for number in signals:
    process.send_signal(number)
    time.sleep(gap)
  said = process.communicate(timeout=60)[1]
  return process.returncode, said


def test_python_is_interrupted_where_it_stands():
  code = """
try:
  begin()
  time.sleep(60)
except KeyboardInterrupt:
  ending.leave(130, "hrnet test: interrupted; put in order")
"""
  assert end(code, signal.SIGINT) == (130, "hrnet test: interrupted; put in order\n")


def test_a_computation_that_does_not_look_at_signals_is_ended():
  assert end("compute_and_begin()", signal.SIGINT) == (130, "hrnet test: interrupted\n")


def test_the_second_interrupt_does_not_wait():
  code = "ending._UNWINDING = 500\ncompute_and_begin()"
  status, said = end(code, signal.SIGINT, signal.SIGINT, gap=0.6)
  assert (status, said) == (130, "hrnet test: interrupted\n")


def test_interrupts_at_the_same_time_are_one():
  code = """
answer = Answer()
answer.wait = float("inf")
with process.graceful(answer):
  begin()
  time.sleep(1.5)
"""
  said = "hrnet test: ending with a checkpoint\n"
  assert end(code, signal.SIGINT, signal.SIGINT, signal.SIGINT, gap=0.01) == (0, said)


def test_an_interrupt_that_a_library_swallows_comes_again():
  code = """
def callback(phase, info):
  if phase == "start":
    gc.callbacks.clear()
    begin()
    time.sleep(1)
gc.callbacks.append(callback)
try:
  gc.collect()
  time.sleep(60)
except KeyboardInterrupt:
  ending.leave(130, "interrupted again")
"""
  assert end(code, signal.SIGINT) == (130, "interrupted again\n")


def test_an_interrupt_of_an_import_is_not_raised_in_it():
  code = """
import pathlib, tempfile
folder = tempfile.mkdtemp()
pathlib.Path(folder, "slow_one.py").write_text(
  "import time\\nprint('begun', flush=True)\\n"
  "try:\\n  time.sleep(60)\\nexcept BaseException as e:\\n  print('raised', e)\\n"
)
sys.path.insert(0, folder)
import slow_one
"""
  assert end(code, signal.SIGINT) == (130, "hrnet test: interrupted\n")


def test_threads_say_nothing_of_what_an_interrupt_took_from_them():
  code = """
def work():
  while not process.interrupted: time.sleep(0.01)
  raise RuntimeError("cannot schedule new futures")
thread = threading.Thread(target=work)
thread.start()
try:
  begin()
  time.sleep(60)
except KeyboardInterrupt:
  thread.join()
"""
  assert end(code, signal.SIGINT) == (0, "")


def test_a_background_job_ignores_it():
  prelude = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PRELUDE
  assert end("begin(); time.sleep(1)", signal.SIGINT, prelude=prelude) == (0, "")


def test_what_waits_is_answered_once_somebody_listens():
  prelude = PRELUDE.replace("process.start()", "ending.hold()")
  code = """
begin()
time.sleep(1)
try:
  process.start()
  time.sleep(60)
except KeyboardInterrupt:
  ending.leave(130, "heard")
"""
  assert end(code, signal.SIGINT, prelude=prelude) == (130, "heard\n")


@pytest.mark.parametrize(
  ("number", "status", "word"),
  [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_an_end_that_takes_longer_than_it_may_is_cut(number, status, word):
  code = """
answer = Answer()
signal.signal(signal.SIGTERM, answer.note)
with process.graceful(answer):
  compute_and_begin()
"""
  assert end(code, number) == (status, f"hrnet test: {word}; it goes on from step 3\n")


def test_a_graceful_end_has_the_time_that_it_asks_for():
  code = """
answer = Answer()
with process.graceful(answer):
  begin()
  while not answer.noted: time.sleep(0.01)
  answer.wait = float("inf")
  time.sleep(1.2)
time.sleep(0.5)
print("saved", file=sys.stderr)
"""
  said = "hrnet test: ending with a checkpoint\nsaved\n"
  assert end(code, signal.SIGINT) == (0, said)


def test_a_second_interrupt_ends_a_graceful_end():
  code = """
answer = Answer()
answer.wait = 50
with process.graceful(answer):
  compute_and_begin()
"""
  status, said = end(code, signal.SIGINT, signal.SIGINT, gap=0.7)
  assert (status, said) == (130, "hrnet test: interrupted; it goes on from step 3\n")


def test_a_second_sigterm_does_not():
  code = """
answer = Answer()
answer.wait = 50
signal.signal(signal.SIGTERM, answer.note)
with process.graceful(answer):
  begin()
  while len(answer.noted) < 2: time.sleep(0.01)
"""
  assert end(code, signal.SIGTERM, signal.SIGTERM, gap=0.7) == (0, "")


def test_a_thread_does_not_keep_a_command_from_ending():
  code = """
ending._LAST_CALL = 0.5
threading.Thread(target=time.sleep, args=(60,)).start()
begin()
process.last_call(3)
sys.exit(3)
"""
  assert end(code) == (3, "")


def test_leaving_calls_those_who_asked_last_first():
  code = """
def told(name):
  return lambda status, text: print(name, status, text, file=sys.stderr, flush=True)
def fail(status, text):
  raise ValueError
with ending.before_leaving(told("a")):
  with ending.before_leaving(told("never")):
    pass
  with ending.before_leaving(fail), ending.before_leaving(told("b")):
    begin()
    ending.leave(7, "the end")
"""
  assert end(code) == (7, "the end\nb 7 the end\na 7 the end\n")


def test_there_is_no_command_in_a_notebook():
  assert ending.command() is None
  assert not ending.interrupted()
