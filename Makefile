# `make help` lists the targets. PORT, KINDRED_DATA_DIR and PYTHON are honoured, from the environment or the command line.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MANAGE := $(BIN)/python manage.py
TYPED := mlcore apps platform/kindred

.DEFAULT_GOAL := help
.PHONY: help demo serve dev stop install extras test check format lock clean
.SUFFIXES:

help: ## list the targets
	@echo "Kindred. Targets:"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(STAMP) ## everything: set-up, demo dataset, training, report, search; then serve (SERVE=0: stop after the job)
	@SERVE="$(SERVE)" exec $(MANAGE) serve --demo

serve: $(STAMP) ## run the site, with what is in it
	@exec $(MANAGE) serve

dev: $(STAMP) ## run the site for development: pages and code of the web process reload
	@KINDRED_DEBUG=1 exec $(MANAGE) serve

stop: $(STAMP) ## stop the site that runs on KINDRED_DATA_DIR, embedded Postgres included
	@$(MANAGE) stop

install: $(STAMP) ## make .venv and install what requirements.lock pins

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Kindred needs Python 3.11 or newer as $(PYTHON). Name another with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -r requirements.lock
	@touch $@

extras: $(STAMP) ## install every extra too, so that the tests that need one are not skipped
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -c requirements.lock \
	  -e ".[export,tensorboard,mlflow,wandb,lightning,timm,oracles,layouts]"

test: $(STAMP) ## run the tests, on as many cores as there are, four at most (ARGS="-k login -x" goes to pytest)
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 $(ARGS)

check: $(STAMP) ## lint, format, types, layers, templates, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djhtml --check templates
	PYTHONPATH=platform:. $(BIN)/lint-imports --no-logo
	$(BIN)/mypy $(TYPED)
	$(MANAGE) makemigrations --check --dry-run

format: $(STAMP) ## put code and templates into form
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .
	$(BIN)/djhtml templates

lock: $(STAMP) ## write requirements.lock from what is installed, after `pip install -U` of what should move
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	$(BIN)/python docker/lock.py > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## remove .venv and caches; data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
