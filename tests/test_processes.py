"""Whether a process lives: this one, one that has ended, one that is not fetched, one elsewhere."""

import dataclasses
import os
import subprocess
import sys

import pytest

from hrnet_jax import processes

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_this_process_lives():
  own = processes.identity()
  assert own.pid == os.getpid()
  assert processes.lives(own) is True


def test_one_that_has_ended_does_not():
  with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
    who = processes.identity(other.pid)
    assert processes.lives(who) is True
  assert processes.lives(who) is False


@on_linux
def test_a_number_that_was_given_again_is_another_process():
  own = processes.identity()
  assert processes.lives(dataclasses.replace(own, start=str(int(own.start) - 1))) is False


@on_linux
def test_what_has_ended_and_was_not_fetched_is_dead():
  other = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
  who = processes.identity(other.pid)
  other.stdout.read()  # to its end
  os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
  assert processes.lives(who) is False
  other.wait()
  other.stdout.close()


@pytest.mark.parametrize("change", [{"boot": "x"}, {"namespace": "pid:[1]"}, {"pid": 0}])
def test_nothing_is_said_of_other_machines(change):
  assert processes.lives(dataclasses.replace(processes.identity(), **change)) is None


def test_without_proc_the_host_and_the_number_count(monkeypatch):
  monkeypatch.setattr(processes, "_machine", lambda: ("", ""))
  monkeypatch.setattr(processes, "_state", lambda pid: ("", ""))
  own = processes.identity()
  assert processes.lives(own) is True
  assert processes.lives(dataclasses.replace(own, host="elsewhere")) is None
  assert processes.lives(dataclasses.replace(own, pid=2**40)) is False
