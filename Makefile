# `make run` sets up and does the main job; `make test` sets up and passes the tests.
PYTHON ?= python3
BIN := .venv/bin
STAMPS := .make
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test check protos bench lock clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

setup: $(STAMPS)/setup  ## virtual environment with the locked dependencies (no torch), about a minute
$(STAMPS)/setup: requirements.lock pyproject.toml
	@echo "== set-up: .venv with the locked dependencies, about a minute"
	@PYTHON=$(PYTHON) sh tools/system.sh run
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p $(STAMPS) && touch $@

setup-dev: $(STAMPS)/setup-dev
$(STAMPS)/setup-dev: $(STAMPS)/setup requirements-dev.lock
	@echo "== set-up for tests: linters, Playwright and Debian's Chromium, one to three minutes"
	@PYTHON=$(PYTHON) sh tools/system.sh test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

run: setup  ## set up, fetch the models (340 MB once), stream the sample meeting, leave the page open
	@$(BIN)/sensorium demo

test: setup-dev  ## all tests
	@echo "== tests: models are fetched first (600 MB once); then about ten minutes"
	@$(BIN)/sensorium models fetch --all
	@$(BIN)/python -m pytest

check: setup-dev  ## lint, types, import rules, wire, generated code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint
	@sh tools/check_generated.sh

protos: setup-dev  ## generate the code beside protos/*/v1/*.proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. protos/*/v1/*.proto

bench: setup-dev  ## latency, accuracy, CPU and memory on the sample meeting -> benchmarks/results
	@$(BIN)/python -m benchmarks

lock:  ## resolve the dependencies again
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile -q pyproject.toml --python-version 3.11 --universal --generate-hashes --no-header -o requirements.lock
	@$(BIN)/uv pip compile -q pyproject.toml --extra dev --python-version 3.11 --universal --generate-hashes --no-header -o requirements-dev.lock

clean:  ## remove what set-up made here (models stay in the cache)
	rm -rf .venv $(STAMPS)
