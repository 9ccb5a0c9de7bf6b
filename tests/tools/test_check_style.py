"""Each rule of the style checker finds what breaks it, and nothing in code that keeps it."""

import pathlib

import pytest

from tools import check_style

GOOD = '''"""A module."""

from typing import TYPE_CHECKING

from hrnet_jax.ops import low

if TYPE_CHECKING:
  from hrnet_jax import high


class Thing:
  """Transposes, for a purpose."""

  @staticmethod
  def make(a: int, *, b: str) -> None:
    """Makes it."""

  def use(self) -> None:
    """Uses it."""


def _private(a):
  pass
'''
MODELS = "hrnet_jax/models/good.py"
OPS = "hrnet_jax/ops/low.py"
TASK = "hrnet_jax/tasks/poses/loss.py"


def findings(**files: str) -> list[str]:
  """Messages about a small package and `files`, path -> content; `__` stands for a slash."""
  known = {MODELS: GOOD, OPS: '"""Low."""\n', TASK: '"""A loss."""\n'}
  changed = {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
  texts = known | changed
  return [str(x) for x in check_style.check([check_style.File(n, t) for n, t in texts.items()])]


def test_good_code_passes() -> None:
  assert findings() == []


@pytest.mark.parametrize(
  ("files", "expected"),
  [
    (
      {"hrnet_jax__ops__x": '"""X."""\nfrom hrnet_jax.models import good\n'},
      "hrnet_jax/ops/x.py:2: ops imports hrnet_jax.models.good; may import files, errors",
    ),
    (
      {
        "hrnet_jax__data__x": '"""X."""\nimport hrnet_jax.visualize.y\n',
        "hrnet_jax__visualize__y": '"""Y."""\n',
      },
      "data imports hrnet_jax.visualize.y",
    ),
    (
      {"hrnet_jax__models__x": '"""X."""\nfrom hrnet_jax.tasks.poses import loss\n'},
      "models imports hrnet_jax.tasks.poses.loss",
    ),
    (
      {"hrnet_jax__tasks__masks__x": '"""X."""\nfrom hrnet_jax.tasks.poses import loss\n'},
      "a task imports another: hrnet_jax.tasks.poses.loss",
    ),
    (
      {
        "hrnet_jax__tasks__masks__x": '"""X."""\nfrom hrnet_jax.training import step\n',
        "hrnet_jax__training__step": '"""A step."""\n',
      },
      "tasks/* imports hrnet_jax.training.step",
    ),
    (
      {
        "hrnet_jax__ops__x": '"""X."""\nfrom hrnet_jax.ops.y import z\n',
        "hrnet_jax__ops__y": '"""Y."""\ndef f() -> None:\n  """F."""\n  import hrnet_jax.ops.x\n',
      },
      "imports in a circle: hrnet_jax.ops.x -> hrnet_jax.ops.y -> hrnet_jax.ops.x",
    ),
    ({"scripts__x": '"""X."""\nfrom . import y\n'}, "scripts/x.py:2: a relative import"),
    ({"scripts__x": '"""X."""\nfrom .y import z\n'}, "scripts/x.py:2: a relative import"),
    ({"hrnet_jax__ops__x": '"""X."""\nimport torch.nn\n'}, "imports torch.nn; only"),
    ({"train": '"""X."""\nimport tensorflow as tf\n'}, "imports tensorflow; only no file may"),
    ({"hrnet_jax__data__x": '"""X."""\nfrom orbax import y\n'}, "imports orbax.y; only"),
    (
      {"hrnet_jax__checkpoint__x": '"""X."""\nimport flax.linen as nn\n\nA = nn.Dense(3)\n'},
      "hrnet_jax/checkpoint/x.py:4: uses nn.Dense; layers live in",
    ),
    ({"tests__x": '"""X."""\n' + "\n" * 400}, "tests/x.py:401: 401 lines; at most 400"),
    ({"tests__x": "x = 1\n"}, "tests/x.py:1: no docstring"),
    ({"configs__x": '"""X."""\nclass A:\n  pass\n'}, "configs/x.py:2: A: no docstring"),
    (
      {"scripts__x": '"""X."""\nclass A:\n  """A."""\n  def f(self) -> int:\n    return 1\n'},
      "scripts/x.py:4: A.f: no docstring",
    ),
    ({"train": '"""What trains."""\n'}, "train.py:1: the docstring begins with 'What'"),
    (
      {"train": '"""X."""\ndef f(a, *, b=1, **c) -> None:\n  """F."""\n'},
      "train.py:2: f: no type for a, b, c",
    ),
    ({"train": '"""X."""\ndef f() :\n  """F."""\n'}, "train.py:2: f: no return type"),
    (
      {"hrnet_jax__ops__x": '"""X."""\n# the PoseLoss\n'},
      "hrnet_jax/ops/x.py:2: names the task 'pose' outside its folder",
    ),
    (
      {"hrnet_jax__ops__x": '"""X."""\nclass Thing:\n  """T."""\n'},
      "hrnet_jax/ops/x.py:2: class Thing is also in hrnet_jax/models/good.py",
    ),
  ],
)
def test_what_breaks_a_rule_is_found(files: dict[str, str], expected: str) -> None:
  assert any(expected in found for found in findings(**files))


def test_the_command_prints_what_it_finds(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  (tmp_path / "train.py").write_text('"""Trains."""\n')
  assert check_style.main(tmp_path) == 0
  assert capsys.readouterr().out == "1 files are fine\n"
  (tmp_path / "train.py").write_text("x = 1\n")
  assert check_style.main(tmp_path) == 1
  assert capsys.readouterr().out == "train.py:1: no docstring\n1 findings in 1 files\n"


def test_every_part_of_the_package_has_a_layer() -> None:
  root = pathlib.Path(__file__).parents[2]
  known = {part for layer in check_style.LAYERS for part in layer}
  parts = {check_style.part_of(f.module) for f in check_style.read(root) if f.in_package}
  assert parts - known - {"", "tasks"} <= {"plot", "prepare", "__main__"}  # commands
