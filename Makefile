# Two commands matter: `make demo` and `make test`. Each installs what it needs by itself.
PYTHON ?= python3.11
BIN := .venv/bin
# Telemetry off; BLAS on one thread inside implicit, which brings its own.
export DO_NOT_TRACK := true
export OPENBLAS_NUM_THREADS := 1

.PHONY: help install demo test check peers clean

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

install: .venv/installed  ## .venv with the locked set

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	touch $@

demo: install  ## raw events to a running server, on a shop that never was
	$(BIN)/regulars demo

check: install  ## style, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## check, then every test with branch coverage
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

peers: .peers/installed .peers-rectools/installed .peers-ann/installed .peers-uplift/installed .peers-lifetime/installed  ## what the benchmarks compare with, in environments of its own

.%/installed: benchmarks/%.txt
	$(PYTHON) -m venv .$*
	.$*/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:  ## remove what was built, keep workspaces
	rm -rf .venv .peers .peers-rectools .peers-ann .peers-uplift .peers-lifetime .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
