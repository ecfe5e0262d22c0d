# Everything a clone needs: `make demo` and `make test` create the environment in .venv themselves.
# Variables: PYTHON=python3.12 (the interpreter), JOBS=4 (parallel tests),
# TORCH_INDEX=https://download.pytorch.org/whl/cpu (where torch comes from).

PYTHON ?= python3
JOBS ?=
TORCH_INDEX ?=

BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/pytest $(if $(JOBS),-n $(JOBS))
DEMO := build/demo

.DEFAULT_GOAL := help
.PHONY: help env demo test test-fast slow slow-ci lint types bench constraints clean prerequisites
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make demo        train a small network on MNIST and build a verified accelerator of it"
	@echo "make test        lint, types and the default tests; what CI runs"
	@echo "make test-fast   the default tests"
	@echo "make slow        the slow tests (whole networks, synthesis)"
	@echo "make slow-ci     those of them that CI runs: proofs, mapped networks (5 minutes)"
	@echo "make lint        ruff check and ruff format --check"
	@echo "make types       basedpyright"
	@echo "make bench       every script in benchmarks/"
	@echo "make env         only create the environment"
	@echo "make constraints write the installed versions to constraints.txt"
	@echo "make clean       delete build/ and the caches (the environment is .venv/)"

env: $(STAMP)

# One apt command for all that is missing, before anything is downloaded.
prerequisites:
	@missing=; \
	if ! command -v $(PYTHON) >/dev/null; then missing="python3 python3-venv"; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    echo "hwc needs Python 3.11 or newer, $(PYTHON) is" \
	        "$$($(PYTHON) -c 'import platform; print(platform.python_version())');" \
	        "choose another with: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 3; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then missing=python3-venv; fi; \
	for program in g++ make perl; do \
	    command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ]; then \
	    echo "Missing on this machine; install with: apt-get install -y" $$missing >&2; exit 3; fi

# setuptools comes from constraints.txt as well, hence no build isolation.
$(STAMP): pyproject.toml constraints.txt | prerequisites
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt pip setuptools
	$(if $(TORCH_INDEX),$(PIP) install -c constraints.txt --no-deps --index-url $(TORCH_INDEX) torch)
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,data,synth,cocotb]'
	@touch $@

demo: env
	$(BIN)/hwc train tfc-w1a1 --data mnist5k -o $(DEMO)/tfc-w1a1.pt --overwrite
	$(BIN)/hwc build --board pynq-z2 $(DEMO)/tfc-w1a1.pt -o $(DEMO)/bundle --verify-inputs 100 --overwrite
	$(BIN)/hwc verify $(DEMO)/bundle
	@echo
	@echo "Trained network      $(DEMO)/tfc-w1a1.pt"
	@echo "Accelerator bundle   $(DEMO)/bundle"
	@echo "Report               $(DEMO)/bundle/report.json"

test: lint types test-fast

test-fast: env
	$(PYTEST)

slow: env
	$(PYTEST) -m slow

slow-ci: env
	$(PYTEST) -m slow tests/formal tests/map

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/basedpyright

bench: env
	set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

# The comment at the head of the file stays. A local suffix (+cpu) would bind everyone to one index.
constraints: env
	sed '/^#/!d' constraints.txt > constraints.new
	$(PIP) freeze --all --exclude-editable | sed 's/+cpu$$//' >> constraints.new
	mv constraints.new constraints.txt
	touch $(STAMP)

clean:
	rm -rf build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -print | xargs rm -rf
