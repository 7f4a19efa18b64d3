# `make` lists the targets. `make demo` and `make test` do all their own setup. The scripts for CI and releases
# are in .ci, and tests/campaign runs long campaigns.

# The first Python >= 3.11 found. `make test PYTHON=/path/to/python` selects another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
# Virtual environments have their programs in `Scripts` on Windows.
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

# On Ctrl-C, the program prints one line. `|| [ $$stopped ]` then succeeds, so that make, which Ctrl-C also ends, prints
# no error.
QUIETLY := trap stopped=1 INT

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer not found. Select one with PYTHON=/path/to/python." >&2; exit 1; }
	@$(QUIETLY); $(PYTHON) .ci/install.py $(VENV) --editable requirements.lock && touch $@ || [ $$stopped ]

$(VENV)/.dev: requirements.lock requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer not found. Select one with PYTHON=/path/to/python." >&2; exit 1; }
	@$(QUIETLY); $(PYTHON) .ci/install.py $(VENV) --editable requirements.lock requirements-dev.lock \
		&& touch $(VENV)/.run $@ || [ $$stopped ]
	@command -v npm >/dev/null || echo "npm is not installed, so the tests of the Express example will be skipped."

# The packages of the Express example, for its tests. Its own lock has their hashes.
EXPRESS := examples/express/node_modules/.done
$(EXPRESS): examples/express/package-lock.json
	@echo "Installing the packages of the Express example"
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix examples/express && touch $@ \
		|| echo "npm failed, so the tests of the Express example will be skipped."

.PHONY: demo
demo: $(VENV)/.run ## Show the main job on this machine. Sets itself up
	@$(BIN)/port-hook demo

.PHONY: setup
setup: $(VENV)/.dev $(if $(shell command -v npm 2>/dev/null),$(EXPRESS)) ## Make the development environment in .venv

# tests/progress.py shows how far the tests are. Tests of a module stay together, as they share servers and browsers, but
# a worker that is done takes some from another. tests/ordering.py chooses the order.
TESTS = $(QUIETLY); $(BIN)/python -m pytest --quiet -p tests.progress -n auto --dist worksteal

.PHONY: test
test: setup ## Run the tests, in about 3 minutes. Sets itself up
	@$(TESTS) -m "not extended" || [ $$stopped ]

.PHONY: test-all
test-all: setup ## Run all tests (5 minutes), including those for every handler, language and option, with more examples
	@$(TESTS) --hypothesis-profile=all || [ $$stopped ]

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

# Each platform has its own cache, so that the three can run concurrently.
.PHONY: type-win32 type-darwin
type-win32 type-darwin: type-%: $(VENV)/.dev
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$* port_hook_cli

.PHONY: arch
arch: $(VENV)/.dev ## Check that dependencies point inwards
	$(BIN)/lint-imports

.PHONY: docs
docs: $(VENV)/.dev ## Write the generated pages and the picture of README.md
	$(BIN)/python docs/generate.py

.PHONY: check
check: $(VENV)/.dev ## Check style, types and dependencies, and run the tests
	@$(MAKE) --no-print-directory --jobs 4 lint type arch
	@$(MAKE) --no-print-directory test

.PHONY: site
site: $(VENV)/.dev ## Build the documentation as a site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean
	$(BIN)/python docs/check_site.py build/site

.PHONY: bench
bench: $(VENV)/.dev ## Measure what the README claims. Prints ratios
	$(BIN)/python bench/run.py

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf $(VENV) $(VENV)-* build dist .bench .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf examples/express/node_modules tests/page/node_modules
