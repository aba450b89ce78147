# Everything a person or CI needs; each target does its own set-up.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MUTMUT := $(VENV)/.mutmut
ARGS ?=
DIST ?= dist
PREFIX ?= /opt/waldur-slurm-tasks
UNITS = $(DESTDIR)/etc/systemd/system
CONFIG = $(DESTDIR)/etc/waldur-slurm-tasks
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test chaos lint mutants format lock wheel install-systemd clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(READY) ## Make the virtual environment from the lock file

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || \
	  { echo "Python 3.11, 3.12, 3.13 or 3.14 is needed; name one with make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock # it is complete
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Show the whole service on embedded parts (ARGS="--cluster real --keep")
	$(BIN)/slurm-tasks demo $(ARGS)

test: setup ## Run all tests; as root on Debian also on real SLURM (ARGS="tests/unit -k name")
	$(BIN)/pytest --numprocesses 4 --dist loadgroup $(ARGS) # real clusters mostly wait

chaos: setup ## Break everything, for long, and print what came of it (ARGS="--chaos-table docs/chaos.md")
	$(BIN)/pytest tests/chaos --chaos long --numprocesses 4 --dist loadgroup $(ARGS)

lint: setup ## Check format, rules, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

mutants: $(MUTMUT) mutants/.inputs ## Change the code bit by bit: do unit tests notice? Half an hour (ARGS="--max-children 1")
	$(BIN)/mutmut run $(ARGS)
	$(BIN)/mutmut results --all true | $(BIN)/python -m tests.mutants

$(MUTMUT): $(READY) requirements-mutants.lock
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-mutants.lock
	@touch $@

# A run that was interrupted goes on; after a change none of its results is to be trusted.
mutants/.inputs: pyproject.toml $(shell find slurm_tasks tests -name '*.py' -o -name '*.txt')
	rm -rf mutants
	mkdir mutants
	@touch $@

format: setup ## Format the code, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup ## Resolve the dependencies anew into the requirements*.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --upgrade --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock
	$(BIN)/uv pip compile --group mutants --constraint requirements.lock --universal --python-version 3.11 \
	  --upgrade --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements-mutants.lock

wheel: setup ## Build the wheel into dist/, with the versions that it was tested with
	$(BIN)/python -m build --no-isolation --wheel --outdir $(DIST) .
	sed -n 's/^\([a-z].*[^ ]\) *\\$$/\1/p' requirements.lock > $(DIST)/constraints.txt

install-systemd: ## Install the units (DESTDIR=, PREFIX=/opt/…); configuration that is there stays
	install -d $(UNITS)/waldur-slurm-tasks-.service.d $(CONFIG) $(DESTDIR)/etc/sysusers.d
	install -m 644 systemd/waldur-slurm-tasks*.service systemd/waldur-slurm-tasks.target $(UNITS)
	install -m 644 systemd/waldur-slurm-tasks-.service.d/* $(UNITS)/waldur-slurm-tasks-.service.d
	sed -i 's|/opt/waldur-slurm-tasks|$(PREFIX)|' $(UNITS)/waldur-slurm-tasks*.service
	install -m 644 systemd/sysusers.conf $(DESTDIR)/etc/sysusers.d/waldur-slurm-tasks.conf
	@test -e $(CONFIG)/config-components.yaml || install -m 644 config-components.yaml $(CONFIG)
	@for file in service waldur slurm flower; do \
	  test -e $(CONFIG)/$$file.env || install -m 600 systemd/$$file.env $(CONFIG); done

clean: ## Remove what the other targets made
	rm -rf $(VENV) dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
