# Every target is one line of help: `make help`.
PYTHON ?= python3
VENV   := .venv
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN    := $(VENV)/$(SCRIPTS)
PIP    := $(BIN)/python -m pip --disable-pip-version-check
LOCK   := $(PIP) install --quiet --require-hashes --no-deps --only-binary :all: -r
SELF   := $(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
UV     := $(VENV)-lock/bin/uv
# What depends most on the versions of others, and needs neither fork, signal nor terminal.
QUICK  := tests/unit tests/core tests/diagnostics tests/database tests/house tests/scripts \
  tests/warehouse/test_corpus.py tests/warehouse/sql/test_parse.py tests/warehouse/sql/test_rewrites.py \
  tests/dialect/sql/test_ddl.py tests/dialect/test_compiler.py

.DEFAULT_GOAL := help
.PHONY: help install dev demo test test-full test-soak soak test-long test-fast test-quick test-oldest test-oldest-quick \
  test-newest coverage test-spark test-spark-fast spark-page record moves test-postgres lint typing format lock bench \
  history fallback-history differential reads mutations clients compliance docs pictures dist clean

help: ## List every target.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed-base ## Create .venv with what the application needs.

dev: $(VENV)/installed-dev ## Create .venv with what the tests and checks need too.

demo: $(VENV)/installed-base ## Run the main job on SQLite: migrate, import real events, roll back, report.
	@$(BIN)/vinci demo

test: $(VENV)/installed-dev ## Run the tests, in four processes: some wait more than they compute.
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile -m "not soak and not full"

test-full: $(VENV)/installed-dev ## Run these with all their cases, of which some repeat others.
	VINCI_FULL=1 $(BIN)/python -m pytest --numprocesses 4 --dist loadfile -m "not soak"

test-soak: $(VENV)/installed-dev ## Run the tests that measure time, one by one: for a machine that is quiet.
	$(BIN)/python -m pytest -m soak

soak: $(VENV)/installed-dev ## Load the local warehouse for minutes with hostile statements: memory, threads and files stay level.
	$(BIN)/python -m tests.warehouse.soak --minutes $(or $(MINUTES),5)

test-long: $(VENV)/installed-dev ## Run 10,000 random configurations, a million random secrets and 10,000 hosts; the tests run a part.
	VINCI_EXAMPLES=10000 VINCI_FULL=1 $(BIN)/python -m pytest tests/core/config/test_any_configuration.py \
	  tests/core/config/test_no_secrets.py

test-fast: $(VENV)/installed-dev ## Run the tests that take no more than a few seconds each.
	$(BIN)/python -m pytest -m "not slow and not soak and not full"

test-quick: $(VENV)/installed-dev ## Run the fast tests that depend most on other packages, and run on every system.
	$(BIN)/python -m pytest -m "not slow and not soak and not full" $(QUICK)

test-oldest: $(VENV)-oldest/installed ## Run test-fast's tests with the oldest versions allowed, on Python 3.10.
	$(VENV)-oldest/$(SCRIPTS)/python -m pytest --numprocesses 4 --dist loadfile -m "not slow and not soak and not full"

test-oldest-quick: $(VENV)-oldest/installed ## Run test-quick's tests with them: a part that takes minutes.
	$(VENV)-oldest/$(SCRIPTS)/python -m pytest --numprocesses 2 -m "not slow and not soak and not full" $(QUICK)

test-newest: ## Run test-fast's tests with the newest versions allowed, on the newest Python that is here.
	$(PYTHON) scripts/make_environment.py newest $(VENV)-newest
	$(VENV)-newest/$(SCRIPTS)/python -m pytest --numprocesses 4 --dist loadfile -m "not slow and not soak and not full"

coverage: $(VENV)/installed-dev ## Run test-quick's tests, and fail where they cover less than pyproject.toml asks for.
	$(BIN)/python -m coverage run -m pytest -m "not slow and not soak and not full" $(QUICK)
	$(BIN)/python -m coverage report

lint: $(VENV)/installed-dev ## Check format, rules and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

moves: $(VENV)/installed-dev ## Move 20 tables of 5,000,000 rows to the local warehouse and back, kill 200 copies, corrupt 200 values.
	$(BIN)/python -m tests.database.moving.run --tables 20 --rows 5000000 --seed 7
	VINCI_FULL=1 $(BIN)/python -m pytest tests/database/moving/test_kill.py tests/database/moving/test_proofs.py

test-postgres: $(VENV)/installed-dev ## Copy from and to the PostgreSQL server that VINCI_POSTGRES names, as of an administrator.
	$(if $(VINCI_POSTGRES),,$(error VINCI_POSTGRES names no server, such as postgresql+psycopg://postgres@localhost/postgres))
	$(PIP) install --quiet "psycopg[binary]>=3.2,<4"
	$(BIN)/python -m pytest tests/database/moving/test_postgresql.py

typing: $(VENV)/installed-dev ## Check the types that users see, in a strict program: mypy, and pyright from npm.
	$(BIN)/python -m pytest tests/typed
	npx --yes pyright@1.1.414 --project tests/typed --pythonpath $(BIN)/python

format: $(VENV)/installed-dev ## Put the code into the project's format.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev ## Measure import, reading and writing against peers, side by side.
	$(BIN)/python bench/import_events.py
	$(BIN)/python bench/reading.py
	$(BIN)/python bench/read_arrow.py
	$(BIN)/python -m bench.bulk --memory 10000000
	$(BIN)/python -m bench.writes
	$(BIN)/python -m bench.held_reads --sizes 1000
	$(BIN)/python bench/warehouse.py
	$(BIN)/python -m bench.answering
	$(BIN)/python -m bench.fallback
	$(BIN)/python -m bench.pytest_plugin

history: $(VENV)/installed-dev ## Run 2,000 random histories of concurrent units of work; find 22 rules broken on purpose.
	$(BIN)/python -m tests.history.run --schedules 1000 --seed 7
	$(BIN)/python -m tests.history.run --schedules 1000 --seed 7 --no-transactions
	$(BIN)/python -m tests.history.run --breaks --seed 7

fallback-history: $(VENV)/installed-dev ## Run 1,000 random histories of units of work with outages, and 100 in which processes are killed.
	$(BIN)/python -m tests.fallback.histories.run --schedules 1000 --seed 7
	$(BIN)/python -m tests.fallback.histories.run --schedules 100 --seed 7 --kills
	$(BIN)/python -m tests.fallback.histories.run --breaks --seed 7

differential: $(VENV)/installed-dev ## Run 2,000 random programs on SQLite and on the warehouse, and compare.
	$(BIN)/python -m tests.differential.run --programs 1000 --seed 7
	$(BIN)/python -m tests.differential.run --programs 1000 --seed 7 --no-transactions

reads: $(VENV)/installed-dev ## Run 20,000 random reads of what is held, beside a transaction and SQLite: takes hours.
	$(BIN)/python -m tests.reads.run --reads 20000 --seed 7

mutations: $(VENV)/installed-dev ## Break the package at 60 random places; the nearest tests have to see 55.
	$(BIN)/python -m tests.mutations.run

compliance: $(VENV)/installed-dev ## Run SQLAlchemy's suite on our dialect and the vendor's: counts side by side.
	$(BIN)/python tests/compliance/run.py --compare

clients: $(VENV)/installed-dev ## Run clients of Node, Java, the vendor's, dbt and others on the local warehouse; what cannot be had is skipped, and said.
	@code=0; $(BIN)/python -m tests.clients.run || code=1; $(BIN)/python -m tests.clients.suites || code=1; exit $$code

docs: $(VENV)/installed-dev ## Build the site of docs/ into site/; broken links and warnings end it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

pictures: $(VENV)/installed-dev ## Draw the pictures of docs/ anew, from the figures that were measured.
	$(BIN)/python -m scripts.pictures

record: $(VENV)/installed-dev ## Record what the suites, examples and demo send, for Spark to judge.
	$(BIN)/python -m tests.spark.record

test-spark: $(VENV)/installed-dev ## Run what we send on Apache Spark with Delta; says so where Java is missing.
	$(BIN)/python -m tests.spark.run

test-spark-fast: $(VENV)/installed-dev ## The part of it that CI runs: fewer recorded and random statements.
	VINCI_RANDOM_COMPARISONS=150 $(BIN)/python -m tests.spark.run -- -m "not slow and not soak and not full"

spark-page: $(VENV)/installed-dev ## The same, and renew docs/spark.md from its figures.
	$(BIN)/python -m tests.spark.run --required --write

lock: ## Renew the lock files from pyproject.toml (names, versions and hashes only).
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install --quiet uv
	$(UV) pip compile --quiet --universal --python-version 3.10 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
	  --no-emit-package vinci-code --extra dev --group build pyproject.toml -o requirements/dev.lock
	$(UV) pip compile --quiet --universal --python-version 3.10 --only-binary :all: \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
	  --constraint requirements/dev.lock --group build pyproject.toml -o requirements/base.lock
	$(UV) pip compile --quiet --universal --python-version 3.10 --only-binary :all: --resolution lowest-direct \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
	  --no-emit-package vinci-code --extra dev --group build pyproject.toml -o requirements/oldest.lock
	$(UV) pip compile --quiet --universal --python-version 3.10 --no-binary pyspark \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
	  --no-deps --group spark -o requirements/spark.lock

# The time of the last commit stands in every file of the archives, so that two builds are equal.
dist: $(VENV)/installed-dev ## Build wheel and sdist, check what is in them, install the wheel and run the demo.
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build
	$(BIN)/python scripts/check_dist.py dist --install requirements/base.lock

clean: ## Remove the environment and every cache; your database and .env stay.
	rm -rf $(VENV) $(VENV)-lock $(VENV)-oldest $(VENV)-newest $(VENV)-clients* .clients build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "vinci_code needs Python 3.10 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)-oldest/installed: requirements/oldest.lock pyproject.toml scripts/make_environment.py
	$(PYTHON) scripts/make_environment.py oldest $(VENV)-oldest
	@touch $@

$(VENV)/installed-base: requirements/base.lock pyproject.toml | $(BIN)/python
	$(LOCK) requirements/base.lock
	$(SELF)
	@touch $@

$(VENV)/installed-dev: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(LOCK) requirements/dev.lock
	$(SELF)
	@touch $@ $(VENV)/installed-base
