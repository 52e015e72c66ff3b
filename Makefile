# Each target sets up what it needs, from nothing but Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: core docs ds1000-env quickstart test test-long test-fast lint check format gate grid baseline clean

quickstart: $(VENV)/.installed
	$(BIN)/harness quickstart

# Without the few that take longest (tests/long.txt), which `make test-long` runs, as continuous integration does.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long"

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m long

# What takes long is left out (tests/slow.txt): for everyday work.
test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

# The core alone, as `pip install codelm-harness` gives it, and what it promises to do.
core: .core-env/.installed
	tools/check_core.sh .core-env/bin

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check harness tasks tests benchmarks tools examples
	$(BIN)/ruff check harness tasks tests benchmarks tools examples
	$(BIN)/mypy

check: lint test

# The harness gates itself: recorded completions of the demo model, judged again and held against results/baselines/.
GATED := humaneval conala

gate: $(VENV)/.installed
	for task in $(GATED); do \
	    rm -rf results/runs/gate/$$task && \
	    $(BIN)/harness score $$task --data mini --completions results/baselines/$$task.jsonl --out results/runs/gate/$$task && \
	    $(BIN)/harness gate results/runs/gate/$$task --baseline results/baselines/$$task.json || exit; \
	done

# The whole of it offline: 3 tasks by {zero-shot, icl:4, rag:4, LoRA, LoRA + rag:4} x 3 seeds, then every view of them.
GRID := results/runs/grid
grid: $(VENV)/.installed
	$(BIN)/harness train tasks/recipes/quickstart.toml --model tasks/demo/model --data mini --out results/adapters/mini-lora
	$(BIN)/harness run tasks/recipes/mini_grid.toml --model tasks/demo/model --data mini --out $(GRID)
	$(BIN)/harness report $(GRID) --out $(GRID)/report.html
	$(BIN)/harness leaderboard $(GRID) --out $(GRID)/leaderboard
	for task in conala codealpaca_py humaneval; do $(BIN)/harness compare $(GRID) --task $$task --flips 0 || exit; done

# After a change of the mini rows, of a prompt or of the demo model that is meant.
baseline: $(VENV)/.installed
	rm -rf results/runs/gate && $(BIN)/harness quickstart --no-train --out results/runs/gate
	for task in $(GATED); do \
	    cp results/runs/gate/$$task/generations.jsonl results/baselines/$$task.jsonl && rm -rf results/runs/gate/$$task && \
	    $(BIN)/harness score $$task --data mini --completions results/baselines/$$task.jsonl --out results/runs/gate/$$task && \
	    $(BIN)/harness gate results/runs/gate/$$task --baseline results/baselines/$$task.json --write || exit; \
	done

format: $(VENV)/.installed-test
	$(BIN)/ruff format harness tasks tests benchmarks tools examples
	$(BIN)/ruff check --fix harness tasks tests benchmarks tools examples

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

# The documentation site, with every warning an error: build/site.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q

$(VENV)/.installed-docs: $(VENV)/.installed-test
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	touch $@

# DS-1000's own library versions (judge.python), proved on the project's rows; on yours: harness env ds1000 --data DATA
ds1000-env: $(VENV)/.installed-test
	$(BIN)/harness env ds1000 --data mini

.core-env/.installed: pyproject.toml
	rm -rf .core-env && $(PYTHON) -m venv .core-env
	grep -v '^tree-sitter' constraints.txt > .core-env/constraints.txt  # the newest grammar, not the package codebleu's
	.core-env/bin/python -m pip install -q -c .core-env/constraints.txt .
	touch $@

clean:
	rm -rf $(VENV) .ds1000-env .core-env build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
