# Set-up happens by itself: every target first makes .venv from the hashed lock, once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WARM := $(VENV)/.warm
SOURCES := $(shell find streaming -name '*.py' -not -path '*/__pycache__/*')
PYTEST := $(BIN)/python -m pytest

KILLS ?= 300

.DEFAULT_GOAL := help
.PHONY: help setup warm demo demo-small dev stack test test-stack test-terraform test-render test-ui soak chaos bench lint lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY)  ## Make .venv with the locked dependencies

$(WARM): $(READY) $(SOURCES)
	$(BIN)/plumbline warm-up
	@touch $@

warm: $(WARM)  ## Compile the models, so that the next run is at full speed

demo: $(WARM)  ## Run a whole generated trading day: workbooks and certificate in out/
	$(BIN)/plumbline demo

demo-small: $(WARM)  ## The same on the small day
	$(BIN)/plumbline demo --accounts 20 --trades 5000 --prices 20000

dev: $(WARM)  ## Open the console: Dagster with days of history and a played session
	$(BIN)/plumbline dev

stack: $(READY)  ## The real Kafka and Flink on this machine
	$(BIN)/plumbline stack up

test: $(READY)  ## Tests that need Python only
	$(PYTEST) -n 2 --dist loadfile --durations 12 -m "not stack and not render and not ui and not terraform and not soak"

test-stack: $(WARM)  ## Tests on real Kafka and Flink (Java, Maven)
	$(PYTEST) tests/integration -m "stack and not soak"

test-terraform: $(READY)  ## The infrastructure: Terraform's tests, and policy over its plans
	$(PYTEST) -m "terraform and not soak"

test-render: $(READY)  ## Workbooks drawn by LibreOffice
	$(PYTEST) -m "render and not soak"

test-ui: $(WARM)  ## The console in a real browser (Chromium)
	$(PYTEST) tests/ui tests/unit/test_console_killed.py -m ui --timeout 1800

soak: $(READY)  ## The long forms of the tests
	$(PYTEST) -m soak --timeout 7200

chaos: $(WARM)  ## Kill and restart again and again, embedded and on the real stack: make chaos KILLS=300
	KILLS=$(KILLS) $(PYTEST) tests/acceptance/test_killed_day.py tests/integration/test_flink.py tests/integration/test_live_day.py \
		-k "killed or kills_at_random or fenced" -m "soak or stack" --timeout 0

bench: $(WARM)  ## Measured speeds, beside naive loops doing the same work
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lint: $(READY)  ## Style, types, and who may import whom
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

lock:  ## Resolve the dependencies again (needs uv)
	uv pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url --no-strip-extras --python-version 3.11 \
		--extra dev pyproject.toml -o requirements.lock

clean:  ## Remove results and state; .venv stays
	rm -rf out .plumbline
