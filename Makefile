# `make` lists the targets. `make demo` and `make test` do all their own set-up.

# The first Python >= 3.11 found; name another with `make test PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
# Virtual environments have their programs in `Scripts` on Windows.
PROGRAMS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(PROGRAMS)

# The locks name every package, so that pip need not look for dependencies. `make test-install` checks that
# requirements.lock lacks none.
LOCKED := --quiet --no-deps --require-hashes

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; name one with PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(LOCKED) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "Installing what the tests need (about 2 minutes the first time)"
	@$(BIN)/python -m pip install $(LOCKED) -r requirements-dev.lock
	@touch $@

.PHONY: demo
demo: $(VENV)/.run ## Show the main job on this machine; sets itself up
	@$(BIN)/port-hook demo

# Tests of a module stay together, as they share servers and browsers; a worker that is done takes some from another.
# tests/ordering.py chooses the order, and tests/progress.py shows how far they are.
PARALLEL := -p tests.progress -n auto --dist worksteal

# After Ctrl-C, tests/progress.py prints one line. The shell then succeeds, so that make, which Ctrl-C ends too, adds none.
TESTS = @trap stopped=1 INT; $(BIN)/python -m pytest --quiet $(PARALLEL) $(1) || [ $$stopped ]

.PHONY: test
test: $(VENV)/.dev ## Run the tests; sets itself up
	$(call TESTS,-m "not extended")

.PHONY: test-all
test-all: $(VENV)/.dev ## Run all tests, including those for every handler, language and option, with more examples
	$(call TESTS,--hypothesis-profile=all)

# The tests of the pure part, which does no I/O. On Windows, they need `make` and Git Bash.
PORTABLE := $(addprefix tests/,actions invocations javascript prediction runs signatures text workflows)

.PHONY: test-portable
test-portable: $(VENV)/.dev ## Run the tests that don't need POSIX (for Windows)
	$(call TESTS,$(PORTABLE))

.PHONY: setup
setup: $(VENV)/.dev ## Make the development environment in .venv

.PHONY: fmt
fmt: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lint
lint: $(VENV)/.dev ## Check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: type
type: type-here type-win32 type-darwin ## Check types, including for Windows and macOS

.PHONY: type-here
type-here: $(VENV)/.dev
	$(BIN)/mypy

# Each platform has its own cache, because `make check` runs these targets at the same time.
.PHONY: type-win32 type-darwin
type-win32 type-darwin: type-%: $(VENV)/.dev
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$* port_hook_cli

.PHONY: arch
arch: $(VENV)/.dev ## Check that dependencies point inwards
	$(BIN)/lint-imports

# TypeScript and ESLint, for `make page` only. The page doesn't need packages or a build.
tests/page/node_modules/.done: tests/page/package-lock.json
	npm ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/page
	@touch $@

PAGE := port_hook_cli/inspector/page

.PHONY: page
page: tests/page/node_modules/.done ## Check types and style of the inspector's page, and run its unit tests; needs npm
	tests/page/node_modules/.bin/tsc --project tests/page
	tests/page/node_modules/.bin/eslint --config tests/page/eslint.config.js $(PAGE) tests/page
	node --no-warnings --test tests/page/

.PHONY: docs
docs: $(VENV)/.dev ## Write the generated pages and the picture of README.md
	$(BIN)/python docs/generate.py

.PHONY: screenshots
screenshots: $(VENV)/.dev ## Write the pictures of the inspector; needs Chromium
	$(BIN)/python docs/screenshots.py

# In percent. 95.98 is reached where there is no SSH server; the scripts that run as `python -IS` cannot be measured.
COVERED = 95.5

.PHONY: coverage
coverage: $(VENV)/.dev ## Run the tests, and check how much of the code they and their processes run
	$(call TESTS,-m "not extended" --cov --cov-report=term --cov-fail-under=$(COVERED))

.PHONY: check
check: $(VENV)/.dev ## Everything that CI checks in one tree
	@$(MAKE) --no-print-directory --jobs 4 lint type arch
	@$(MAKE) --no-print-directory test

.PHONY: site
site: $(VENV)/.dev ## Build the documentation as a site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean
	$(PYTHON) docs/check_site.py build/site

# This environment has only the build tools, so no package that tests need can change what is published.
$(VENV)-build/.done: requirements-build.lock
	rm -rf $(VENV)-build
	$(PYTHON) -m venv $(VENV)-build
	$(VENV)-build/$(PROGRAMS)/python -m pip install $(LOCKED) -r requirements-build.lock
	@touch $@

.PHONY: build
build: $(VENV)-build/.done ## Build the wheel and the source archive into dist/
	rm -rf dist
	$(VENV)-build/$(PROGRAMS)/python -m build --no-isolation --outdir dist . >/dev/null

.PHONY: image
image: build ## Build the container image port-hook; needs Docker
	docker build --tag port-hook .

# Every Python on PATH that port-hook supports.
PYTHONS ?= $(shell for p in 3.11 3.12 3.13 3.14; do \
	python$$p -c 'import ensurepip' 2>/dev/null && echo python$$p; done)

.PHONY: test-install
test-install: build $(VENV)/.dev ## Install the wheel with each Python in an empty environment, and the source archive; run the demo
	$(BIN)/twine check --strict dist/*
	@for python in $(PYTHONS); do $(MAKE) --no-print-directory try-install PYTHON=$$python PACKAGE="$$(ls dist/*.whl)" || exit 1; done
	@$(MAKE) --no-print-directory try-install PACKAGE="$$(ls dist/*.tar.gz)"

.PHONY: try-install
try-install:
	@echo "$(PACKAGE) with $(PYTHON)"
	@rm -rf $(VENV)-install && $(PYTHON) -m venv $(VENV)-install
	@$(VENV)-install/$(PROGRAMS)/python -m pip install $(LOCKED) -r requirements.lock
	@$(VENV)-install/$(PROGRAMS)/python -m pip install --quiet --no-deps $(PACKAGE)
	@$(VENV)-install/$(PROGRAMS)/python -m pip check
	@diff -r -x __pycache__ port_hook_cli "$$($(VENV)-install/$(PROGRAMS)/$(PACKAGES))/port_hook_cli"
	@cd $(VENV)-install && $(PROGRAMS)/port-hook --version && $(PROGRAMS)/port-hook demo >/dev/null
	@test -s $(VENV)-install/share/man/man1/port-hook.1

# Tests whose result depends on the packaging or the Python version: every command, the Python API, the pytest plugin,
# jq's process, the store, HTTP and the listener. On GitHub, `make test` runs with each Python version.
# `make test-wheel IN_WHEEL=tests NOT_FOR_WHEEL=` runs all tests.
IN_WHEEL ?= $(addprefix tests/,test_python_api.py captures/store contract engines http listener pytest_plugin terminal \
	cli/test_first_use.py::test_first_use_without_options_is_helpful)

# The Python for the tests of the wheel. CI uses a second Python if the machine has one.
WHEEL_PYTHON ?= $(PYTHON)
WHEEL_VENV = $(VENV)-wheel-$(subst /,_,$(WHEEL_PYTHON))

# Packages that these tests don't need. They have three quarters of the files in the development environment.
NOT_FOR_WHEEL ?= babel boto3 botocore cfn-lint mkdocs-material moto mypy networkx sympy

# Prints a lock file without these packages. A name ends at its version or extras, as in `moto[s3]==5.2.5`.
WITHOUT_THEM = awk -F '[=[]' '/^[^ ]/ { kept = !index(" $(NOT_FOR_WHEEL) ", " " $$1 " ") } kept'

$(WHEEL_VENV)/.done: requirements.lock requirements-dev.lock
	rm -rf $(WHEEL_VENV)
	$(WHEEL_PYTHON) -m venv $(WHEEL_VENV)
	mkdir -p build
	$(WITHOUT_THEM) requirements-dev.lock > build/wheel.lock
	$(WHEEL_VENV)/$(PROGRAMS)/python -m pip install $(LOCKED) -r requirements.lock -r build/wheel.lock
	@touch $@

.PHONY: test-wheel
test-wheel: build $(WHEEL_VENV)/.done ## Run tests that depend on Python or packaging against the built wheel, without the source folder
	$(WHEEL_VENV)/$(PROGRAMS)/python -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	rm -rf build/wheel
	mkdir -p build/wheel
	cp -R tests examples docs README.md CHANGELOG.md SECURITY.md Makefile mkdocs.yml pyproject.toml build/wheel/
	cd build/wheel && $(abspath $(WHEEL_VENV))/$(PROGRAMS)/python -m pytest --quiet $(PARALLEL) -m "not once and not extended" $(IN_WHEEL)

# pip uses one core, so with `make --jobs 2` both environments take as long as one.
.PHONY: environments
environments: $(VENV)/.dev $(WHEEL_VENV)/.done ## Make the environments for development and for the tests of the wheel

# Folders of tests to skip: their code calls few dependencies. `make test-lowest NOT_IN_LOWEST=` skips none.
NOT_IN_LOWEST ?= actions agent browser captures check conformance contract doctor examples handlers hostile inspector invocations javascript kafka mutants prediction process replay reporting retarget runs sandbox signatures terminal text trigger workflows

# Prints the folder in which an environment has its packages.
PACKAGES = python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

# The environment has only the lowest versions. It takes Python and all other packages from the development environment.
.PHONY: test-lowest
test-lowest: $(VENV)/.dev ## Run tests with the lowest versions of the dependencies that pyproject.toml allows
	rm -rf $(VENV)-lowest
	$(BIN)/python -m venv $(VENV)-lowest
	$(BIN)/$(PACKAGES) > "$$($(VENV)-lowest/$(PROGRAMS)/$(PACKAGES))/development.pth"
	$(VENV)-lowest/$(PROGRAMS)/python -m pip install $(LOCKED) --ignore-installed -r requirements-lowest.lock
	$(VENV)-lowest/$(PROGRAMS)/python -m pip install --quiet --ignore-installed --no-deps --editable .
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)-lowest/$(PROGRAMS)/python -m pytest --quiet $(PARALLEL) -m "not once and not extended" $(addprefix --ignore=tests/,$(NOT_IN_LOWEST))

# How to start uv, which compiles the locks. With `UPGRADE=1`, it locks the newest versions.
UV ?= uv
UPGRADE ?=
RESOLVE = $(UV) pip compile --quiet --universal --python-version 3.11 --no-strip-extras --no-header --no-annotate --no-emit-index-url
COMPILE = $(RESOLVE) pyproject.toml
HASHED = $(COMPILE) --generate-hashes $(if $(UPGRADE),--upgrade)
EVERYTHING = --all-extras --group dev --group docs --group package
# Prints the packages of the second lock, without those that the first has with the same version and condition.
FURTHER = awk 'NR == FNR { if (/^[^ ]/) seen[$$0]; next } /^[^ ]/ { skip = $$0 in seen } !skip'

.PHONY: lock
lock: ## Lock the dependencies again, after pyproject.toml was changed; needs uv
	mkdir -p build
	$(HASHED) --extra ssh --output-file requirements.lock
	cat requirements.lock requirements-dev.lock > build/newest.txt
	$(HASHED) $(EVERYTHING) --constraints requirements.lock --output-file build/newest.txt
	$(FURTHER) requirements.lock build/newest.txt > requirements-dev.lock
	$(RESOLVE) --group build --generate-hashes --constraints build/newest.txt --output-file requirements-build.lock
	$(COMPILE) --all-extras --resolution lowest-direct --no-deps --output-file build/lowest-direct.txt
	grep '^pytest==' build/lowest-direct.txt > build/lowest-pytest.txt # overrides plugins that require a newer pytest
	cp build/newest.txt build/lowest.txt
	$(HASHED) $(EVERYTHING) --constraints build/lowest-direct.txt --overrides build/lowest-pytest.txt --output-file build/lowest.txt
	$(FURTHER) build/newest.txt build/lowest.txt > requirements-lowest.lock

# How many seconds each fuzz test runs for, and how many times each kill test kills.
FUZZ_S ?= 120
KILLS ?= 100

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Fuzz verification, the receiver, connections, Kafka, state files and umasks for FUZZ_S seconds each; prints the seed
	PORT_HOOK_FUZZ_S=$(FUZZ_S) $(BIN)/pytest --quiet --capture=no --timeout=0 -p no:randomly tests/hostile/test_fuzz_verification.py tests/hostile/test_fuzz_receiver.py tests/hostile/test_fuzz_connections.py tests/process/test_hostile_broker.py tests/hostile/test_fuzz_state_files.py tests/files/test_own_files.py

.PHONY: kafka
kafka: $(VENV)/.dev ## Kill listeners that read 10,000 messages of Kafka, cut their connections, and hand over partitions
	PORT_HOOK_KILLS=1 $(BIN)/pytest --quiet --timeout=600 -p no:randomly tests/process/test_kafka_kills.py

.PHONY: kill
kill: $(VENV)/.dev ## Kill listener, members of a Kafka group, sandbox, login and retargeting KILLS times each, and cut the listener's log; prints what was lost
	PORT_HOOK_KILLS=$(KILLS) $(BIN)/pytest --quiet --capture=no --timeout=600 -p no:randomly tests/process/test_listen_kills.py tests/process/test_kafka_group_kills.py tests/process/test_sandbox_kills.py tests/process/test_login_kills.py tests/process/test_retarget_kills.py

.PHONY: browser
browser: $(VENV)/.dev ## Test the inspector's page at full size, with 1,000,000 captures; needs Chromium; prints the numbers
	PORT_HOOK_BROWSER=1 $(BIN)/pytest --quiet --capture=no -p no:randomly tests/browser

# `make mutants` stops after SAMPLE mutants or MUTANTS_S seconds. Without SEED, each run tries different ones. The first
# run after the package or its tests change runs all tests once to record which lines they run.
SAMPLE ?= 300
MUTANTS_S ?= 3600
SEED ?=

.PHONY: mutants
mutants: $(VENV)/.dev ## Try SAMPLE mutations of the package; prints those that no test catches, and the share caught in each folder
	$(BIN)/python tests/mutants/run.py --sample $(SAMPLE) --seconds $(MUTANTS_S) $(if $(SEED),--seed $(SEED))

# pyjq builds jq 1.5, whose C is older than the compilers' defaults. Its setup.py needs lib2to3: Python 3.11 or 3.12.
.PHONY: pyjq
pyjq: ## Build the execution agent's jq, with which `make test-all` then compares; needs autoconf, automake, libtool and a C toolchain
	$(PYTHON) -m venv build/pyjq
	CFLAGS="-std=gnu89 -fcommon" build/pyjq/$(PROGRAMS)/python -m pip install --quiet --no-binary pyjq pyjq==2.6.0

.PHONY: conformance
conformance: $(VENV)/.dev ## Compare with Port's own engine and API documents; needs npm and a C toolchain
	PYTHONPATH=. $(BIN)/python tests/conformance/run.py
	PORT_HOOK_CONFORMANCE=1 $(BIN)/pytest --quiet -p no:randomly tests/conformance

.PHONY: bench
bench: $(VENV)/.dev ## Measure what the README claims; prints ratios
	$(BIN)/python bench/run.py

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf $(VENV) $(VENV)-* build dist .bench .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
