# Each target sets up .venv first if there is none, or if the project's requirements changed since.
# The interpreter is yours to choose: make PYTHON=python3.12 order

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
READY_TO_TEST := .venv/.ready-to-test

# CUDA kernels, interpreted: a process of its own, since the simulator replaces the compiler
SIMULATED := NUMBA_ENABLE_CUDASIM=1 $(BIN)/python -m pytest -n auto tests/simulator -m

.DEFAULT_GOAL := help
.PHONY: help setup order test check deep readme docs format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY_TO_TEST) ## make .venv and install the pinned requirements into it, those of the tests too

order: $(READY) ## the main job: every method's claimed order beside its measured one
	@$(BIN)/assay order

test: $(READY_TO_TEST) ## run the everyday tests
	@$(BIN)/python -m pytest -n auto --dist worksteal
	@$(SIMULATED) 'simulator and not slow'

check: $(READY_TO_TEST) ## lint, formatting, types and tests that need no GPU: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not deep and not gpu and not simulator'
	$(SIMULATED) simulator

deep: $(READY_TO_TEST) ## all tests that need no GPU, also the many alike ones that CI leaves out
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not gpu and not simulator'

readme: $(READY) ## measure every method again and write the table into README.md
	$(BIN)/python -m studies.readme

docs: $(READY_TO_TEST) ## build the site from docs/ into site/, without a network; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo 'open site/index.html, or for the search: $(BIN)/python -m http.server --directory site'

format: $(READY_TO_TEST) ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and what the tools left
	rm -rf site .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find analytic solvers studies tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PYTHON is $(PYTHON), which is missing or older than 3.11: try make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# The build backend goes in first and from the same pins: pip does not apply constraints to an isolated build.
$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing into .venv (a few minutes the first time)'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable .
	@touch $@

# torch and the tools of the tests are large and only the tests need them.
$(READY_TO_TEST): $(READY)
	@echo 'installing what the tests need'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[test]'
	@touch $@
