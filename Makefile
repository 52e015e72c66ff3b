# Each target sets up what it needs, from nothing but Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint check format clean

quickstart: $(VENV)/.installed
	$(BIN)/harness quickstart

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check harness tasks tests benchmarks
	$(BIN)/ruff check harness tasks tests benchmarks
	$(BIN)/mypy

check: lint test

format: $(VENV)/.installed-test
	$(BIN)/ruff format harness tasks tests benchmarks
	$(BIN)/ruff check --fix harness tasks tests benchmarks

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
