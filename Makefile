# The verbs of ssah-tf. Each does the set-up it needs; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RECIPE ?= fashion
RUN ?= $(lastword $(sort $(wildcard runs/$(RECIPE)*)))

.DEFAULT_GOAL := help
.PHONY: help setup train evaluate report export ablation test test-all test-oldest lint findings bench \
	bench-quality clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the virtual environment .venv with the tested versions; re-used when current

# Installed anew when the metadata or the tested versions change; sources are used in place. CI
# takes nothing whose hash is not in requirements-ci.txt.
$(STAMP): pyproject.toml setup.py constraints.txt requirements-ci.txt
	$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and 'ssah-tf needs Python 3.11 to 3.13: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(if $(CI),$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-ci.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,dev]'
	@touch $(STAMP)

train: setup ## Train and evaluate the built-in set (RECIPE=fashion)
	$(BIN)/ssah train $(RECIPE)

evaluate: setup ## Evaluate the newest run (RUN=runs/fashion)
	$(BIN)/ssah evaluate $(RUN)

report: setup ## Make the page of the newest run again (RUN=runs/fashion)
	$(BIN)/ssah report $(RUN)

export: setup ## Turn the newest run into ONNX and SavedModel (RUN=runs/fashion)
	$(BIN)/ssah export $(RUN)

ablation: setup ## Train the recipe beside its controls, three seeds each
	$(BIN)/ssah ablation $(RECIPE)

# By file, since tests of a file share what they set up.
TESTS := $(BIN)/python -m pytest -q -n 2 --dist loadfile

test: setup ## Run the tests (5 to 8 minutes on 2 cores)
	$(TESTS)

test-all: setup ## Run the slow tests, too
	$(TESTS) -m "slow or not slow"

# In an environment of its own, whose versions are in constraints-oldest.txt; see CONTRIBUTING.md.
OLDEST := build/oldest
test-oldest: setup ## Test a run of the newest Keras with the oldest dependencies that are allowed
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt --editable '.[train,search]' pytest
	SSAH_OLDEST=$(abspath $(BIN))/python $(OLDEST)/bin/python -m pytest -q -W default tests/test_fixed_run.py tests/oldest

# Imports and types are checked in a copy in which training/ and export/ lie as they are installed.
lint: setup ## Check format, style, the direction of imports, and types
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	rm -rf build/lint && mkdir -p build/lint
	cp -r ssah_tf build/lint/ && cp -r training export build/lint/ssah_tf/
	cd build/lint && $(abspath $(BIN))/lint-imports --no-cache --no-logo ../../pyproject.toml
	cd build/lint && $(abspath $(BIN))/mypy --config-file ../../pyproject.toml --cache-dir ../mypy ssah_tf

findings: ## Run what is known to be odd in other programs, and print what has changed (downloads)
	$(PYTHON) findings/run.py

bench-quality: setup ## Compare methods at several numbers of labels (hours; goes on where it was killed)
	$(BIN)/python benchmarks/quality/run.py
	$(BIN)/python benchmarks/quality/suggest.py --data fashion-frozen=

bench: setup ## Time start, evaluation, input, steps, pages, encoders, features, search, service (BASE=COMMIT: in turns with it)
ifdef BASE
	$(BIN)/python benchmarks/against.py $(BASE)
else
	$(BIN)/python benchmarks/start_speed.py
	$(BIN)/python benchmarks/evaluate_speed.py
	$(BIN)/python benchmarks/evaluate_speed.py --queries 2100 --database 193734 --classes 21 \
		--more 0.1 --usual-queries 100
	$(BIN)/python benchmarks/input_pipeline.py
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/suggest_speed.py
	$(BIN)/python benchmarks/label_speed.py
	$(BIN)/python benchmarks/label_map.py
	$(BIN)/python benchmarks/step_variants.py
	$(BIN)/python benchmarks/encoder_speed.py
	$(BIN)/python benchmarks/feature_speed.py
	$(BIN)/python benchmarks/search_speed.py
	$(BIN)/python benchmarks/duplicates_speed.py
	$(BIN)/python benchmarks/serve_load.py
	$(BIN)/python benchmarks/serve_pictures.py
	$(BIN)/python benchmarks/search_memory.py
	$(BIN)/python benchmarks/index_speed.py
	$(BIN)/python benchmarks/index_parts.py
endif

clean: ## Remove the virtual environment and caches; runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
