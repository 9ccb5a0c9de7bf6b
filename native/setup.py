"""A wheel with one shared object, which needs no particular Python; see pyproject.toml."""

import pathlib
import sys

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from compiler import compile_to


class Build(build_py):
  """Python files, and the library beside them."""

  def run(self) -> None:
    super().run()
    folder = pathlib.Path("." if self.editable_mode else self.build_lib) / "hrnet_jax_onednn"
    folder.mkdir(parents=True, exist_ok=True)
    compile_to(folder)


class Wheel(bdist_wheel):
  """One wheel for every Python of a platform."""

  def get_tag(self) -> tuple[str, str, str]:
    return "py3", "none", super().get_tag()[2]


class Binary(Distribution):
  """Has something that depends on the platform."""

  def has_ext_modules(self) -> bool:
    return True


setup(cmdclass={"build_py": Build, "bdist_wheel": Wheel}, distclass=Binary)
