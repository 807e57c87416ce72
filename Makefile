# Everything a person or a machine does with Örtöö is one word here; `make help` lists the words.
# Needs Python 3.11 or later and Node 20 or later. Settings pass through: ORTOO_* in the environment, or ARGS="--port 9000".

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NPM_DONE := node_modules/.package-lock.json
BUNDLE := inbox/web/static/dist/manifest.json
# The bundle carries the icons that pages, scripts and channels name, so it depends on all of them.
BUNDLED := inbox/web/static/build.mjs $(shell find channels inbox templates -type f -not -path '*/static/dist/*' \
	\( -path '*/static/src/*' -o -name '*.html' -o -name '*.py' \))
READY := $(VENV)/.run-installed $(BUNDLE)

.PHONY: help run demo test lint bench lock clean mongod-libraries test-servers

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: $(READY) mongod-libraries ## the server with everything in it (ARGS="--port 9000 --data DIR")
	@exec $(BIN)/ortoo serve $(ARGS)

demo: $(READY) mongod-libraries ## the same with a workspace of invented customers
	@exec $(BIN)/ortoo demo $(ARGS)

test: $(VENV)/.dev-installed $(READY) mongod-libraries test-servers ## all tests (ARGS="tests/core -k lease")
	@$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(VENV)/.dev-installed $(NPM_DONE) ## style, types and the arrows between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy config channels inbox workers tests bench
	$(BIN)/lint-imports
	npm run --silent types

bench: $(VENV)/.dev-installed $(READY) mongod-libraries test-servers ## benchmarks (NAME=ingest for one of them)
	@$(BIN)/python -m bench $(NAME)

lock: ## bring the lock files up to pyproject.toml and package.json (ARGS=--upgrade for newer versions)
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch"; "$$scratch/bin/pip" install --disable-pip-version-check --quiet uv; \
	compile="$$scratch/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links"; \
	export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	$$compile $(ARGS) --output-file requirements.lock pyproject.toml - <<< "setuptools>=77"; \
	$$compile $(ARGS) --output-file requirements-dev.lock --extra dev --constraint requirements.lock \
		pyproject.toml - <<< "setuptools>=77"; \
	npm install --package-lock-only --ignore-scripts

clean: ## remove what was installed and built; data folders stay
	rm -rf $(VENV) node_modules inbox/web/static/dist build *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find channels config inbox tests workers bench -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Örtöö needs Python 3.11 or later as $(PYTHON), or: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/debian-packages python3-venv
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "Python cannot make virtual environments: install python3-venv first"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run-installed: requirements.lock | $(BIN)/python
	@echo "Installing Python packages ..."
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-installed: requirements-dev.lock $(VENV)/.run-installed
	@echo "Installing Python packages for tests ..."
	@$(PIP) install --require-hashes --use-pep517 --no-build-isolation --requirement requirements-dev.lock
	@touch $@

$(NPM_DONE): package.json package-lock.json .npmrc
	@node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null \
		|| { echo "Örtöö needs Node 20 or later with npm to build its pages: see nodejs.org"; exit 1; }
	@echo "Installing front-end packages ..."
	@npm ci --ignore-scripts --no-progress --loglevel=error >/dev/null
	@touch $@

$(BUNDLE): $(NPM_DONE) $(BUNDLED)
	@echo "Bundling the pages ..."
	@npm run --silent build

mongod-libraries:
	@PATH=$$PATH:/sbin; ! command -v ldconfig >/dev/null || ldconfig -p | grep -F libcurl.so.4 >/dev/null \
		|| .ci/debian-packages libcurl4

test-servers:
	@.ci/debian-packages dovecot-imapd chromium libatomic1
