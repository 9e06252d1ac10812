# make             install into .venv from the lock; does nothing when nothing changed
# make quickstart  photos -> registered model -> restored photos (PHOTOS=dir for your own)
# make test        everything but campaigns      make check   linters, types, layers
# make parity      the network beside numbers of the released one
# make audit       known vulnerabilities of the locked packages (asks a service)   make sbom   CycloneDX bill of materials
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PHOTOS ?=

.PHONY: install quickstart test unit check parity format lock campaign pin-data clean audit sbom
.DEFAULT_GOAL := install

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3.11 is missing: install it (Debian: apt-get install python3.11 python3.11-venv python3.11-dev) or set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "expected Python 3.11, '$(PYTHON)' is $$($(PYTHON) -V); set PYTHON=/path/to/python3.11"; exit 1; }
	@command -v git >/dev/null || { echo "git is missing: install it (Debian: apt-get install git)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV): about 8 GB, two to four minutes ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Installed. Next: make quickstart"

quickstart: install
	@$(BIN)/lucidflux quickstart $(if $(PHOTOS),"$(PHOTOS)")

check: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# one thread each: the tests fill the cores between them
unit: install
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile -m "not e2e and not gpu and not campaign"

test: check unit
	@$(BIN)/pytest -n 2 --dist loadfile -m "not campaign and (e2e or gpu)"

parity: install
	@MKL_CBWR=COMPATIBLE $(BIN)/python -m models.parity tests/golden --out .lucidflux/parity.safetensors

# not part of check: what it finds changes with the world, not with the commit, and it needs the network
audit: install
	@infra/audit.sh $(BIN)/pip-audit requirements.lock

sbom: install
	@mkdir -p .lucidflux
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file .lucidflux/sbom.cdx.json $(BIN)/python
	@echo "Wrote .lucidflux/sbom.cdx.json"

campaign: install
	@$(BIN)/pytest -m campaign

format: install
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# maintainers: resolve pyproject.toml anew
lock:
	@uv pip compile --quiet --generate-hashes --extra dev --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links --upgrade pyproject.toml -o requirements.lock

# maintainers: write the pin of the default dataset
pin-data: install
	@$(BIN)/python -m flows.pin_data

clean:
	@rm -rf $(VENV) .lucidflux .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
