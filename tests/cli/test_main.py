"""One command: help, usage, messages in the place of tracebacks, and what is imported for it."""

import importlib
import pathlib
import subprocess
import sys
import types

import jax
import pytest

from hrnet_jax import __version__, cli, errors
from hrnet_jax.cli import arguments
from hrnet_jax.cli import main as command
from hrnet_jax.run_log.running_mean import Diverged

ROOT = pathlib.Path(__file__).parents[2]
WITH_CONFIG = ("train", "eval", "convert", "parity", "preflight")


@pytest.fixture
def failing(monkeypatch):
  """Makes `hrnet plot` raise what is put in the list."""
  raised = []

  def main(parser, argv):
    raise raised[0]

  fake = types.SimpleNamespace(__doc__="Fails.", add_arguments=lambda parser: None, main=main)
  monkeypatch.setitem(sys.modules, "hrnet_jax.cli.plot", fake)
  monkeypatch.delenv(errors.TRACEBACK, raising=False)
  return raised


@pytest.mark.parametrize("argument", ["--help", "-h", "help", None])
def test_help_lists_every_command(argument, capsys):
  assert command.main([argument] if argument else []) == 0
  out = capsys.readouterr().out
  assert all(f"\n  {name} " in out for name in command.COMMANDS)
  assert "Exit status: 0; 1 after a mistake" in out


def test_every_command_has_a_file_and_the_other_way_round():
  files = {p.stem for p in pathlib.Path(cli.__file__).parent.glob("*.py")}
  assert files - {"__init__", "main", "arguments", "memory"} == set(command.COMMANDS)


@pytest.mark.parametrize("name", command.COMMANDS)
def test_help_of_a_command_has_an_example_of_every_kind(name, capsys):
  with pytest.raises(SystemExit, match="0"):
    command.main([name, "--help"])
  out = capsys.readouterr().out
  assert f"\n  hrnet {name}" in out
  assert ("--print_config" in out) == (name in WITH_CONFIG)
  assert importlib.import_module(f"hrnet_jax.cli.{name}").__doc__.strip() in out


def test_version(capsys):
  assert command.main(["--version"]) == 0
  version, convolutions = capsys.readouterr().out.splitlines()
  assert version == f"hrnet {__version__}"
  assert convolutions == "convolutions on a CPU: XLA (programs run on 8 devices)"


def test_unknown_command_names_the_known_ones(capsys):
  assert command.main(["trian"]) == 2
  error = capsys.readouterr().err
  assert error.startswith("hrnet: unknown command 'trian'; did you mean train?")
  assert "preflight" in error


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["train"], "the following arguments are required: --config, --workdir"),
    (["train", "--config=quickstart"], "the following arguments are required: --workdir"),
    (["train", "--workdri=x"], "unrecognized argument: --workdri=x (did you mean --workdir?)"),
    (["train", "--confg.x=3"], "unrecognized argument: --confg.x=3"),
    (["train", "--workdir=a", "b"], "unrecognized argument: b"),
    (["eval", "--config=quickstart"], "the following arguments are required: --workdir"),
    (["train", "--config.seed=1", "--workdir=a"], "required: --config"),
    (["convert", "--config.seed=1"], "--config.seed=1 needs a --config"),
    (["plot", "--config.seed=1", "--workdirs=a", "--figures=b", "--output=c"], "unrecognized"),
    (["train", "--num_processes=0"], "0 is not positive"),
    (["train", "--process_id=-1"], "'-1' is not a whole number, 0 or more"),
    (["train", "--print_config"], "the following arguments are required: --config"),
  ],
)
def test_wrong_usage_has_status_2(arguments, message, capsys):
  with pytest.raises(SystemExit, match="2"):
    command.main(arguments)
  assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--config=quickstrat"], "there is no file 'quickstrat' and no config of that name; did you "),
    (["--config=tests/no_such.py"], "no file 'tests/no_such.py'"),
    (["--config=quickstart", "--config.train.stepz=3"], "no key 'stepz'; did you mean \"steps\"?"),
    (["--config=quickstart", "--config.trian.steps=3"], "no key 'trian'; did you mean \"train\"?"),
    (["--config=quickstart", "--config.train.steps=a"], "flag --config.train.steps=a: invalid"),
  ],
)
def test_mistakes_in_a_config_are_one_line(arguments, message, capsys):
  assert command.main(["train", *arguments, "--workdir=/gone"]) == 1
  error = capsys.readouterr().err
  assert error.startswith("hrnet train: ")
  assert message in error
  assert error.count("\n") == 1


@pytest.mark.parametrize(
  "error", [errors.UserError("wrong x"), errors.ConfigKeyError("wrong x"),
            FileNotFoundError("wrong x"), OSError("wrong x"), Diverged("wrong x")],
)  # fmt: skip
def test_errors_of_the_user_end_with_the_message(error, failing, capsys, monkeypatch):
  failing.append(error)
  assert command.main(["plot"]) == 1
  assert capsys.readouterr().err == "hrnet plot: wrong x\n"
  monkeypatch.setenv(errors.TRACEBACK, "1")
  assert command.main(["plot"]) == 1
  assert "Traceback" in (said := capsys.readouterr().err)
  assert said.rstrip().endswith("wrong x")


@pytest.mark.parametrize("error", [ZeroDivisionError(), ValueError("x"), TypeError("x")])
def test_errors_of_the_program_keep_their_traceback(error, failing):
  failing.append(error)
  with pytest.raises(type(error)):
    command.main(["plot"])


def test_an_interrupt_has_a_status_of_its_own(failing, capsys):
  failing.append(KeyboardInterrupt())
  assert command.main(["plot"]) == 130
  assert capsys.readouterr().err == "hrnet plot: interrupted\n"


def test_print_config_needs_no_workdir_and_prints_python(capsys):
  with pytest.raises(SystemExit, match="0"):
    command.main(["train", "--config=quickstart", "--print_config", "--config.train.steps", "3"])
  printed = eval(capsys.readouterr().out)  # a literal of ours
  assert printed["train"]["steps"] == 3
  assert printed["data"]["name"] == "shapes"


def test_values_of_flags():
  assert arguments.comma_separated("a,b,") == ["a", "b"]
  assert (arguments.positive("3"), arguments.count("0")) == (3, 0)


def test_help_and_the_table_of_models_import_neither_tfds_nor_orbax():
  code = (
    "import sys\nfrom hrnet_jax.cli.main import main\nfrom hrnet_jax.models import summary\n"
    "main(['--help'])\nassert 'tensorflow_datasets' not in sys.modules\n"
    "summary.variants = lambda: ()\nmain(['models'])\n"
    "print(sorted({'tensorflow_datasets', 'orbax', 'grain', 'tensorflow'} & set(sys.modules)))"
  )
  done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
  assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("door", [["train.py"], ["-m", "hrnet_jax", "train"]])
def test_the_doors_lead_to_the_same_command(door):
  line = [sys.executable, *door, "--config=quickstrat", "--workdir=/gone"]
  done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 1
  assert done.stderr.startswith("hrnet train: --config=quickstrat: ")


@pytest.mark.parametrize(
  ("error", "message"),
  [
    (MemoryError("Unable to allocate 33 TiB"), "not enough memory (Unable to allocate 33 TiB)"),
    (MemoryError(), "not enough memory (MemoryError); use smaller batches, images or networks"),
    (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 bytes\nmore"), "not enough memory (RES"),
    (RuntimeError("Could not determine home directory."), "there is no home folder"),
  ],
)  # fmt: skip
def test_what_the_machine_lacks_is_one_line(failing, capsys, error, message):
  failing.append(error)
  assert command.main(["plot"]) == 1
  said = capsys.readouterr().err
  assert said.startswith(f"hrnet plot: {message}")
  assert said.count("\n") == 1


@pytest.mark.parametrize(
  "error", [jax.errors.JaxRuntimeError("INTERNAL: a bug"), RuntimeError("a bug"), KeyError("a bug")]
)
def test_bugs_keep_their_traceback(failing, error):
  failing.append(error)
  with pytest.raises(type(error), match="a bug"):
    command.main(["plot"])


@pytest.mark.parametrize("flag", ["--workdir=gs://a/b", "--config.data.data_dir=s3://a"])
def test_buckets_are_refused_before_a_folder_is_made(flag, capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert command.main(["train", "--config=quickstart", f"--workdir={tmp_path / 'w'}", flag]) == 1
  assert "mount the bucket" in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["loss.class_weights=(1.0,2.0)", "transform.eval.base_size=480"])
def test_keys_that_documents_name_can_be_given(flag, capsys):
  argv = ["train", "--config=segmentation/image_folder", f"--config.{flag}", "--print_config"]
  with pytest.raises(SystemExit, match="0"):
    command.main(argv)
  assert flag.partition("=")[2].replace(",", ", ") in capsys.readouterr().out
