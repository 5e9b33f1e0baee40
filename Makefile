# One command is enough on a machine with Python 3.11 or newer and make: every target installs what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint types contracts schema containers serve format clean docs paper bench fuzz hostile storm pictures

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## Create .venv and install everything into it (PYTHON=python3.12 picks the interpreter)

demo: $(INSTALLED) ## Stream real batches through a service of its own (DATASET=mnist, DATA=folder)
	@$(BIN)/posterity demo $(ARGS)

paper: $(INSTALLED) ## Perform the paper's experiments, write docs/paper.md (DATA=folder, LAPTOP=1 or QUICK=1)
	@$(BIN)/python -m benchmarks.paper $(if $(QUICK),--quick) $(if $(LAPTOP),--laptop) $(ARGS)

docs: $(INSTALLED) ## Write the pages that are made from the code (OpenAPI document, errors, settings)
	@$(BIN)/python -m service.reference

bench: $(INSTALLED) ## Measure every claim, write benchmarks/README.md (DATA=folder with MNIST, or QUICK=1)
	@$(BIN)/python -m benchmarks $(if $(DATA),--data "$(DATA)") $(if $(QUICK),--quick) $(ARGS)

fuzz: $(INSTALLED) ## Fuzz every decoder of bodies, a million times each (ARGS="--decoder npy" picks one)
	@$(BIN)/python -m benchmarks.fuzz $(ARGS)

hostile: $(INSTALLED) ## Ask a service what nobody would ask, 10,000 times (ARGS="--seed 2" asks other things)
	@$(BIN)/python -m benchmarks.hostile_api $(ARGS)

storm: $(INSTALLED) ## Kill, cut and fill for ten minutes on each engine, then audit the books (ARGS="--seed 2")
	@$(BIN)/python -m tests.storm --out benchmarks/results/promises $(ARGS)

pictures: $(INSTALLED) ## Take pictures of the console's pages, write docs/pictures (ARGS="--seed 2")
	@$(BIN)/python -m tests.console.pictures $(ARGS)

serve: $(INSTALLED) ## Start the service with one worker (settings: POSTERITY_* variables)
	@$(BIN)/posterity serve $(ARGS)

test: $(INSTALLED) ## Run every test (ARGS="-k rollback" picks some)
	@$(BIN)/python -m pytest $(ARGS)

check: lint types contracts schema containers ## Check form, types, import contracts, migrations and container files

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/python -m mypy

contracts: $(INSTALLED)
	$(BIN)/lint-imports

schema: $(INSTALLED)
	$(BIN)/python -m tests.schema

containers: $(INSTALLED)
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: $(INSTALLED) ## Rewrite the code in the house's form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## Remove .venv and every cache; the data of a service stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that venv installs: without it an earlier attempt was cut short and starts anew.
$(INSTALLED): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" > /dev/null || { echo "There is no $(PYTHON) here: make PYTHON=<python 3.11 or newer>" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Posterity needs Python 3.11 or newer and $(PYTHON) is %d.%d: make PYTHON=<a newer one>" % sys.version_info[:2])'
	@test -x $(BIN)/pip || { echo "Installing into $(VENV), once: PyTorch makes this several gigabytes."; "$(PYTHON)" -m venv --clear $(VENV); }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
