# Every target sets up what it needs in .venv. Python 3.11+ and make are all that is asked for.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Half of the time tests wait for browsers, kernels and servers, so four share two cores. A file's
# tests stay together: each file keeps its own servers, files and clocks.
WORKERS := -n 4 --dist loadfile --no-loadscope-reorder
# Workers and the kernels they start read what was compiled before, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=
# Checks the JavaScript as it is, without a build (deno.json says how).
DENO   := DENO_NO_UPDATE_CHECK=1 $(BIN)/deno

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick lint format types bench screenshots notebooks clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# A stamp per set of extras: pip runs again only when pyproject.toml has changed.
$(VENV)/.demo: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once; a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) for the tests (once; a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

demo: $(VENV)/.demo ## Open JupyterLab on the explorer and a simulated market (no key needed)
	@$(BIN)/python -m vastnb demo $(DEMO_ARGS)

test: $(VENV)/.test ## Run everything: lint, types, units, notebooks, browser
	@$(MAKE) --no-print-directory lint types
	@$(DENO) test -q --no-check tests/js
	@$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

test-quick: $(VENV)/.test ## Run what is quick, in about a minute
	@$(BIN)/python -m pytest $(WORKERS) -n 3 -m "not slow and not browser" --hypothesis-profile=quick \
		$(PYTEST_ARGS)

lint: $(VENV)/.test ## Check style and formatting, also of the JavaScript
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(DENO) lint -q
	@$(DENO) fmt -q --check

format: $(VENV)/.test ## Put the style right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(DENO) fmt -q

types: $(VENV)/.test ## Check the types
	@$(BIN)/mypy
	@$(DENO) check -q vastnb/widgets

bench: $(VENV)/.bench ## Print ratios against peers (some minutes)
	@$(BIN)/python -m bench $(BENCH_ARGS)

notebooks: $(VENV)/.test ## Run the notebooks and save them with fresh outputs
	@$(BIN)/python tools/save_notebooks.py

screenshots: $(VENV)/.test ## Take the pictures of the README again
	@$(BIN)/python tools/screenshots.py

clean: ## Remove what the other targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist artifacts
