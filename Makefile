# make demo   the gateway on the simulated exchange, http://127.0.0.1:8080
# make test   every test          make check   ruff, mypy, the layer test
# make bench  every benchmark, beside what people would use instead (6 minutes)
# make setup  only the environment (.venv)      make page   only the page at / (with Node 20 or newer)
# make chaos  five minutes of faults, then every trade compared with the exchange

.DEFAULT_GOAL := help
.PHONY: help setup demo page maybe-page test test-js check check-js bench chaos clean

unexport PYTHONDONTWRITEBYTECODE # else every process that is started compiles everything anew
PYTHON ?= python3
PORT ?= 8080
DATA ?= data/demo
# uv from the PATH, or one of our own: a machine with Python and make needs nothing else.
UV := $(shell command -v uv || echo .tools/bin/uv)

help:
	@sed -n '1,5s/^# //p' Makefile

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet uv

# The extension is optional: where it cannot be built, that is said, and all works without it.
.venv/.ready: pyproject.toml uv.lock gateway/native/send.c gateway/native/build.py | $(filter .tools/bin/uv,$(UV))
	$(UV) sync --locked --python $(PYTHON)
	.venv/bin/python -m gateway.native.build
	@touch $@

setup: .venv/.ready

NODE := $(shell command -v npm)
JS := clients/js clients/web tests/page
PAGE_SOURCES := $(shell find clients/web/src clients/js/src -type f) clients/web/package-lock.json clients/web/vite.config.ts

%/node_modules/.ready: %/package-lock.json
	npm --prefix $* ci --no-audit --no-fund --loglevel=error
	@touch $@

clients/web/dist/index.html: clients/web/node_modules/.ready $(PAGE_SOURCES)
	npm --prefix clients/web run --silent build

page: clients/web/dist/index.html

# Everything but the page works without Node.
maybe-page:
	@if [ -z "$(NODE)" ]; then echo "The page at / needs Node 20 or newer (https://nodejs.org). All else works without."; \
	elif ! $(MAKE) --no-print-directory page; then echo "The page at / could not be built. All else works."; [ -z "$$CI" ]; fi

demo: setup maybe-page
	.venv/bin/tickgate demo --port $(PORT) --data $(DATA)

test: setup maybe-page
	.venv/bin/pytest
	@if [ -n "$(NODE)" ]; then $(MAKE) --no-print-directory test-js; elif [ -n "$$CI" ]; then echo "npm is missing"; exit 1; fi

test-js: $(JS:=/node_modules/.ready)
	npm --prefix clients/js test
	npm --prefix tests/page test

check: setup
	@if [ -n "$(NODE)" ]; then $(MAKE) --no-print-directory check-js; elif [ -n "$$CI" ]; then echo "npm is missing"; exit 1; fi
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest -q -n 0 tests/test_layers.py

check-js: $(JS:=/node_modules/.ready)
	npm --prefix clients/js run --silent check
	npm --prefix clients/web run --silent check
	npm --prefix tests/page run --silent check

bench: setup
	.venv/bin/tickgate bench all

chaos: setup
	.venv/bin/tickgate bench chaos

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis clients/web/dist $(JS:=/node_modules)
