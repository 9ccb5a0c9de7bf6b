"""Importing all of the package brings in neither TensorFlow nor PyTorch."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_nothing_pulls_in_tensorflow_or_torch() -> None:
  paths = [p.relative_to(ROOT) for p in (ROOT / "hrnet_jax").rglob("*.py")]
  # Networks written in PyTorch; the parity command and tests import them when they run.
  in_torch = ("parity/torch_*", "tasks/*/torch_head.py")
  paths = [p for p in paths if p.stem != "__main__" and not any(map(p.match, in_torch))]
  names = [".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in paths]
  names += [p.stem for p in ROOT.glob("*.py") if p.stem != "setup"]
  code = f"import sys, importlib\nfor m in {names}: importlib.import_module(m)\n"
  code += "print(sorted({'tensorflow', 'torch'} & set(sys.modules)))"
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip().splitlines()[-1] == "[]"
