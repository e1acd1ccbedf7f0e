# Everything from a clean clone: python3 (3.11 to 3.13), make and a network are enough.
#
#   make demo
#   make test ARGS="-k inbox -x"            ARGS goes to pytest
#   make test PYTHON=/opt/bin/python3.12    PYTHON makes a new .venv; `make clean` removes the old one

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
# Byte code is written where it is used first; without it each process that a test starts compiles all libraries anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
INSTALLED := .venv/installed
BENCHED := .venv/benched

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(INSTALLED) ## See the whole thing at work, in a minute or two; it leaves nothing running
	@$(BIN)/python -m worker.local.demo

.PHONY: run
run: $(INSTALLED) ## Run RabbitMQ, PostgreSQL and a worker until Ctrl-C
	@$(BIN)/python -m worker.local.run

.PHONY: test
# Three processes on two cores: a test waits for a service, a clock or a dying process half of its time.
test: $(INSTALLED) ## Run all tests on real services; ARGS="-k name" runs some
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=10 $(ARGS)

.PHONY: faults
faults: $(INSTALLED) ## Kill, freeze and cut everything while commands flow, and count afterwards (half an hour)
	@$(BIN)/python -m pytest -m fault --durations=10
	@$(BIN)/python -m tests.faults.crash_windows --times 50
	@$(BIN)/python -m tests.faults $(ARGS)

.PHONY: drills
drills: $(INSTALLED) ## Play an operator's worst nights, alerts included, with what is seen and what mends it (15 minutes)
	@$(BIN)/python -m tests.drills $(ARGS)

.PHONY: bench
bench: $(BENCHED) ## Measure everything against everybody in one run, and write docs/performance.md (three quarters of an hour)
	@$(BIN)/python -m benchmarks --write docs $(ARGS)

.PHONY: bench-quick
bench-quick: $(BENCHED) ## The same in two minutes, for the terminal only
	@$(BIN)/python -m benchmarks --quick $(ARGS)

.PHONY: guard
guard: $(INSTALLED) ## Fail if the worker has become slow beside a hand-written loop (two minutes)
	@$(BIN)/python -m benchmarks.guard $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

.PHONY: lock
lock: ## Write requirements.lock anew, with the newest versions that pyproject.toml allows
	@PYTHON='$(PYTHON)' tools/environment lock

.PHONY: clean
clean: ## Remove .venv and everything else that was made here
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes last: an interrupted installation is taken up again.
$(INSTALLED): requirements.lock pyproject.toml tools/environment
	@PYTHON='$(PYTHON)' tools/environment install
	@touch $@

# Who can't be installed is left out of the tables, with the reason.
$(BENCHED): $(INSTALLED) requirements-bench.lock
	@PYTHON='$(PYTHON)' tools/environment bench && touch $@ || echo 'Going on without them.'
