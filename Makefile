# What a person types. Everything is installed into .venv and node_modules of this checkout, but for the Debian packages named here.

PYTHON ?= $(shell test -x /usr/bin/python3 && /usr/bin/python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
NODE_RUNTIME := src/haar/execution/runtimes/node
# What is run on PostgreSQL, too; of kills, a few rounds.
ON_POSTGRESQL := tests/services/dynamodb tests/services/dynamodbstreams tests/faults/test_dynamodb_kills.py tests/faults/test_platform_kills.py
AS_POSTGRESQL := HAAR_TEST_STORE=postgresql HAAR_KILL_ROUNDS=3
DEBIAN := bubblewrap passt python3-venv nodejs npm

.PHONY: help install start test races lint docs bench acceptance clean

help:
	@echo "make start   install, then run haar on port 4566"
	@echo "make test    install with the test tools, then lint, types and all tests"
	@echo "make bench   measure haar and its peers side by side"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(NODE_RUNTIME)/package-lock.json
	@command -v bwrap >/dev/null || echo "note: bubblewrap is missing; functions will not run until: apt-get install $(DEBIAN)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	@if command -v npm >/dev/null; then cd $(NODE_RUNTIME) && npm ci --no-audit --no-fund --loglevel=error; \
	else echo "note: npm is missing; Node.js functions will not run until: apt-get install $(DEBIAN)"; fi
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

start: install
	@exec $(BIN)/haar start

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# loadfile: the tests of one file share a worker, so that a platform of their own is started once.
# What failed is run once more by itself, so that a busy machine is told apart from a bug; what fails again fails.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -q || $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none
	$(AS_POSTGRESQL) $(BIN)/python -m pytest -n 2 --dist loadfile -q $(ON_POSTGRESQL) \
	|| $(AS_POSTGRESQL) $(BIN)/python -m pytest -q $(ON_POSTGRESQL) --last-failed --last-failed-no-failures none
	$(MAKE) acceptance

# Ten thousand tries of writers that race by conditions, on both stores: some minutes. The tests make a few hundred.
races: $(VENV)/.installed-dev
	HAAR_RACES=10000 $(BIN)/python -m pytest -q tests/services/dynamodb/test_dynamodb_races.py
	HAAR_RACES=10000 HAAR_TEST_STORE=postgresql $(BIN)/python -m pytest -q tests/services/dynamodb/test_dynamodb_races.py

acceptance: $(VENV)/.installed-dev
	@if [ -d ../shared/acceptance ]; then $(BIN)/python -m tests.support.acceptance ../shared/acceptance; \
	else echo "no ../shared/acceptance: skipped"; fi

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.support.compatibility

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks $(if $(wildcard /usr/lib/postgresql/*/bin/initdb),--postgresql own)

clean:
	rm -rf $(VENV) $(NODE_RUNTIME)/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .cache
