# What people type. Everything runs in .venv, which is made on first use and renewed when
# requirements.txt or pyproject.toml change. `make PYTHON=/path/to/python` picks the interpreter.

SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help quickstart test test-all test-slow test-parity fuzz benchmark wheel docs lint format clean

PYTHON := python3.11 python3.12 python3.13 python3
RUNS := runs/quickstart
# The tests of parity need no GPU; TORCH can also say where a build for the CPU alone is found.
TORCH := torch==2.13.0
# Two processes, each with the cores that the other leaves; whole files, so that fixtures are shared.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder --durations=10
BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
PIP := $(BIN)/python $(INSTALL)
# Faster convolutions for x86-64 Linux, where they can be built; everything works without them.
NATIVE := $(wildcard native/*.toml native/*.py native/src/*.cc native/src/*.h native/hrnet_jax_onednn/*.py)
WITH_NATIVE = [ "$$(uname -sm)" != "Linux x86_64" ] || $(PIP) ./native > .venv/native.log 2>&1 \
  || echo "native/ could not be built, so a CPU computes more slowly; .venv/native.log says why"

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

quickstart: .venv/.run ## install, train a small network on generated shapes, evaluate it
	@$(BIN)/hrnet train --config=quickstart --workdir=$(RUNS)
	@$(BIN)/hrnet eval --config=quickstart --workdir=$(RUNS)
	@echo
	@echo "Done. In $(CURDIR)/$(RUNS):"
	@echo "  eval/pictures/   predictions beside image, truth and errors"
	@echo "  eval/metrics.json, metrics.jsonl, tensorboard/   scores and curves"
	@echo "  checkpoints/     the trained network"
	@echo "Next:"
	@echo "  label a photo    $(BIN)/hrnet predict --checkpoint=$(RUNS) --input=photo.jpg --output=predictions"
	@echo "  your own data    docs/tutorials/, one page for each task"

test: lint ## style checks, and the tests that take minutes: start here
	@$(BIN)/python -m pytest $(WORKERS) -m "not slow and not wide and not torch"

test-all: test test-slow test-parity ## every test

test-slow: .venv/.dev ## long runs, several processes and devices, faults
	@$(BIN)/python -m pytest $(WORKERS) -m "slow and optimised and not wide and not torch"
	@XLA_FLAGS="$$XLA_FLAGS $$($(BIN)/python -m tests.helpers.environment)" \
	  $(BIN)/python -m pytest $(WORKERS) -m "slow and not optimised and not wide and not torch"

test-parity: .venv/torch/.done ## compare with PyTorch, timm and all fixtures
	@.venv/torch/bin/python -m pytest $(WORKERS) -m "torch or wide"

fuzz: .venv/torch/.done ## hand damaged files of every kind to what reads them, for two minutes
	@.venv/torch/bin/python -m tests.fuzz --seconds=100

benchmark: .venv/torch/.done ## time and memory beside PyTorch, on an otherwise idle machine
	@.venv/torch/bin/python -m benchmarks --output=runs/benchmark.json

wheel: .venv/.created ## build the wheel, install it apart, and work with it in an empty folder
	@tools/check_wheel.sh $(abspath $(BIN))/python

docs: .venv/docs/.done ## build the documentation into site/, every link checked
	@NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --strict --quiet

lint: .venv/.dev ## style checks alone
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python tools/check_style.py
	@$(BIN)/mypy

format: .venv/.dev ## rewrite the files in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove the environment and the caches; runs/ stays
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist site ./*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	@for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making .venv with $$("$$python" --version)"; \
	    "$$python" -m venv --clear .venv && touch $@; exit; \
	  fi; \
	done; \
	echo "No Python 3.11 or newer found (tried: $(PYTHON))." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1

.venv/.run: .venv/.created requirements.txt pyproject.toml $(NATIVE)
	@echo "Installing the package into .venv (a few minutes the first time)"
	@$(PIP) --editable .
	@$(WITH_NATIVE)
	@touch $@

.venv/.dev: .venv/.created requirements.txt pyproject.toml $(NATIVE)
	@echo "Installing the package and its tools into .venv (a few minutes the first time)"
	@$(PIP) --editable '.[dev]'
	@$(WITH_NATIVE)
	@touch $@

# An environment on top of the other, so that the rest keeps being tested without PyTorch. timm
# comes without its dependencies: torchvision needs CUDA, and the networks need nothing of it.
.venv/torch/.done: .venv/.dev
	@echo "Installing PyTorch and timm into .venv/torch (a few minutes the first time)"
	@$(BIN)/python -m venv --clear .venv/torch
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$(.venv/torch/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	@.venv/torch/bin/python $(INSTALL) $(TORCH)
	@.venv/torch/bin/python $(INSTALL) huggingface-hub safetensors pyyaml
	@.venv/torch/bin/python $(INSTALL) --no-deps 'timm>=1.0,<2'
	@touch $@

# The documentation is made from the text of the sources: it needs nothing that the package needs.
.venv/docs/.done: .venv/.created pyproject.toml
	@echo "Installing MkDocs into .venv/docs"
	@$(BIN)/python -m venv --clear .venv/docs
	@$(BIN)/python -c 'import tomllib; \
	  extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	  print(*extras["docs"], sep="\n")' > .venv/docs/requirements.txt
	@.venv/docs/bin/python $(INSTALL) --requirement .venv/docs/requirements.txt
	@touch $@
