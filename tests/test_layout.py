"""Rules about the shape of the code: who may import what, how long a file is, what is annotated."""

import ast
from collections.abc import Iterator
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("hrnet_jax", "configs", "scripts", "benchmarks", "tests")
FILES = sorted(
  [*ROOT.glob("*.py"), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))]
)
CODE = [p for p in FILES if "tests" not in p.relative_to(ROOT).parts]
PACKAGE = [p for p in CODE if "hrnet_jax" in p.relative_to(ROOT).parts]

# Imports point one way: a part may import only what stands before it. `data` and `visualize` stand
# beside the rest; whatever is not named here (commands, the package itself) is at the top.
BELOW = {
  "ops": set(),
  "data": {"ops"},
  "visualize": set(),
  "models": {"ops"},
  "convert": {"ops", "models"},
  "losses": {"ops"},
  "metrics": {"ops"},
  "tasks": {"ops", "models", "losses", "metrics", "visualize"},
  "training": {"ops", "models", "losses", "metrics", "tasks", "convert", "data", "visualize"},
  "inference": {"ops", "models", "metrics", "tasks", "data", "visualize", "training"},
  "preflight": {"ops", "tasks", "data", "training"},
}

# Third-party packages with one home, so that replacing one touches one place.
HOMES = {
  "flax.linen": tuple(f"hrnet_jax/{x}/" for x in ("models", "convert", "tasks", "training")),
  "orbax": tuple(f"hrnet_jax/training/{x}.py" for x in ("checkpoint", "items", "processes")),
  "tensorflow_datasets": ("hrnet_jax/data/",),
  "pycocotools": ("hrnet_jax/ops/rle.py", "hrnet_jax/tasks/detection/metrics.py"),
  "h5py": ("hrnet_jax/tasks/landmarks/datasets/cofw.py",),
  "ml_collections": (
    "configs/",
    "train.py",
    "eval.py",
    "hrnet_jax/checkpoint/manager.py",
    "hrnet_jax/convert/__main__.py",
    "hrnet_jax/parity/__main__.py",
    "hrnet_jax/preflight/__main__.py",
    "benchmarks/",
  ),
  "torch": ("hrnet_jax/convert/torch_file.py", "hrnet_jax/parity/torch_", "benchmarks/"),
  "tensorflow": (),
}


def name_of(path: pathlib.Path) -> str:
  return path.relative_to(ROOT).as_posix()


def module_of(path: pathlib.Path) -> str:
  return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(p): p for p in PACKAGE}
# Written in PyTorch; the parity command and tests import them when they run.
IN_TORCH = {m for m in MODULES if m.startswith("hrnet_jax.parity.torch_")}


def imports(path: pathlib.Path) -> Iterator[str]:
  """Absolute dotted names; `from a import b` is `a.b`."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{name_of(path)}:{node.lineno} has a relative import"
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def internal_imports(path: pathlib.Path) -> set[str]:
  """The modules of the package that a file imports (a name inside a module counts as it)."""
  found = set()
  for name in imports(path):
    while name and name not in MODULES:
      name = name.rpartition(".")[0]
    found.add(name)
  return found - {"", module_of(path)}


def part_of(module: str) -> str:
  """`hrnet_jax.ops.resize` -> `ops`; `hrnet_jax` -> ``."""
  return [*module.split("."), ""][1]


each_file = pytest.mark.parametrize("path", FILES, ids=name_of)
each_code_file = pytest.mark.parametrize("path", CODE, ids=name_of)
each_module = pytest.mark.parametrize("path", PACKAGE, ids=name_of)


@each_module
def test_imports_point_one_way(path: pathlib.Path) -> None:
  part = part_of(module_of(path))
  if part in BELOW and path.name != "__main__.py":  # `python -m` commands are at the top
    parts = {part_of(m) for m in internal_imports(path)} - {part}
    wrong = parts - BELOW[part]
    assert not wrong, f"{name_of(path)} imports {wrong or 'hrnet_jax'}; may import {BELOW[part]}"


def test_imports_have_no_cycles() -> None:
  graph = {module: internal_imports(path) for module, path in MODULES.items()}
  graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


@each_code_file
def test_packages_stay_at_home(path: pathlib.Path) -> None:
  for name in imports(path):
    for package, homes in HOMES.items():
      if f"{name}.".startswith(f"{package}."):
        assert name_of(path).startswith(homes or ("nowhere",)), (
          f"{name_of(path)} imports {name}; only {homes or 'no file'} may"
        )


@each_module
def test_linen_is_only_a_type_outside_models(path: pathlib.Path) -> None:
  tree = ast.parse(path.read_text())
  if part_of(module_of(path)) != "models" and "flax.linen" in imports(path):
    used = {x.attr for x in ast.walk(tree) if isinstance(x, ast.Attribute) and is_nn(x.value)}
    assert used <= {"Module"}, f"{name_of(path)} uses nn.{used}; layers live in hrnet_jax/models/"


def is_nn(node: ast.expr) -> bool:
  return isinstance(node, ast.Name) and node.id == "nn"


@each_file
def test_files_stay_short(path: pathlib.Path) -> None:
  assert len(path.read_text().splitlines()) <= 400


@each_file
def test_modules_have_a_docstring(path: pathlib.Path) -> None:
  assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


def public_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, bool]]:
  """Public functions of a module and public methods of its public classes."""
  for node in tree.body:
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
      yield node, False
    elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
      for member in node.body:
        if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
          static = any(getattr(d, "id", "") == "staticmethod" for d in member.decorator_list)
          yield member, not static


@each_code_file
def test_public_signatures_are_annotated(path: pathlib.Path) -> None:
  for function, bound in public_functions(ast.parse(path.read_text())):
    where = f"{name_of(path)}:{function.lineno} {function.name}"
    assert function.returns is not None, f"{where}: no return type"
    a = function.args
    arguments = [*a.posonlyargs, *a.args][bound:] + a.kwonlyargs + [a.vararg, a.kwarg]
    missing = [x.arg for x in arguments if x is not None and x.annotation is None]
    assert not missing, f"{where}: no type for {missing}"


def test_nothing_pulls_in_tensorflow_or_torch() -> None:
  commands = [module_of(p) for p in ROOT.glob("*.py")]
  modules = [m for m in MODULES if not m.endswith("__main__") and m not in IN_TORCH] + commands
  code = f"import sys, importlib\nfor m in {modules}: importlib.import_module(m)\n"
  code += "print(sorted({'tensorflow', 'torch'} & set(sys.modules)))"
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip().splitlines()[-1] == "[]"
