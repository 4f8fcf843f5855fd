.DEFAULT_GOAL := help
.PHONY: help serve tools test check clean

PYTHON ?= python3.11
PORT ?= 3000
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# BentoML empties a folder below its home at every start, so each port has a home of its own.
export BENTOML_HOME ?= $(CURDIR)/.bentoml/$(PORT)
export BENTOML_DO_NOT_TRACK ?= True

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/serve.done ## Serve the embedded models on port 3000 (PORT=8080 changes it)
	@mkdir -p $(BENTOML_HOME)
	$(BIN)/bentoml serve service.app:Boxport --port $(PORT)

tools: $(VENV)/tools.done ## Install what training and export need, PyTorch included

test: check ## Check the code, then run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/test.done ## Lint, check types and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict clients/python/src
	PYTHONPATH=. $(BIN)/lint-imports --no-logo

clean: ## Delete everything that the other targets made
	rm -rf $(VENV) .bentoml .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --upgrade 'pip>=25.1'

$(VENV)/serve.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group serve
	@touch $@

$(VENV)/tools.done: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group train
	@touch $@

$(VENV)/test.done: pyproject.toml clients/python/pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --group test --editable clients/python
	$(PIP_INSTALL) --group oracles --no-deps
	@touch $@
