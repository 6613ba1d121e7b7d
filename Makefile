# Two commands: `make demo` and `make test`. Each sets up all it needs from pinned, hashed packages.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test check fix bench faults clean

demo: $(STAMP)-demo
	@$(BIN)/setia demo

test: $(STAMP)-dev
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: $(STAMP)-dev
	$(BIN)/ruff format --check src tests bench faults
	$(BIN)/ruff check src tests bench faults
	SETIA_SECRET_KEY="$$($(BIN)/setia secret)" $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.checks

faults: $(STAMP)-dev
	@$(BIN)/python -m faults $(ONLY)

fix: $(STAMP)-dev
	$(BIN)/ruff format src tests bench faults
	$(BIN)/ruff check --fix src tests bench faults

bench: $(STAMP)-dev
	@$(BIN)/python -m bench $(ONLY)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Setia needs Python 3.11 or newer. Try: make demo PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

# The newest of the two stamps has everything of the other, so each is made once.
$(STAMP)-demo: requirements/demo.lock | $(VENV)/bin/python
	@test -e $(STAMP)-dev || { echo "Memasang… / Installing…"; $(PIP) install --require-hashes -r requirements/demo.lock \
	  && $(PIP) install --no-deps --no-build-isolation -e .; }
	@touch $@

$(STAMP)-dev: requirements/dev.lock | $(VENV)/bin/python
	@echo "Memasang… / Installing…"
	@$(PIP) install --require-hashes -r requirements/dev.lock && $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV)
