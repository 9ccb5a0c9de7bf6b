"""Compiles the library, with what the packages of `build-system.requires` bring."""

import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

SOURCES = sorted(pathlib.Path("src").glob("*.cc"))
OUTPUT = "libhrnet_jax_onednn.so"


def find_compiler() -> list[str]:
  """The command of a C++ compiler, or nothing."""
  if command := os.environ.get("CXX", "").split():
    return command
  for name in ("c++", "g++", "clang++"):
    if path := shutil.which(name):
      return [path]
  if importlib.util.find_spec("ziglang"):
    return [sys.executable, "-m", "ziglang", "c++", "-target", "x86_64-linux-gnu.2.28"]
  return []


def compile_to(folder: pathlib.Path) -> None:
  """Writes `OUTPUT` into a folder."""
  compiler = find_compiler()
  static = [] if "ziglang" in compiler else ["-static-libstdc++", "-static-libgcc"]
  (jaxlib,) = importlib.util.find_spec("jaxlib").submodule_search_locations
  line = [
    *compiler, "-std=c++17", "-O3", "-shared", "-fPIC", *static,
    "-isystem", str(pathlib.Path(jaxlib) / "include"),
    "-isystem", str(_file("onednn-devel-cpu-gomp", "dnnl.hpp", "include").parent),
    *map(str, SOURCES),
    str(_file("onednn-cpu-gomp", "libdnnl.so.3", "lib")),
    "-o", str(folder / OUTPUT),
  ]  # fmt: skip
  print(*line, flush=True)
  subprocess.run(line, check=True)


def _file(package: str, name: str, folder: str) -> pathlib.Path:
  paths = [pathlib.Path(str(x.locate())).resolve() for x in importlib.metadata.files(package) or ()]
  # The library has names that are links in its package, so the last part may have become longer.
  found = [x for x in paths if x.name.startswith(name) and x.parent.name == folder]
  if not found:
    raise SystemExit(f"package {package} lacks {folder}/{name}")
  return found[0]
