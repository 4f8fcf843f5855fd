.DEFAULT_GOAL := help
.PHONY: help serve tools test bench check bento container lock cluster chromium haproxy clean

PYTHON ?= python3.11
PORT ?= 3000
REPLICAS ?= 2
ENGINE ?= docker
VENV := .venv
BIN := $(VENV)/bin
NODE_TOOLS := clients/typescript/node_modules/.done
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# BentoML empties a folder below its home at every start, so each port has a home of its own.
export BENTOML_HOME ?= $(CURDIR)/.bentoml/$(PORT)
export BENTOML_DO_NOT_TRACK ?= True

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/serve.done ## Serve the embedded models on port 3000 (PORT=8080 changes it)
	@mkdir -p $(BENTOML_HOME)
	$(BIN)/bentoml serve service.app:Boxport --port $(PORT)

cluster: $(VENV)/cluster.done haproxy ## Serve by two processes behind HAProxy (REPLICAS=4 changes it)
	$(BIN)/python deploy/local-cluster start --replicas $(REPLICAS) --port $(PORT)

tools: $(VENV)/tools.done ## Install what training and export need, PyTorch included

test: check $(NODE_TOOLS) chromium haproxy ## Check the code, then run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(VENV)/bench.done ## Measure Boxport beside its peers, for an hour, and write docs/performance.md
	$(BIN)/python -m benchmarks run $(BENCH)

check: $(VENV)/test.done ## Lint, check types, directions of imports and import cycles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --python-version 3.10 clients/python/src
	PYTHONPATH=. $(BIN)/lint-imports --no-logo

bento: $(VENV)/release.done ## Build the bento: code, models, pinned packages, SBOM, licences
	@mkdir -p $(BENTOML_HOME)
	$(BIN)/bentoml build

container: ## Make an image of the bento, by Docker (ENGINE=podman changes it)
	@$(ENGINE) info >/dev/null 2>&1 || { echo "$(ENGINE) is missing or does not run: start it, name another by ENGINE=, or build deploy/Dockerfile elsewhere" >&2; exit 1; }
	@$(MAKE) --no-print-directory bento
	$(BIN)/bentoml containerize boxport:latest --backend $(ENGINE) --image-tag boxport:latest

lock: $(VENV)/release.done ## Pin what images install, and list its parts and licences
	$(BIN)/python -m deploy.container.lock

clean: ## Delete everything that the other targets made
	rm -rf benchmarks/.venvs benchmarks/.cache
	rm -rf clients/typescript/node_modules clients/typescript/dist
	rm -rf $(VENV) .bentoml .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --upgrade 'pip>=25.1'

$(VENV)/serve.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group serve
	@touch $@

$(VENV)/cluster.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group cluster
	@touch $@

$(VENV)/tools.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group train
	@touch $@

$(VENV)/release.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group release
	@touch $@

$(VENV)/bench.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group bench
	@touch $@

$(VENV)/test.done: pyproject.toml clients/python/pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group test --editable 'clients/python[cli]'
	$(PIP_INSTALL) --group oracles --no-deps
	@touch $@

$(NODE_TOOLS): clients/typescript/package.json clients/typescript/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: the TypeScript client's tests need Node 20 or later" >&2; exit 1; }
	cd clients/typescript && npm ci --silent
	@touch $@

# What the playground's tests drive. Only root can install it.
chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq --no-install-recommends chromium; } \
		|| { echo "chromium is missing: install it; the playground's tests drive it" >&2; exit 1; }

# What stands before the replicas of a local cluster. Only root can install it.
haproxy:
	@PATH="$$PATH:/usr/sbin"; command -v haproxy >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq --no-install-recommends haproxy; } \
		|| { echo "haproxy is missing: install it; the local cluster needs it" >&2; exit 1; }
