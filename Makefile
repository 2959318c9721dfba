# Kontor's commands. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
DATA ?= .data
VENV := .venv
BIN := $(VENV)/bin
# Locks are complete and hashed; nothing but built packages is installed.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
LOCK := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL -u UV_INDEX_URL -u UV_FIND_LINKS PIP_CONFIG_FILE=/dev/null \
	$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-emit-package kontor
# Many tests wait for processes, so two workers pay on two cores and on one. WORKERS=0 is one process, for debugging.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder
GROUPS := customers sales tickets gateway local

export PYTHONPATH := $(CURDIR)

.PHONY: help run test check bench fmt lock migrate accelerate clean-accelerator
help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Kontor needs Python 3.11 or newer (set PYTHON=/path/to/python3.11).' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo 'Python cannot make virtual environments: install python3-venv and try again.' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# Two stamps: what running needs, and what developing needs on top.
$(VENV)/.local: requirements-local.lock | $(BIN)/python
	@echo 'Installing packages (once) ...'
	@$(PIP) -r requirements-local.lock && touch $@
$(VENV)/.dev: requirements.lock | $(BIN)/python
	@echo 'Installing packages for development (once) ...'
	@$(PIP) -r requirements.lock && touch $@ $(VENV)/.local

run: $(VENV)/.local ## Run the suite on this machine: http://127.0.0.1:8000 (PORT=, DATA=, ARGS=--json-logs)
	@exec $(BIN)/python -m deploy.local --port $(PORT) --data $(DATA) $(ARGS)

test: $(VENV)/.dev ## Run the tests (WORKERS=2; ARGS= goes to pytest)
	@$(PYTEST) $(ARGS)

check: $(VENV)/.dev ## Everything CI checks: format, lint, types, import contracts, locks, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@! grep -nE 'https?://' requirements*.lock
	@$(PYTEST) $(ARGS)

bench: $(VENV)/.dev ## Run one benchmark: make bench BENCH=name
	@$(BIN)/python -m tests.bench.$(BENCH) $(ARGS)

accelerate: | $(BIN)/python ## Compile the gateway's data path (optional; needs a C compiler)
	@$(PIP) -r requirements-accelerate.lock
	@$(BIN)/python -m deploy.accelerator

clean-accelerator: | $(BIN)/python ## Remove what was compiled: the gateway is pure Python again
	@$(BIN)/python -m deploy.accelerator --clean

fmt: $(VENV)/.dev ## Format and sort
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix-only --quiet .

lock: $(BIN)/python ## Resolve the locks anew (needs uv: pip install uv)
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(BIN)/python -m pip install --quiet uv
	@$(LOCK) pyproject.toml --extra local --group dev -o requirements.lock
	@for group in $(GROUPS); do \
		$(LOCK) pyproject.toml --extra $$group -c requirements.lock -o requirements-$$group.lock || exit 1; done
	@$(LOCK) --group accelerate -c requirements.lock -o requirements-accelerate.lock

migrate: $(VENV)/.local ## Bring the databases of DATA to the newest schema without serving
	@$(BIN)/python -m deploy.local --port $(PORT) --data $(DATA) --migrate-only
