.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: chromium haproxy buildah podman runc debootstrap
.PHONY: help serve tools test test-sdk test-container bench check bento container dist lock cluster protocol clean

# The newest Python that there is. Each is tried: a version manager's names need not run, and Debian
# has the module that makes environments in a package of its own.
PYTHONS := python3.14 python3.13 python3.12 python3.11
FIND_PYTHON := for p in $(PYTHONS); do \
	$$p -c 'import ensurepip, ssl, venv' 2>/dev/null && echo $$p && break; done
PYTHON ?= $(eval PYTHON := $(shell $(FIND_PYTHON)))$(PYTHON)
PORT ?= 3000
REPLICAS ?= 2
ENGINE ?= docker
VENV := .venv
BIN := $(VENV)/bin
NODE_TOOLS := clients/typescript/node_modules/.done
PIP_INSTALL := $(BIN)/python deploy/attempt.py \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check

# BentoML empties a folder below its home at every start, so each port has a home of its own.
export BENTOML_HOME ?= $(CURDIR)/.bentoml/$(PORT)
export BENTOML_DO_NOT_TRACK ?= True

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/serve.done ## Serve the embedded models on port 3000 (PORT=8080 changes it)
	@$(BIN)/python -m service serve --port $(PORT)

cluster: $(VENV)/cluster.done haproxy ## Serve by two processes behind HAProxy (REPLICAS=4 changes it)
	$(BIN)/python deploy/local-cluster start --replicas $(REPLICAS) --port $(PORT)

tools: $(VENV)/tools.done ## Install what training and export need, PyTorch included

test: check $(NODE_TOOLS) ## Check the code, then run all tests
	@test "$$(id -u)" != 0 || $(MAKE) --silent --keep-going chromium haproxy || true
	$(BIN)/python -m pytest -n 3 --dist loadfile --max-worker-restart 0

test-sdk: $(VENV)/test.done ## Test the SDK's wheel on each Python from 3.10 on that there is
	$(BIN)/python -m pytest -m 'full or not full' tests/clients/python/test_alone.py

test-container: $(VENV)/test.done ## Build the image and run it, by Buildah and Podman; as root
	@test "$$(id -u)" != 0 || $(MAKE) --silent --keep-going buildah podman runc debootstrap || true
	$(BIN)/python -m pytest -m 'container and not full' tests/deploy/container

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

dist: $(VENV)/release.done $(NODE_TOOLS) ## Build what a release has into dist/ (TAG=v1.2.3 is checked)
	$(BIN)/python -m deploy.release $(if $(TAG),--tag $(TAG))

lock: $(VENV)/release.done ## Pin what images install, and list its parts and licences
	$(BIN)/python -m deploy.container.lock

# Into a pool of descriptors of their own: a process may hold another program's of the same names.
protocol: $(VENV)/test.done ## Generate gRPC's messages from service/grpc/open_inference.proto
	cd service/grpc && $(CURDIR)/$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. open_inference.proto
	sed -i 's/_descriptor_pool.Default()/_descriptor_pool.DescriptorPool()/' service/grpc/open_inference_pb2.py

clean: ## Delete everything that the other targets made
	rm -rf benchmarks/.venvs benchmarks/.cache
	rm -rf dist clients/typescript/node_modules clients/typescript/dist
	rm -rf $(VENV) .bentoml .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "boxport: there is no Python 3.11 to 3.14 with venv: install one (on Debian and Ubuntu, apt-get install python3 python3-venv), or name it by PYTHON=/path/to/python" >&2; exit 1; }
	@echo "boxport: installing into $(VENV) with $(PYTHON), which takes a minute or more the first time"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "boxport: $(PYTHON) is older than Python 3.11")'
	@$(PYTHON) deploy/attempt.py $(PYTHON) -m venv --clear $(VENV)
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'

$(VENV)/serve.done: pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --group serve
	@touch $@

$(VENV)/cluster.done: pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --group cluster
	@touch $@

$(VENV)/tools.done: pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --group train
	@touch $@

$(VENV)/release.done: pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --group release
	@touch $@

$(VENV)/bench.done: pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --group bench
	@touch $@

$(VENV)/test.done: pyproject.toml clients/python/pyproject.toml | $(VENV)/bin/python
	@$(PIP_INSTALL) --group test --editable 'clients/python[cli]'
	@$(PIP_INSTALL) --group oracles --no-deps
	@touch $@

$(NODE_TOOLS): clients/typescript/package.json clients/typescript/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: the TypeScript client's tests need Node 20 or later" >&2; exit 1; }
	cd clients/typescript && npm ci --silent
	@touch $@

# What the playground's tests drive, what stands before the replicas of a local cluster, and what
# builds and runs the image. Only root can install them; without them their tests are skipped.
chromium haproxy buildah podman runc debootstrap:
	@PATH="$$PATH:/usr/sbin"; command -v $@ >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq --no-install-recommends $@; } \
		|| { echo "boxport: $@ is missing; on Debian: sudo apt-get install $@" >&2; exit 1; }
