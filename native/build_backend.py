"""setuptools, with a compiler from a package where the machine has none."""

from compiler import find_compiler
from setuptools.build_meta import *  # noqa: F403 - a build backend is what this module has
from setuptools.build_meta import get_requires_for_build_wheel as _get_requires


def get_requires_for_build_wheel(config_settings=None):
  """The compiler `ziglang`, a package of 80 MB, where neither $CXX nor a C++ compiler is found."""
  more = [] if find_compiler() else ["ziglang>=0.13,<0.16"]
  return [*_get_requires(config_settings), *more]
