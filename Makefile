SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: up demo test check bench chaos soak screenshots lock clean help

# program:package, for what a suite uses beside the wheels (Debian/Ubuntu, root; SYSTEM_DEPS=0: never)
TEST_PROGRAMS := strace:strace chromium:chromium redis-server:redis-server
BENCH_PROGRAMS := strace:strace zstd:zstd openssl:openssl

WORKERS ?= 2
PYTEST := .venv/bin/python -m pytest
export HOLDFAST_HOME ?= $(CURDIR)/.data

# Without its build the gateway serves the API's own pages, and says how to build the dashboard.
DASHBOARD := .ci/frontend build || echo "holdfast: the dashboard was not built; all else works" >&2

up: ## run the platform on this machine (Ctrl-C stops it)
	@.ci/setup
	@$(DASHBOARD)
	@exec .venv/bin/holdfast up

demo: ## see it work: back up, kill, restore, tamper, prove (JSON=1 for one line)
	@.ci/setup
	@$(DASHBOARD)
	@exec .venv/bin/holdfast demo

test: ## set everything up and run the whole suite (ARGS="-k name" for a part)
	@.ci/setup
	@.ci/setup system $(TEST_PROGRAMS)
	@.ci/frontend test
	@.ci/frontend build
	@$(PYTEST) -n $(WORKERS) --dist loadfile $(ARGS)

check: ## format, lint, types, architecture
	@.ci/setup
	@.ci/frontend check
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@$(PYTEST) tests/test_architecture.py

bench: ## measure memory and throughput (JSON=1 for one JSON line per figure)
	@.ci/setup
	@.ci/setup system $(BENCH_PROGRAMS)
	@.venv/bin/python -m bench

chaos: ## kill and pause everything for a minute, lose nothing
	@.ci/setup
	@$(PYTEST) tests/chaos -m chaos -s $(ARGS)

soak: ## the full counts of every fault; writes docs/evidence/*.json
	@.ci/setup
	@.ci/setup system $(TEST_PROGRAMS)
	@$(PYTEST) -m soak -s --timeout 0 $(ARGS)

screenshots: ## every page of the dashboard on sample data, into docs/screenshots (ARGS="overview run" for some)
	@.ci/setup
	@.ci/setup system chromium:chromium
	@.ci/frontend build
	@.venv/bin/python -m tests.fixtures.screens $(ARGS)

lock: ## write both lock files anew from pyproject.toml
	@.ci/setup lock

clean: ## remove what was installed and cached; .data, with its backups, stays
	@rm -rf .venv .tools .tools-node frontend/node_modules services/gateway/dashboard .mypy_cache .ruff_cache .hypothesis .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
