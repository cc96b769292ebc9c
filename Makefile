# `make run` sets up and does the main job; `make test` sets up and passes the tests.
PYTHON ?= python3
BIN := .venv/bin
STAMPS := .make
.DEFAULT_GOAL := help
FRAMEWORKS := .venv-frameworks/bin
GPU := .venv-gpu/bin
# What torch brings itself, and what is CUDA's alone: not in requirements-frameworks.lock.
TORCH_AND_CUDA := \
  torch torchaudio torchcodec triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand \
  nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 \
  nvidia-nvtx
.PHONY: help setup setup-dev frameworks run test test-frameworks test-gpu check protos bench lock clean

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

frameworks: $(STAMPS)/frameworks  ## NeMo and pyannote in a virtual environment of their own (3 GB), to import checkpoints
$(STAMPS)/frameworks: requirements-frameworks.lock pyproject.toml
	@echo "== set-up: .venv-frameworks with torch, NeMo and pyannote.audio, three to five minutes"
	@PYTHON=$(PYTHON) sh tools/system.sh run
	@test -x $(FRAMEWORKS)/python || $(PYTHON) -m venv .venv-frameworks
	@$(FRAMEWORKS)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	@# torch has a build for each platform: the index that pip is told of chooses. The rest is pinned by digest.
	@$(FRAMEWORKS)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(FRAMEWORKS)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-frameworks.lock
	@$(FRAMEWORKS)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p $(STAMPS) && touch $@

test-frameworks: frameworks  ## tests of what imports NeMo's and pyannote's checkpoints, and of training with torch
	@echo "== tests with NeMo, with pyannote and of training: about six minutes"
	@$(FRAMEWORKS)/sensorium models fetch silero-vad segmentation-3.0 campplus
	@OMP_NUM_THREADS=1 $(FRAMEWORKS)/python -m pytest tests/frameworks/nemo
	@OMP_NUM_THREADS=1 $(FRAMEWORKS)/python -m pytest tests/frameworks/pyannote
	@OMP_NUM_THREADS=1 $(FRAMEWORKS)/python -m pytest tests/frameworks/training

$(STAMPS)/gpu: requirements-gpu.lock tools/build_pycuda.py pyproject.toml
	@echo "== set-up: .venv-gpu with nvcc, TensorRT-RTX and PyCUDA built over a simulated driver, about four minutes"
	@PYTHON=$(PYTHON) sh tools/system.sh gpu
	@test -x $(GPU)/python || $(PYTHON) -m venv .venv-gpu
	@$(GPU)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	@$(GPU)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-gpu.lock
	@$(GPU)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p $(STAMPS)/driver
	@$(GPU)/python -m engines.kernels.simulator $(STAMPS)/driver
	@$(GPU)/python -m tools.build_pycuda --driver $(STAMPS)/driver
	@touch $@

test-gpu: $(STAMPS)/gpu  ## tests of CUDA kernels and TensorRT plans on a machine without a card
	@echo "== tests of the kernels, on the CPU and through PyCUDA, and of the plans: about ten minutes"
	@$(GPU)/python -m pytest tests/gpu

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
	@$(BIN)/uv pip compile -q pyproject.toml tests/frameworks/requirements.in --extra nemo --extra pyannote \
	  $(TORCH_AND_CUDA:%=--no-emit-package %) \
	  --python-version 3.11 --universal --generate-hashes --no-header -o requirements-frameworks.lock
	@$(BIN)/uv pip compile -q pyproject.toml tests/gpu/requirements.in --extra dev \
	  --python-version 3.11 --universal --generate-hashes --no-header -o requirements-gpu.lock

clean:  ## remove what set-up made here (models stay in the cache)
	rm -rf .venv .venv-frameworks .venv-gpu $(STAMPS)
