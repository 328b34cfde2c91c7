# `make help` lists the targets. PORT, KINDRED_DATA_DIR and PYTHON are honoured.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONPATH := platform:.
export PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help demo serve dev test check format lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

demo: $(STAMP)  ## set-up, a drawn dataset, the main job end to end, then the site (SERVE=0: without)
	@exec $(BIN)/python manage.py serve --demo $(if $(filter 0,$(SERVE)),--exit)

serve: $(STAMP)  ## the site with your own data
	@exec $(BIN)/python manage.py serve

dev: $(STAMP)  ## the site, reloading as you edit
	@KINDRED_DEBUG=1 exec $(BIN)/python manage.py serve

test: $(STAMP)  ## every test (ARGS="-k jobs" for some)
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)  ## lint, types, imports, templates, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mlcore apps platform/kindred
	$(BIN)/lint-imports --no-cache
	$(BIN)/djhtml --check templates
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(STAMP)  ## put code and templates into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djhtml templates

lock: $(STAMP)  ## write requirements.lock from what is installed
	$(BIN)/pip freeze --exclude setuptools | sed 's/^torch==\([0-9.]*\).*/torch==\1/' > requirements.lock

clean:  ## remove the virtual environment (data stays)
	rm -rf $(VENV)
