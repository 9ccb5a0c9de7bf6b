"""One writer a folder: refused, taken over from the dead, watched elsewhere, lost after a stop."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from hrnet_jax import ownership, processes
from hrnet_jax.errors import UserError
from hrnet_jax.ownership import Owner, Record
from tests.helpers import environment

CONTEND = """
import pathlib, sys, time
from hrnet_jax.errors import UserError
from hrnet_jax.ownership import Owner
folder = pathlib.Path(sys.argv[1])
for line in sys.stdin:
  try:
    with Owner(folder / line.strip()):
      print("mine", flush=True)
      sys.stdin.readline()
  except UserError as error:
    print(error, flush=True)
    sys.stdin.readline()
  print("done", flush=True)
"""


def elsewhere(folder, **changes):
  """Makes the record of a process of another machine."""
  who = dataclasses.replace(processes.identity(), host="far", boot="another", pid=77)
  record = Record("token", who, str(folder), 1, "hrnet train", "yesterday", **changes)
  (folder / ownership.FOLDER).mkdir()
  path = folder / ownership.FOLDER / "3"
  path.write_text(record.dump())
  return path


def test_a_folder_has_one_owner_and_is_free_afterwards(tmp_path):
  with Owner(tmp_path) as owner:
    owner.check(look=True)
    with pytest.raises(UserError) as refusal, Owner(tmp_path):
      pass
    said = str(refusal.value)
    assert f"{tmp_path} is in use: process {os.getpid()} on {owner.record.who.host}" in said
    assert f"since {owner.record.since}" in said
    assert "choose another --workdir" in said
    assert "\n" not in said
  with Owner(tmp_path) as owner:
    owner.check(look=True)
  number, record = ownership.newest(tmp_path / ownership.FOLDER)
  assert (number, record.released) == (2, True)


def test_few_records_are_kept(tmp_path):
  for _ in range(6):
    with Owner(tmp_path):
      pass
  assert sorted(os.listdir(tmp_path / ownership.FOLDER)) == ["4", "5", "6"]


def test_two_processes_contend_and_one_wins(tmp_path):
  line = [sys.executable, "-c", CONTEND, str(tmp_path)]
  options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
  with (
    subprocess.Popen(line, cwd=environment.ROOT, **options) as first,
    subprocess.Popen(line, cwd=environment.ROOT, **options) as second,
  ):
    for number in range(30):
      (tmp_path / str(number)).mkdir()
      for process in (first, second):
        process.stdin.write(f"{number}\n")
      for process in (first, second):
        process.stdin.flush()
      said = [process.stdout.readline().strip() for process in (first, second)]
      for process in (first, second):
        process.stdin.write("go on\n")
        process.stdin.flush()
      assert [process.stdout.readline() for process in (first, second)] == ["done\n"] * 2
      assert sorted(x == "mine" for x in said) == [False, True], said
      (refused,) = (x for x in said if x != "mine")
      assert "is in use: process" in refused
      winner = (first, second)[said.index("mine")]
      assert f"process {winner.pid} on" in refused


def test_many_threads_contend_and_one_wins(tmp_path):
  outcomes = []
  begin, leave = threading.Barrier(8), threading.Event()

  def contend():
    begin.wait()
    try:
      with Owner(tmp_path):
        outcomes.append("mine")
        leave.wait(20)
    except UserError:
      outcomes.append("refused")

  threads = [threading.Thread(target=contend) for _ in range(8)]
  for thread in threads:
    thread.start()
  deadline = time.monotonic() + 20
  while len(outcomes) < 8 and time.monotonic() < deadline:
    time.sleep(0.01)
  leave.set()
  for thread in threads:
    thread.join()
  assert sorted(outcomes) == ["mine"] + ["refused"] * 7


def test_a_killed_owner_is_followed_at_once(tmp_path):
  code = (
    "import os, pathlib, sys\nfrom hrnet_jax.ownership import Owner\n"
    "with Owner(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
  )
  subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=environment.ROOT, check=False)
  _, record = ownership.newest(tmp_path / ownership.FOLDER)
  assert not record.released
  said = []
  with Owner(tmp_path, say=said.append) as owner:
    owner.check(look=True)
  assert said == []


def test_one_on_another_machine_that_is_silent_is_followed_after_a_while(tmp_path):
  elsewhere(tmp_path)
  said = []
  with Owner(tmp_path, say=said.append, watch_seconds=1.0) as owner:
    owner.check(look=True)
  (line,) = said
  assert "was in use by process 77 on far; watching for 1 s" in line


def test_one_on_another_machine_that_renews_its_record_is_respected(tmp_path):
  path = elsewhere(tmp_path)
  timer = threading.Timer(0.8, os.utime, [path])
  timer.start()
  with pytest.raises(UserError, match="in use: process 77 on far"), Owner(tmp_path):
    pass
  timer.join()


def test_one_on_another_machine_that_gave_it_back_is_followed_at_once(tmp_path):
  elsewhere(tmp_path, released=True)
  said = []
  with Owner(tmp_path, say=said.append):
    assert said == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 1}', '{"who": {}}'])
def test_half_a_record_counts_as_one_for_a_while(tmp_path, content):
  elsewhere(tmp_path).write_text(content)
  said = []
  with Owner(tmp_path, say=said.append, watch_seconds=0.6):
    assert "an unreadable record" in said[0]


def test_whoever_was_taken_over_is_told(tmp_path):
  with Owner(tmp_path, renewal_seconds=0.05) as owner:
    other = dataclasses.replace(
      owner.record, token="x", who=dataclasses.replace(owner.record.who, host="far", pid=8)
    )
    (tmp_path / ownership.FOLDER / "2").write_text(other.dump())
    with pytest.raises(UserError, match="process 8 on far has taken it over"):
      owner.check(look=True)
    with pytest.raises(UserError, match="ends without writing"):
      owner.check()
  assert json.loads((tmp_path / ownership.FOLDER / "2").read_text())["released"] is False


def test_the_renewal_notices_it_as_well(tmp_path):
  with Owner(tmp_path, renewal_seconds=0.05) as owner:
    path = tmp_path / ownership.FOLDER / "1"
    before = path.stat().st_mtime_ns
    deadline = time.monotonic() + 20
    while path.stat().st_mtime_ns == before:
      assert time.monotonic() < deadline
      time.sleep(0.01)
    shutil.rmtree(tmp_path / ownership.FOLDER)
    (tmp_path / ownership.FOLDER).mkdir()
    while not owner._lost:
      assert time.monotonic() < deadline
      time.sleep(0.01)
    with pytest.raises(UserError, match="somebody who removed its record"):
      owner.check()


def test_a_copy_of_a_folder_in_use_is_free(tmp_path):
  (tmp_path / "run").mkdir()
  with Owner(tmp_path / "run"):
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with Owner(tmp_path / "copy") as owner:
      owner.check(look=True)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(UserError, match="in use"), Owner(tmp_path / "link"):
      pass


def test_storage_without_links_will_do(tmp_path, monkeypatch):
  def link(*args):
    raise OSError(errno.EOPNOTSUPP, "no links here")

  monkeypatch.setattr(ownership.os, "link", link)
  with Owner(tmp_path) as owner:
    owner.check(look=True)
    with pytest.raises(UserError, match="in use"), Owner(tmp_path):
      pass


def test_a_disk_without_room_is_an_error(tmp_path, monkeypatch):
  def link(*args):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(ownership.os, "link", link)
  with pytest.raises(OSError, match="No space left"), Owner(tmp_path):
    pass
  assert os.listdir(tmp_path / ownership.FOLDER) == []


def test_a_late_newcomer_with_an_old_number_withdraws(tmp_path):
  late = Owner(tmp_path)
  with Owner(tmp_path):
    (tmp_path / ownership.FOLDER / "1").rename(tmp_path / ownership.FOLDER / "5")
    late._try(2)
    assert late.record is None
    assert os.listdir(tmp_path / ownership.FOLDER) == ["5"]


def test_other_processes_see_whose_folder_it_is(tmp_path):
  with Owner(tmp_path) as owner:
    assert ownership.sees(tmp_path, owner.token, seconds=0)
    assert not ownership.sees(tmp_path, "another", seconds=0)
    assert not ownership.sees(tmp_path / "other", owner.token, seconds=0)
