# make demo: the main job on a fresh machine. make test: install what the tests need and run all of them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A CPU build serves the tests; on a GPU machine: make test TORCH=torch
TORCH ?= torch==2.13.0
CPP := $(shell find matcher_cpp -name '*.cpp' -o -name '*.hpp')
PACKAGES := matcher_cpp/distillex_matcher serving/distillex_serving cli/distillex_cli client/distillex_client \
            training/distillex_training
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo test install-serve install-test check cpp-test sanitize fuzz develop bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

install-serve: $(BIN)/python
	$(PIP) install --quiet '.[serve]' ./client

demo: install-serve
	$(BIN)/python examples/demo.py

install-test: $(BIN)/python
	$(PIP) install --quiet '$(TORCH)' 'numpy<2'
	$(PIP) install --quiet '.[serve,lexicon,train,dev]' ./client 'numpy<2'

test: install-test check cpp-test
	$(BIN)/python -m pytest -q

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy $(PACKAGES)
	for model in model_repository/*/1/model.py; do $(BIN)/mypy $$model || exit 1; done

# GoogleTest comes from the system; where it can be installed, it is.
cpp-test:
	@test -e /usr/include/gtest/gtest.h || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq libgtest-dev; } || true
	@if test -e /usr/include/gtest/gtest.h; then \
	  cmake -S . --preset release -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && cmake --build build/release -j 2 && \
	  build/release/matcher_cpp/distillex_core_tests --gtest_brief=1; \
	else echo "SKIPPED: the C++ unit tests need GoogleTest (Debian: apt-get install libgtest-dev)"; fi

# The C++ tests under AddressSanitizer + UndefinedBehaviorSanitizer, and under ThreadSanitizer.
sanitize:
	for preset in asan tsan; do \
	  cmake -S . --preset $$preset -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && cmake --build build/$$preset -j 2 && \
	  build/$$preset/matcher_cpp/distillex_core_tests --gtest_brief=1 || exit 1; done

# libFuzzer targets, SECONDS each (needs clang).
SECONDS_EACH ?= 60
fuzz:
	cmake -S . --preset fuzz -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && cmake --build build/fuzz -j 2
	for target in build/fuzz/matcher_cpp/fuzz_*; do test -x $$target -a -f $$target || continue; \
	  $$target -artifact_prefix=build/fuzz/ -max_total_time=$(SECONDS_EACH) -max_len=4096 -verbosity=0 -print_final_stats=1 || exit 1; done

# For work on the source tree: the module in place, and the source folders on the environment's path.
develop: $(BIN)/python
	$(PIP) install --quiet '$(TORCH)' 'numpy<2' 'nvidia-pytriton>=0.5.12,<1' 'onnxruntime>=1.17,<2' 'tritonclient[grpc]' \
	  transformers accelerate pytorch-crf pyyaml onnx onnxscript safetensors jieba==0.42.1 pytest pytest-asyncio \
	  hypothesis seqeval psutil ruff==0.17.6 mypy==2.4.1 clang-format==14.0.6 pybind11 cmake ninja typer rich
	$(BIN)/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'distillex_source.pth').write_text(''.join(f'{pathlib.Path(p).resolve()}\n' for p in ('matcher_cpp', 'training', 'serving', 'client', 'cli')))"
	cmake -S . -B build/develop -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
	  -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) >/dev/null
	cmake --build build/develop -j 2 --target inplace

clean:
	rm -rf build dist
