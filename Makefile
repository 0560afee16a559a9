# Every target builds .venv first if it is missing or older than its inputs.
#
#   make demo   [SMALL=1]     collect, train, evaluate and report under runs/demo
#   make test                 fast tests                 make test-slow   slow tests
#   make test-distributed     train and evaluate Push-T in two processes, under runs/distributed
#   make gpu-check [PYTHON=...]   kernels, bfloat16, processes, export and speed on a GPU; installs nothing
#   make hostile [SEED=0]     damaged data and runs, kills and wrong command lines: 1,400 cases, half an hour to an hour
#   make check                lint, types, import layers, spelling, dependencies
#   make docs                 documentation site, in site/
#   make format               format the code            make setup, make clean
#
#   PYTHON=python3.12   Python 3.11 to 3.13; found automatically
#   TORCH=cpu|cuda      PyTorch build; CPU at first, then the last choice

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do $$python -c 'import sys, venv, ensurepip; \
	(3, 11) <= sys.version_info < (3, 14) or sys.exit(1); print(sys._base_executable)' 2>/dev/null && break; done)
TORCH ?= $(or $(patsubst .venv/.ready-%,%,$(firstword $(wildcard .venv/.ready-*))),cpu)
WORKERS ?= 2
SEED ?= 0

BIN := .venv/bin
READY = .venv/.ready-$(TORCH)

.PHONY: demo test test-slow test-distributed gpu-check hostile check docs format setup clean
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/astra demo $(if $(SMALL),--small)

test: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

test-slow: $(READY)
	$(BIN)/pytest -m slow

LAUNCH = $(BIN)/accelerate launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no
TWO = runs/distributed

test-distributed: $(READY)
	rm -rf $(TWO)
	$(BIN)/astra collect pusht --episodes 6 --near-goal 1 --workers 2 --output $(TWO)/data
	$(LAUNCH) -m astra train pusht-expert --dataset $(TWO)/data --output $(TWO)/run \
		--training.updates 20 --training.batch-size 64 --training.log-every 10 --training.validation-every 20
	$(LAUNCH) -m astra evaluate $(TWO)/run --episodes 4 --max-timesteps 40 --agents policy --videos 1
	$(BIN)/python -c "import json; info = json.load(open('$(TWO)/run/eval/eval_info.json')); \
		assert info['overall']['n_episodes'] == 4 and info['overall']['avg_max_reward'] > 0, info['overall']"

gpu-check:
	PYTHONPATH=src $(PYTHON) -m astra.profiling.gpu_check

hostile: $(READY)
	$(BIN)/python -m tests.hostile --seed $(SEED) --workers $(WORKERS)

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/deptry src

docs: $(READY)
	$(BIN)/zensical build --clean --strict

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

setup: $(READY)

$(READY): pyproject.toml constraints.txt scripts/install.py
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 with venv was found: choose one with make PYTHON=..." >&2; exit 2; }
	@test -z "$(filter-out $(READY),$(wildcard .venv/.ready-*))" || rm -rf .venv
	@echo "[1/4] making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python scripts/install.py $(TORCH)
	@touch $@

clean:
	rm -rf .venv .cache .hypothesis .import_linter_cache .pytest_cache .ruff_cache dist site
