# Two commands do all the set-up on a fresh Debian machine with Python 3.11: `make demo` and `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BIN := .venv/bin
# Most tests wait more than they work. A file is one process's, so that what its tests share is started once.
WORKERS ?= 3
PARALLEL = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# Real servers that the tests run against.
SERVERS := prometheus prometheus-alertmanager chromium postgresql faketime request-tracker5 rt5-db-sqlite rt5-standalone

.PHONY: help demo run test lint unit soak bench bench-capacity bench-detection servers clean

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: .venv/run ## a shop, a good deploy, a bad deploy, a rollback; STAY=1 keeps it running
	@$(BIN)/python -m watcher.demo

test: .venv/dev servers lint ## everything that must pass
	$(BIN)/pytest -q $(PARALLEL)

unit: .venv/dev ## the quick tests only
	$(BIN)/pytest -q $(PARALLEL) tests/unit tests/replay

soak: .venv/dev servers ## the long forms of tests, with their figures; SOAK_MINUTES, SOAK_MOMENTS, SOAK_WATCHES, SOAK_EXAMPLES shorten them
	$(BIN)/pytest -q -s -m soak

lint: .venv/dev ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

bench: .venv/dev ## cost: start-up, memory, a webhook, a look, a rehearsal; beside Otava, Mann-Whitney and KernelCPD
	$(BIN)/python -m benchmarks.cost

bench-capacity: .venv/dev servers ## many watches at once, on a real Prometheus; an hour
	$(BIN)/python -m benchmarks.capacity

bench-detection: .venv/dev ## quality of detection beside the peers'; DATA=folder adds real series, QUICK=1 a tenth
	$(BIN)/python -m benchmarks.detection $(if $(DATA),--data $(DATA)) $(if $(QUICK),--quick)

servers:
	@missing=""; for package in $(SERVERS); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; $(SUDO) apt-get update -q >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -yq --no-install-recommends $$missing >/dev/null; fi

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed; set PYTHON"; exit 1; }
	@$(PYTHON) -m venv .venv 2>/dev/null || { rm -rf .venv; $(SUDO) apt-get update -q >/dev/null; \
	  $(SUDO) apt-get install -yq python3-venv >/dev/null; $(PYTHON) -m venv .venv; }

.venv/run: requirements.txt pyproject.toml | .venv/bin/python
	@echo "installing the watcher into .venv (once)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/dev: requirements-dev.txt pyproject.toml | .venv/bin/python
	@echo "installing the watcher and its tests into .venv (once)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@ .venv/run

clean: ## remove what the targets made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
