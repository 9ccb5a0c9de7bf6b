"""Checks the shape of the code: who imports whom, how long files are, what is documented.

`make lint` runs it after ruff. It prints one line per finding, `file:line: message`, and exits
with 1 if there is any. No rule imports the code that it reads.

    python tools/check_style.py [ROOT]
"""

import ast
from collections.abc import Callable, Iterator
import dataclasses
import functools
import graphlib
import pathlib
import re
import sys

PACKAGE = "hrnet_jax"
FOLDERS = (PACKAGE, "configs", "scripts", "benchmarks", "tools", "tests")
MAX_LINES = 400

# The layers of the package, lowest first: a part imports itself and what stands in a line above
# its own. The folder of a task is "tasks/*"; no other part imports one, since the registry finds
# tasks by name, so they may use everything below the command line except training.
LAYERS = (
  ("files", "errors", "markdown", "task_spec", "ending", "processes"),
  ("registry", "config", "ownership"),
  ("ops",),
  ("visualize", "data"),
  ("models",),
  ("distributed",),
  ("run_log",),
  ("checkpoint",),
  ("tasks/interface",),
  ("evaluation",),
  ("training",),
  ("convert",),
  ("predict", "export", "preflight", "parity"),
  ("tasks/*",),
  ("cli",),
)
NEVER = {"tasks/*": {"training", "preflight"}}  # beside what the layers say

# Third-party packages with one home, so that replacing one touches one place.
HOMES: dict[str, tuple[str, ...]] = {
  "flax.linen": tuple(f"{PACKAGE}/{x}/" for x in ("models", "convert", "tasks", "checkpoint")),
  "orbax": (f"{PACKAGE}/checkpoint/", f"{PACKAGE}/distributed/collectives.py"),
  "tensorflow_datasets": (f"{PACKAGE}/data/", f"{PACKAGE}/tasks/*/datasets/"),
  "pycocotools": (f"{PACKAGE}/ops/rle.py", f"{PACKAGE}/tasks/detection/metrics.py"),
  "h5py": (f"{PACKAGE}/tasks/landmarks/datasets/cofw.py",),
  "ml_collections": (
    "configs/",
    "benchmarks/",
    "tools/",
    "train.py",
    "eval.py",
    f"{PACKAGE}/config.py",
    f"{PACKAGE}/checkpoint/networks.py",
  ),
  "torch": (
    f"{PACKAGE}/convert/torch_file.py",
    f"{PACKAGE}/parity/torch_*",
    f"{PACKAGE}/tasks/*/torch_head.py",
    "benchmarks/",
    "tools/",
  ),
  "tensorflow": (),
}
# Keys of files on users' disks, which keep their names although they name a task.
STORED_NAMES = r"\blandmark_names\b|\"landmarks\"(?=  # the key in records)"
OPENINGS = ("What ", "Of ")  # of no docstring: it says what a thing does
# Where layers may be built; elsewhere `flax.linen` is only a type.
LAYER_HOMES = (f"{PACKAGE}/models/", f"{PACKAGE}/tasks/")


@dataclasses.dataclass(frozen=True)
class File:
  """One Python file of the repository.

  Attributes:
    name: path from the root, with slashes.
    text: its content.
  """

  name: str
  text: str

  @functools.cached_property
  def tree(self) -> ast.Module:
    """The syntax tree."""
    return ast.parse(self.text)

  @functools.cached_property
  def nodes(self) -> tuple[ast.AST, ...]:
    """Every node of the tree."""
    return tuple(ast.walk(self.tree))

  @functools.cached_property
  def imports(self) -> tuple[tuple[int, str], ...]:
    """Lines and dotted names: `from a import b` is `a.b`, `from . import b` is `..b`.

    Imports for type checkers alone do not count.
    """
    found = []
    typing = {x for node in self.nodes if is_type_checking(node) for x in ast.walk(node)}
    for node in self.nodes:
      if node in typing:
        continue
      if isinstance(node, ast.Import):
        found += [(node.lineno, alias.name) for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        home = "." * node.level + (node.module or "")
        found += [(node.lineno, f"{home}.{alias.name}") for alias in node.names]
    return tuple(found)

  @property
  def module(self) -> str:
    """Dotted name."""
    return self.name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

  @property
  def is_test(self) -> bool:
    """Whether it lies in `tests/`."""
    return self.name.startswith("tests/")

  @property
  def in_package(self) -> bool:
    """Whether it is part of what is installed."""
    return self.name.startswith(f"{PACKAGE}/")

  @property
  def task(self) -> str:
    """The task in whose folder it lies, or nothing."""
    match = re.match(rf"{PACKAGE}/tasks/(\w+)/", self.name)
    return match[1] if match else ""


@dataclasses.dataclass(frozen=True)
class Finding:
  """A broken rule."""

  file: str
  line: int
  message: str

  def __str__(self) -> str:
    return f"{self.file}:{self.line}: {self.message}"


Findings = Iterator[Finding]


def is_type_checking(node: ast.AST) -> bool:
  """Whether this is `if TYPE_CHECKING:`."""
  return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def read(root: pathlib.Path) -> list[File]:
  """The Python files of a checkout."""
  paths = [*root.glob("*.py"), *(p for x in FOLDERS for p in (root / x).rglob("*.py"))]
  return [File(p.relative_to(root).as_posix(), p.read_text()) for p in sorted(paths)]


def matches(name: str, homes: tuple[str, ...]) -> bool:
  """Whether a path begins with one of the patterns, in which `*` stands for a part of a name."""
  return any(re.match(re.escape(home).replace(r"\*", "[^/]*"), name) for home in homes)


def internal_imports(file: File, modules: set[str]) -> Iterator[tuple[int, str]]:
  """The modules of the package that a file imports; a name inside a module counts as it."""
  for line, name in file.imports:
    while name and name not in modules:
      name = name.rpartition(".")[0]
    if name and name != file.module:
      yield line, name


def part_of(module: str) -> str:
  """`hrnet_jax.ops.resize` -> `ops`, `hrnet_jax.tasks.X.loss` -> `tasks/*`."""
  first, second = [*module.split("."), "", ""][1:3]
  if first == "tasks" and second:
    return "tasks/interface" if second == "interface" else "tasks/*"
  return first


def check_layers(files: list[File]) -> Findings:
  """Imports point one way, and tasks do not import each other."""
  package = [f for f in files if f.in_package]
  modules, tasks = {f.module for f in package}, {f.module: f.task for f in package}
  rank = {part: i for i, layer in enumerate(LAYERS) for part in layer}
  for file in package:
    part = part_of(file.module)
    if part not in rank or file.name.endswith("__main__.py"):
      continue  # the package itself and `python -m` commands are at the top
    for line, module in internal_imports(file, modules):
      other = part_of(module)
      if tasks[module] and file.task and tasks[module] != file.task:
        yield Finding(file.name, line, f"a task imports another: {module}")
      if other in (part, ""):  # the package itself imports nothing before it is asked to
        continue
      if rank.get(other, len(LAYERS)) >= rank[part] or other in NEVER.get(part, ()):
        below = [x for layer in LAYERS[: rank[part]] for x in layer]
        allowed = ", ".join(x for x in below if x not in NEVER.get(part, ()))
        yield Finding(
          file.name, line, f"{part} imports {module}; may import {allowed or 'nothing'}"
        )


def check_circles(files: list[File]) -> Findings:
  """No module imports itself by way of others."""
  package = {f.module: f for f in files if f.in_package}
  graph = {m: {x for _, x in internal_imports(f, set(package))} for m, f in package.items()}
  try:
    graphlib.TopologicalSorter(graph).prepare()
  except graphlib.CycleError as error:
    circle = error.args[1]
    yield Finding(package[circle[0]].name, 1, f"imports in a circle: {' -> '.join(circle)}")


def check_relative_imports(files: list[File]) -> Findings:
  """Imports are absolute."""
  for file in files:
    for line, name in file.imports:
      if name.startswith("."):
        yield Finding(file.name, line, "a relative import")


def check_homes(files: list[File]) -> Findings:
  """Third-party packages stay where `HOMES` has them."""
  for file in files:
    if file.is_test:
      continue
    for line, name in file.imports:
      for package, homes in HOMES.items():
        if f"{name}.".startswith(f"{package}.") and not matches(file.name, homes):
          yield Finding(file.name, line, f"imports {name}; only {homes or 'no file'} may")


def check_linen(files: list[File]) -> Findings:
  """Layers are built in `LAYER_HOMES` alone."""
  for file in files:
    if not file.in_package or matches(file.name, LAYER_HOMES):
      continue
    if not any(name == "flax.linen" for _, name in file.imports):
      continue
    used = (x for x in file.nodes if isinstance(x, ast.Attribute) and is_nn(x.value))
    for node in used:
      if node.attr != "Module":
        message = f"uses nn.{node.attr}; layers live in {' and '.join(LAYER_HOMES)}"
        yield Finding(file.name, node.lineno, message)


def is_nn(node: ast.expr) -> bool:
  """Whether this is the name `nn`."""
  return isinstance(node, ast.Name) and node.id == "nn"


def check_length(files: list[File]) -> Findings:
  """No file is longer than `MAX_LINES`."""
  for file in files:
    count = len(file.text.splitlines())
    if count > MAX_LINES:
      yield Finding(file.name, count, f"{count} lines; at most {MAX_LINES}")


def check_docstrings(files: list[File]) -> Findings:
  """Every module has a docstring, and outside tests so has everything public; none is a riddle."""
  for file in files:
    if not ast.get_docstring(file.tree):
      yield Finding(file.name, 1, "no docstring")
    for name, node in () if file.is_test else public(file.tree):
      if not ast.get_docstring(node) and not name.endswith(".forward"):
        yield Finding(file.name, node.lineno, f"{name}: no docstring")
    for node in () if file.is_test else file.nodes:
      text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
      if text and text.startswith(OPENINGS):
        line = getattr(node, "lineno", 1)
        yield Finding(file.name, line, f"the docstring begins with {text.split()[0]!r}")


Function = ast.FunctionDef | ast.AsyncFunctionDef
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
  """Public functions, classes and methods of a module, with their names."""
  for node in tree.body:
    if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
      yield node.name, node
      for member in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(member, Function) and not member.name.startswith("_"):
          yield f"{node.name}.{member.name}", member


def check_annotations(files: list[File]) -> Findings:
  """Arguments and results of public functions have types."""
  for file in files:
    for name, node in () if file.is_test else public(file.tree):
      if isinstance(node, ast.ClassDef):
        continue
      static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
      bound = "." in name and not static
      a = node.args
      arguments = [*a.posonlyargs, *a.args][bound:] + a.kwonlyargs + [a.vararg, a.kwarg]
      missing = [x.arg for x in arguments if x is not None and x.annotation is None]
      if missing:
        yield Finding(file.name, node.lineno, f"{name}: no type for {', '.join(missing)}")
      if node.returns is None:
        yield Finding(file.name, node.lineno, f"{name}: no return type")


def words(text: str) -> set[str]:
  """Single words of a text, in small letters and the singular; names are taken apart."""
  return {x.lower().removesuffix("s") for x in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}


def check_task_names(files: list[File]) -> Findings:
  """No file of the package names a task outside the task's own folder."""
  tasks = {f.task.removesuffix("s") for f in files if f.task} | {"detector"}
  for file in files:
    if not file.in_package or file.task:
      continue
    for line, text in enumerate(file.text.splitlines(), 1):
      for task in sorted(tasks & words(re.sub(STORED_NAMES, "", text))):
        yield Finding(file.name, line, f"names the task {task!r} outside its folder")


def check_class_names(files: list[File]) -> Findings:
  """No two classes of the package have the same name."""
  homes: dict[str, str] = {}
  for file in files:
    for node in file.tree.body if file.in_package else ():
      if isinstance(node, ast.ClassDef):
        first = homes.setdefault(node.name, file.name)
        if first != file.name:
          yield Finding(file.name, node.lineno, f"class {node.name} is also in {first}")


RULES: tuple[Callable[[list[File]], Findings], ...] = (
  check_layers,
  check_circles,
  check_relative_imports,
  check_homes,
  check_linen,
  check_length,
  check_docstrings,
  check_annotations,
  check_task_names,
  check_class_names,
)


def check(files: list[File]) -> list[Finding]:
  """All findings of all rules, by file and line."""
  found = [finding for rule in RULES for finding in rule(files)]
  return sorted(found, key=lambda x: (x.file, x.line, x.message))


def main(root: pathlib.Path) -> int:
  """Prints the findings in a checkout; 1 if there are any, else 0."""
  files = read(root)
  found = check(files)
  for finding in found:
    print(finding)
  print(f"{len(found)} findings in {len(files)} files" if found else f"{len(files)} files are fine")
  return int(bool(found))


if __name__ == "__main__":
  sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
