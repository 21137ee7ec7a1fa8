# make demo   the gateway on the simulated exchange, http://127.0.0.1:8080
# make test   every test          make check   ruff, mypy, the layer test
# make bench  the benchmarks      make setup   only the environment (.venv)
# make chaos  five minutes of faults, then every trade compared with the exchange

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench chaos clean

PYTHON ?= python3
PORT ?= 8080
DATA ?= data/demo
# uv from the PATH, or one of our own: a machine with Python and make needs nothing else.
UV := $(shell command -v uv || echo .tools/bin/uv)

help:
	@sed -n '1,4s/^# //p' Makefile

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet uv

.venv/.ready: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	$(UV) sync --locked --python $(PYTHON)
	@touch $@

setup: .venv/.ready

demo: setup
	.venv/bin/tickgate demo --port $(PORT) --data $(DATA)

test: setup
	.venv/bin/pytest

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest -q -n 0 tests/test_layers.py

bench: setup
	.venv/bin/tickgate bench pipeline

chaos: setup
	.venv/bin/tickgate bench chaos

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
