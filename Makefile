# make demo: the main job on a fresh machine, in process and through the server. make test: install what the tests need and run all
# but those marked nightly, which make test-all adds. make test-fast: those that a change of Python needs.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A CPU build serves the tests; on a GPU machine: make test TORCH=torch
TORCH ?= torch==2.13.0
CPP := $(shell find matcher_cpp serving benchmarks -name '*.cpp' -o -name '*.hpp')
PACKAGES := matcher_cpp/distillex_matcher serving/distillex_serving runtime/distillex client/distillex_client \
            training/distillex_training
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo test test-all test-fast test-times coverage coverage-python coverage-cpp install-serve install-test system-packages check check-installed \
        deploy-tools cpp-test sanitize fuzz fuzz-build load attack restarts deploy-check sbom sign-models verify-models manifest lock develop docs docs-serve \
        release-tools dist try-dist wheels clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

install-serve: $(BIN)/python
	$(PIP) install --quiet '.[serve]' ./client

demo: install-serve
	$(BIN)/python examples/demo.py

# NVIDIA's builder of plans for RTX GPUs has wheels for x86-64 alone; it needs no GPU. Without it its tests are skipped.
# Most modules are never imported: those that are, are compiled then.
INSTALL_TEST = $(PIP) install --quiet --no-compile '$(TORCH)' ./client 'numpy<2'
install-test: $(BIN)/python
	$(INSTALL_TEST) '.[dev,gpu-rtx-cu13]' || $(INSTALL_TEST) '.[dev]'

# What does not need the other goes side by side: compilers work while packages come over the network. Then a worker a core.
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores < 8 ? cores : 8)))
PYTEST = $(BIN)/python -m pytest -q -n $(WORKERS)
TESTED = not nightly
test-all: TESTED =
test-all: test
test: system-packages
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target SECONDS_EACH=5 check-installed deploy-tools \
	  cpp-test sanitize fuzz
	$(PYTEST) -m "$(TESTED)"
check-installed: install-test
	$(MAKE) --no-print-directory check

# What a change of Python needs, in the environment that is there (`make develop`, or an earlier `make test`): no server, no
# training, nothing of deploy/ or the site.
FAST = fast and not slow
test-fast:
	$(PYTEST) -m "$(FAST)" --ignore=tests/deploy --ignore=tests/docs --ignore=tests/load

# How long each group of tests takes, and which tests are slowest; GROUPS="training or docs" runs some.
GROUPS ?= fast or server or training or deploy or docs
test-times:
	mkdir -p build
	$(BIN)/python -m pytest -q -m "$(GROUPS)" --junit-xml=build/test-times.xml; status=$$?; \
	  $(BIN)/python tests/group_times.py build/test-times.xml; exit $$status

# Which lines the tests run: of Python, by all tests (or those of GROUPS); of C++, by its unit tests.
coverage: coverage-python coverage-cpp
coverage-python:
	mkdir -p build/coverage && rm -f build/coverage/python*
	$(BIN)/coverage run -m pytest -q -m "$(GROUPS)"; status=$$?; \
	  $(BIN)/coverage combine --quiet && $(BIN)/coverage report; exit $$status
coverage-cpp:
	@$(HAS_GTEST); cmake -S . --preset coverage -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && \
	  cmake --build build/coverage -j 2 && { find build/coverage -name '*.gcda' -delete; ctest --preset coverage -j 2; } && \
	  find build/coverage/matcher_cpp/CMakeFiles/distillex_core.dir -name '*.gcda' -exec gcov -n -r -s '$(CURDIR)' {} + | \
	  awk -F"[:% ']+" '$$1 == "File" {file = $$2; next} $$1 == "Lines" && file ~ /^matcher_cpp\/src\/.*cpp$$/ { \
	    printf "%6.1f %%  of %4d lines  %s\n", $$3, $$5, file; run += $$3 * $$5 / 100; lines += $$5; file = ""} \
	    END {printf "%6.1f %%  of %4d lines  in all\n", 100 * run / lines, lines}'

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy $(PACKAGES)
	MYPYPATH=load_tests $(BIN)/mypy load_tests/*.py
	MYPYPATH=training/evidence:benchmarks $(BIN)/mypy training/evidence/*.py
	MYPYPATH=deploy/check $(BIN)/mypy deploy/check/*.py
	MYPYPATH=docs/generators $(BIN)/mypy docs/generators/*.py
	MYPYPATH=release $(BIN)/mypy release/*.py
	for model in model_repository/*/1/model.py; do $(BIN)/mypy $$model || exit 1; done

# GoogleTest, clang, Chromium (which reads a rendered page back) and the locales' sources (of which a test builds one with a
# decimal comma) come from the system; where they can be installed, they are. What is missing is skipped below.
SYSTEM_PACKAGES = $(if $(wildcard /usr/include/gtest/gtest.h),,libgtest-dev) $(if $(shell command -v clang++),,clang) \
  $(if $(shell command -v chromedriver),,chromium-driver) $(if $(wildcard /usr/share/i18n/locales/de_DE),,locales)
system-packages:
	@test -z "$(strip $(SYSTEM_PACKAGES))" -o "$$(id -u)" != 0 || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(SYSTEM_PACKAGES) >/dev/null; } || true

HAS_GTEST = test -e /usr/include/gtest/gtest.h || \
  { echo "SKIPPED: the C++ unit tests need GoogleTest (Debian: apt-get install libgtest-dev)"; exit 0; }
cpp-test:
	@$(HAS_GTEST); cmake -S . --preset release -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && \
	  cmake --build build/release -j 2 && ctest --preset release -j 2

# The C++ tests under AddressSanitizer + UndefinedBehaviorSanitizer, and under ThreadSanitizer (without address
# randomisation where that can be turned off: some kernels randomise more than ThreadSanitizer bears).
WITHOUT_ASLR = $(shell setarch $$(uname -m) -R true 2>/dev/null && echo setarch $$(uname -m) -R)
# Where clang is, the first runs on the same build as the fuzz targets.
HAS_CLANG := $(shell command -v clang++)
sanitize: $(if $(HAS_CLANG),fuzz-build)
	@$(HAS_GTEST); for preset in $(if $(HAS_CLANG),fuzz,asan) tsan; do \
	  cmake -S . --preset $$preset -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && cmake --build build/$$preset -j 2 && \
	  $(WITHOUT_ASLR) ctest --preset $$preset -j 2 || exit 1; done
fuzz-build:
	cmake -S . --preset fuzz -DDISTILLEX_BUILD_PYTHON=OFF >/dev/null && cmake --build build/fuzz -j 2

# libFuzzer targets, SECONDS_EACH (needs clang). `make test` runs them shortly, always from the same seed; by hand:
# make fuzz SECONDS_EACH=600 FUZZ_SEED=0 (0 draws one)
SECONDS_EACH ?= 60
FUZZ_SEED ?= 1
fuzz: $(if $(HAS_CLANG),fuzz-build)
	@command -v clang++ >/dev/null || { echo "SKIPPED: the fuzz targets need clang (Debian: apt-get install clang)"; exit 0; }; \
	for target in build/fuzz/matcher_cpp/fuzz_*; do test -x $$target -a -f $$target || continue; \
	  $$target -artifact_prefix=build/fuzz/ -seed=$(FUZZ_SEED) -max_total_time=$(SECONDS_EACH) -max_len=4096 -verbosity=0 -print_final_stats=1 \
	    2>&1 | grep -E 'number_of_executed|average_exec|ERROR|SUMMARY|Test unit' | sed "s|^|$$(basename $$target) |"; \
	  test $${PIPESTATUS[0]} = 0 || exit 1; done

# Teacher against student through the server (10 minutes), then a soak of 10 minutes: reports/load/. By hand:
# load_tests/sweep.py, which chooses the settings of extractor/configs/cpu.pbtxt.
load: install-test
	$(BIN)/python load_tests/compare.py
	$(BIN)/python load_tests/soak.py

# Hostile requests through the gate: 100,000 mutations that reach the models, and the list (some 5 minutes).
attack: install-test
	$(BIN)/python load_tests/attack.py

# Every process of `distillex serve` is killed in turn under 5,000 calls, none of which may be lost (3 minutes).
restarts: install-test
	$(BIN)/python load_tests/restarts.py

# Every file of deploy/ by its real tool, and the images' instructions carried out without Docker (docs/how-to/deploy.md, some 15 minutes
# the first time; as root, with debootstrap and bubblewrap). The short form is among the tests. CHECKS="rules chart" runs some.
deploy-check: install-test
	@test "$$(id -u)" != 0 || { command -v debootstrap && command -v bwrap; } >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap bubblewrap >/dev/null; } || true
	$(BIN)/python deploy/check/run.py $(CHECKS)

# The tools of these checks, which the tests among them need too.
deploy-tools: install-test
	$(BIN)/python deploy/check/tools.py

# What the images install, as CycloneDX.
sbom: install-test
	$(BIN)/python deploy/check/sbom.py build/sbom.cdx.json

# The files of models/manifest.toml, after a model was exported anew.
manifest:
	$(BIN)/python release/manifest.py

# make sign-models KEY=signing.pem (its password: DISTILLEX_SIGNING_PASSWORD); make verify-models KEY=signing.pub
STUDENTS = $(wildcard models/student-*)
sign-models:
	for model in $(STUDENTS); do $(BIN)/distillex models sign $$model --key $(KEY) || exit 1; done
verify-models:
	for model in $(STUDENTS); do $(BIN)/distillex models verify $$model --key $(KEY) || exit 1; done

# The versions that images and checks install, with their hashes (needs uv).
UV_COMPILE = uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url
lock:
	for name in image build; do \
	  $(UV_COMPILE) --python-version 3.11 deploy/requirements/$$name.in -o deploy/requirements/$$name.txt || exit 1; done
	$(UV_COMPILE) --python-version 3.10 deploy/check/tools/requirements.in -o deploy/check/tools/requirements.txt

# The documentation site, into build/site: every link, anchor and page of the navigation is checked. `make test` builds it too.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
docs: install-test
	$(MKDOCS) build --strict

# The site at http://127.0.0.1:8080, built anew as pages change.
docs-serve: install-test
	$(MKDOCS) serve --dev-addr 127.0.0.1:8080

# For work on the source tree: the module in place, and the source folders on the environment's path.
develop: $(BIN)/python
	mkdir -p build
	$(BIN)/python release/requirements.py dev in-place > build/requirements-develop.txt
	$(PIP) install --quiet '$(TORCH)' 'numpy<2'
	$(PIP) install --quiet -r build/requirements-develop.txt
	-$(BIN)/python release/requirements.py gpu-rtx-cu13 | $(PIP) install --quiet -r /dev/stdin
	$(BIN)/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'distillex_source.pth').write_text(''.join(f'{pathlib.Path(p).resolve()}\n' for p in ('matcher_cpp', 'runtime', 'training', 'serving', 'client')))"
	cmake -S . -B build/develop -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
	  -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) >/dev/null
	cmake --build build/develop -j 2 --target inplace

# A release (RELEASING.md): the wheel of this Python and the source distribution, which has no models, of both distributions.
# In pyproject.toml it would take the models out of wheels, too.
WITHOUT_MODELS = sdist.exclude=/models/*/;/.ci;/.github;/docs/notebook
release-tools: $(BIN)/python
	mkdir -p build
	$(BIN)/python release/requirements.py release > build/requirements-release.txt
	$(PIP) install --quiet -r build/requirements-release.txt
dist: release-tools
	rm -rf dist
	$(BIN)/python -m build --sdist --outdir dist -C '$(WITHOUT_MODELS)' .
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/python -m build --outdir dist client

# The wheel in a new environment of each Python from 3.10 to 3.13 at hand. PYTHONS="3.12" tries some.
try-dist: $(BIN)/python
	$(BIN)/python release/try_wheels.py $(PYTHONS)

# Wheels for manylinux and musllinux, in containers (needs Docker).
wheels: $(BIN)/python
	mkdir -p build
	$(BIN)/python release/requirements.py wheels > build/requirements-wheels.txt
	$(PIP) install --quiet -r build/requirements-wheels.txt
	$(BIN)/cibuildwheel --output-dir wheelhouse

clean:
	rm -rf build dist wheelhouse
