# Every target sets up .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# One more than there are processors, for many tests wait for processes that start; at most 4. In the order of
# `testpaths`: xdist would begin with the files of many tests, and end with one that takes minutes.
TOGETHER := --numprocesses $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 4))) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo benchmark bench convergence pictures docs docs-links test test-fast test-long check format clean
.DEFAULT_GOAL := help

help:
	@echo "make setup      install everything into .venv"
	@echo "make demo       the whole road on sample photographs and painted scenes, into out/demo"
	@echo "make benchmark  DATASET=tower|bridge|lhq|lhq1024|sample|PATH [DATA=PATH] [BUDGET=smoke|small|paper]"
	@echo "                [MODELS=a,b] [ABLATION=distance] [UNTIL=time] [PLAN=1]: curate, train, measure, rank"
	@echo "make bench      every measurement of speed in one table, compared with the last one by ratios"
	@echo "make test       formatting, types, import rules and all tests but the long ones"
	@echo "make test-fast  the quick tests"
	@echo "make test-long  the long ones: kills at every point, many rows"
	@echo "make convergence  train the models at 64x64, two of them with three seeds, and record how near they come (an hour)"
	@echo "make docs       the documentation's site, into out/docs"
	@echo "make docs-links whether the pages of others that it links to are there (needs the network)"
	@echo "make pictures   draw the README's pictures of pages (needs Chromium)"
	@echo "make clean      remove .venv, caches and out/demo"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "LHQ Toolkit needs Python 3.11 or newer: make setup PYTHON=/path/to/python3.11")'
	@echo "setting up $(VENV) (about 6 GB with PyTorch; some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(INSTALLED)

demo: setup
	@$(BIN)/python -m lhq_toolkit.demo

benchmark: setup
	@test -n "$(DATASET)" || { echo "which data? make benchmark DATASET=NAME [DATA=PATH] [BUDGET=...] [MODELS=...]"; exit 2; }
	@$(BIN)/lhq benchmark --dataset "$(DATASET)" $(if $(DATA),--data "$(DATA)") $(if $(BUDGET),--budget "$(BUDGET)") \
		$(if $(MODELS),--models "$(MODELS)") $(if $(ABLATION),--ablation "$(ABLATION)") $(if $(UNTIL),--until "$(UNTIL)") \
		$(if $(PLAN),--plan)

bench: setup
	@$(BIN)/python -m benchmarks.perf._all

convergence: setup
	@$(BIN)/python -m lhq_toolkit.convergence

pictures: setup
	@$(BIN)/python -m lhq_toolkit.review_picture
	@$(BIN)/python -m lhq_toolkit.report_picture

# A warning is an error: a reference that leads nowhere, a page that no other names. -E: parts are made from the code.
docs: setup
	@$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --fresh-env --quiet docs out/docs
	@echo "out/docs/index.html"

docs-links: setup
	@$(BIN)/sphinx-build --builder linkcheck --keep-going --fresh-env --quiet docs out/docs-links

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: check
	$(BIN)/pytest $(TOGETHER) -m "not long"

test-fast: setup
	$(BIN)/pytest $(TOGETHER) -m "not long and not slow"

test-long: setup
	$(BIN)/pytest -m long

clean:
	rm -rf $(VENV) out/demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
