# `make` lists the targets. `make demo` and `make test` do all their own set-up.

# The first Python >= 3.11 found; name another with `make test PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; name one with PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: demo
demo: $(VENV)/.run ## Show the main job on this machine; sets itself up
	@$(BIN)/port-hook demo

# Tests of a module stay together, as they share servers and browsers; a worker that is done takes some from another.
PARALLEL := -n auto --dist worksteal

.PHONY: test
test: $(VENV)/.dev ## Run the tests; sets itself up
	$(BIN)/pytest --quiet $(PARALLEL)

.PHONY: test-again
test-again: $(VENV)/.dev ## Run the tests whose result depends on the Python version or the packaging
	$(BIN)/pytest --quiet $(PARALLEL) -m "not once"

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
type: $(VENV)/.dev ## Check types
	$(BIN)/mypy

.PHONY: arch
arch: $(VENV)/.dev ## Check that dependencies point inwards
	$(BIN)/lint-imports

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
	$(BIN)/pytest --quiet $(PARALLEL) --cov --cov-report=term --cov-fail-under=$(COVERED)

.PHONY: check
check: lint type arch coverage ## Everything that CI checks in one tree

.PHONY: build
build: $(VENV)/.dev ## Build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.PHONY: test-wheel
test-wheel: build ## Run those tests against the built wheel, without the source folder
	rm -rf $(VENV)-wheel build/wheel
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(VENV)-wheel/bin/python -m pip install --quiet --no-deps dist/*.whl
	mkdir -p build/wheel
	cp -R tests examples docs README.md CHANGELOG.md Makefile pyproject.toml build/wheel/
	cd build/wheel && $(abspath $(VENV)-wheel)/bin/pytest --quiet $(PARALLEL) -m "not once"

# How many seconds each fuzz test runs for, and how many times each kill test kills.
FUZZ_S ?= 120
KILLS ?= 100

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Fuzz the receiver and verification for FUZZ_S seconds each; prints the seed
	PORT_HOOK_FUZZ_S=$(FUZZ_S) $(BIN)/pytest --quiet --capture=no --timeout=0 -p no:randomly tests/hostile/test_fuzz_verification.py tests/hostile/test_fuzz_receiver.py

.PHONY: kill
kill: $(VENV)/.dev ## Kill listener, sandbox and retargeting KILLS times each; prints what was lost
	PORT_HOOK_KILLS=$(KILLS) $(BIN)/pytest --quiet --capture=no --timeout=600 -p no:randomly tests/process/test_listen_kills.py tests/process/test_sandbox_kills.py tests/process/test_retarget_kills.py

.PHONY: browser
browser: $(VENV)/.dev ## Test the inspector's page at full size, with 1,000,000 captures; needs Chromium; prints the numbers
	PORT_HOOK_BROWSER=1 $(BIN)/pytest --quiet --capture=no -p no:randomly tests/browser

# How long `make mutants` goes on, in seconds, and with which seed: by default another one each time.
MUTANTS_S ?= 600
SEED ?=

.PHONY: mutants
mutants: $(VENV)/.dev ## Mutate the package for MUTANTS_S seconds; prints the mutations that no test catches
	$(BIN)/python tests/mutants/run.py --seconds $(MUTANTS_S) $(if $(SEED),--seed $(SEED))

.PHONY: conformance
conformance: $(VENV)/.dev ## Compare with Port's own engine and API documents; needs npm and a C toolchain
	PYTHONPATH=. $(BIN)/python tests/conformance/run.py
	PORT_HOOK_CONFORMANCE=1 $(BIN)/pytest --quiet -p no:randomly tests/conformance

.PHONY: bench
bench: $(VENV)/.dev ## Measure what the README claims; prints ratios
	$(BIN)/python bench/run.py

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf $(VENV) $(VENV)-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
