# `make demo` and `make test` set up what they need; nothing is installed twice.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
# An image may say that nothing is compiled for good; here hundreds of processes load the same files.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast check format clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; try make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## four synthetic hospitals train IRENE with patient-level privacy
	$(BIN)/irene-sim run simulations/scenarios/demo.yaml $(DEMO) --out runs/demo-$$(date +%Y%m%d-%H%M%S)

# Federations mostly wait, for one another and for clocks, so more run at once than there are cores. The
# longest files come first (tests/conftest.py) and the many quick ones fill up the end. Up to three
# failures are run again with the machine to themselves, after they were printed: what fails there
# too is a fault, what passes is named again and had no time.
FAILED := .pytest_cache/v/cache/lastfailed
test: $(READY) ## all tests, slow ones first
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder --durations=25 || \
		{ [ $$? = 1 ] && [ $$(grep -c :: $(FAILED)) -le 3 ] && echo "again, alone:" && cat $(FAILED) && \
		OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none; }

test-fast: $(READY) ## the unit tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not figures"

check: $(READY) ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and caches; runs/ is kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
