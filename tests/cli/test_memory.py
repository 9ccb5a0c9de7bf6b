"""Processes start themselves again for huge pages, once."""

import os
import pathlib
import subprocess
import sys

import pytest

from hrnet_jax.cli import memory

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import os, sys
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), *sys.argv[1:], flush=True)
from hrnet_jax.cli import memory
memory.restart_with_huge_pages()
print("end")
"""


@pytest.fixture
def pages(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """Where the system says how it gives huge pages: on demand."""
  file = tmp_path / "enabled"
  file.write_text("always [madvise] never\n")
  monkeypatch.setattr(memory, "_PAGES", file)
  monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
  return file


def test_only_on_demand_and_where_nobody_decided(pages, monkeypatch) -> None:
  assert memory.huge_pages() == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
  pages.write_text("[always] madvise never\n")
  assert not memory.huge_pages()
  pages.write_text("always [madvise] never\n")
  monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
  assert not memory.huge_pages()
  monkeypatch.delenv("GLIBC_TUNABLES")
  pages.unlink()
  assert not memory.huge_pages()


def test_the_process_stays_the_same(pages, tmp_path) -> None:
  script = tmp_path / "program.py"
  aim = f"memory._PAGES = __import__('pathlib').Path({str(pages)!r})\nmemory.restart"
  script.write_text(PROGRAM.replace("memory.restart", aim))
  env = {**os.environ, "PYTHONPATH": str(ROOT)}
  line = [sys.executable, "-W", "error", str(script), "--a=b c"]
  process = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, text=True)
  out, _ = process.communicate(timeout=60)
  assert process.returncode == 0
  assert out.splitlines() == [
    f"{process.pid} None --a=b c",
    f"{process.pid} glibc.malloc.hugetlb=1 --a=b c",
    "end",
  ]
