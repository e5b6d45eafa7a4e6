# The lake on one machine. `make` without a target lists the targets; docs/ has the guides.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON = $(or $(shell command -v python3.11 || command -v python3),$(error \
  Python 3.11 is needed: there is neither python3.11 nor python3 on the PATH))
# Every Python process finds the code by PYTHONPATH; the tools are those that set-up installs.
export PYTHONPATH := $(CURDIR):$(CURDIR)/include
TOOLS := .local/tools/airflow/bin
LAKE := $(TOOLS)/python -m local
# A command of infrastructure/; with ENV=local it runs through the home, which knows its own addresses.
INFRASTRUCTURE = $(if $(filter local,$(ENV)),$(LAKE) $(1),$(TOOLS)/python -m infrastructure.$(1) --environment $(ENV))
# CHECK runs a part of `make test` and records its time; TEST runs the tests of one tier.
CHECK = @$(TOOLS)/python -m local.commands.checks --timed $@
TEST = $(CHECK) $(TOOLS)/python -m pytest -q -m
PARTS := test-spark test-journey ruff mypy sqlfluff cfn-lint vulture scan test-fast test-services test-trino

# LAKE_HOME and LAKE_PORT select another home, SAKILA_DIR a folder with Sakila's two scripts.
RATE ?= 100
SECONDS ?= 60
MONTHS ?= 3
EVENTS ?= 20000
KILLS ?= 200
SEED ?= 1
SEEDS ?= 20

.PHONY: tools deploy destroy plan help setup setup-tests startable demo up down status clean stream history redrive \
  verify sql airflow env test test-shuffled $(PARTS) ruff mypy sqlfluff cfn-lint vulture faults kill-loop mutants format docs pictures lock

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

setup:  ## install what is missing (Debian packages, Python environments, jars, Sakila)
	@$(PYTHON) -B -m local.installation.setup

setup-tests: setup  # also the security scanner and the checkers of Dockerfile and docker-compose.yaml
	@$(PYTHON) -B -m local.installation.setup docker-compose containers scanners

startable:  # before set-up, which may take minutes: are the home's ports free?
	@$(PYTHON) -B -m local startable

demo: startable setup  ## the whole journey: start, deploy, load, stream, enrich, query; prints the results
	@$(LAKE) demo

up: startable setup  ## start the home, and deploy what is missing or has changed
	@$(LAKE) up

down:  ## stop everything; stored data stays
	@$(PYTHON) -B -m local down

status:  ## show the services with their states, ports, memory and logs
	@$(PYTHON) -B -m local status

clean:  ## stop everything and remove .local: all installed tools and all stored data
	@$(PYTHON) -B -m local clean

stream: setup  ## send live events: RATE= a second (0: as fast as possible), for SECONDS=
	@$(LAKE) stream --rate $(RATE) --seconds $(SECONDS)

history: setup  ## write MONTHS= past months of synthetic events: EVENTS= in the newest, a tenth less in each before
	@$(LAKE) history --months $(MONTHS) --events $(EVENTS)

redrive: setup  ## send CSV objects that could not be converted back to their queue, after the cause is fixed
	@$(LAKE) redrive

deploy: tools  ## deploy to AWS: ENV=dev; shows what changes and asks (YES=1 does not ask); MYSQL_CA= file, REPLACE= ids
	@$(call INFRASTRUCTURE,deploy) --sakila .local/tools/sakila $(if $(MYSQL_CA),--mysql-ca $(MYSQL_CA)) \
	  $(REPLACE:%=--replace %) $(if $(YES),--yes)

destroy: tools  ## remove a deployment: ENV=dev; shows what is removed and what stays, and asks (YES=1 does not ask)
	@$(call INFRASTRUCTURE,destroy) $(if $(YES),--yes)

plan: tools  ## show what `make deploy ENV=` would do: checks, limits, parameters, cost; the changes, if signed in to AWS
	@$(call INFRASTRUCTURE,plan)

tools:  # what a deployment needs, without the local home
	@$(if $(ENV),,$(error ENV= is missing: dev, prod, or local for the running home))$(PYTHON) -B -m local.installation.setup uv airflow sakila

verify: setup  ## recount MONTH= (yyyy-MM; default: all months) from what landed; LEDGER= file or folder of event ids
	@exports=$$(test -n "$$LAKE_SUFFIX" || $(PYTHON) -B -m local env) && eval "$$exports" && \
	  $(TOOLS)/python -m oracle $(if $(MONTH),--month $(MONTH)) $(if $(LEDGER),--ledger $(LEDGER))

# Q and ARGS reach their programs as they were typed: make would read their dollars, and a shell their quotes.
unexport Q ARGS
sql: export LAKE_SQL := $(value Q)
sql: setup  ## run a statement in Athena: Q="select ...", or make sql < file.sql
	@$(LAKE) sql

airflow: export AIRFLOW_ARGS := $(value ARGS)
airflow: setup  ## run a command of the home's Airflow: ARGS="dags list"
	@$(LAKE) airflow

env:  ## print export lines for clients: eval "$(make -s env)"
	@$(PYTHON) -B -m local env

test: setup-tests  ## lint, the scanners and every test: fast, services, Spark, Trino, the journey
	@$(TOOLS)/python -m local.commands.checks $(PARTS)

test-fast: setup-tests  ## the tests that need no service
	$(TEST) "not services and not spark and not trino and not journey"

test-shuffled: setup-tests  ## the fast and the services tests in random order; a failure says how to repeat it
	$(CHECK) $(TOOLS)/python -m pytest -q -p randomly -m "not spark and not trino and not journey"

test-services: setup-tests  ## the tests with MariaDB, PostgreSQL, the emulator and our server
	$(TEST) "services and not spark and not trino and not journey"

test-spark: setup-tests  ## the tests with Spark
	$(TEST) "spark and not trino and not journey"

test-trino: setup-tests  ## the tests with Trino
	$(TEST) "trino and not journey"

test-journey: setup-tests  ## the whole chain, through a home of its own
	$(TEST) journey

faults: setup  ## try every fault of docs/reliability.md SEEDS= times (a fifth as often where Spark is killed; ONLY= some); write its table
	@$(TOOLS)/python -m tests.faults.report --seeds $(SEEDS) $(if $(ONLY),--only $(ONLY))

kill-loop: setup  ## kill processes of a separate working home KILLS= times at random (SEED=); RECORD=1 writes docs/kill-loop.md
	@$(TOOLS)/python -m tests.kill_loop --kills $(KILLS) --seed $(SEED) $(if $(RECORD),--record)

mutants: setup  ## remove protections from a copy of the code, one at a time; a test must fail for each
	@$(TOOLS)/python -m tests.mutants

lint: ruff mypy sqlfluff cfn-lint vulture  ## ruff, mypy, sqlfluff, cfn-lint, vulture

ruff: setup
	$(CHECK) sh -c '$(TOOLS)/ruff check . && $(TOOLS)/ruff format --check .'

mypy: setup
	$(CHECK) $(TOOLS)/mypy

sqlfluff: setup
	$(CHECK) $(TOOLS)/sqlfluff lint --disable-progress-bar include/sql

cfn-lint: setup
	$(CHECK) $(TOOLS)/cfn-lint infrastructure/*.yaml

vulture: setup
	$(CHECK) $(TOOLS)/vulture

scan: setup-tests  ## checkov, cfn-lint and our own rules: 0 findings in the template, at least 40 in the naive one
	$(CHECK) $(TOOLS)/python -m infrastructure.scanners

format: setup  ## format the Python files
	@$(TOOLS)/ruff check --fix-only --quiet . && $(TOOLS)/ruff format .

docs: setup  ## generate docs/DAGS.md, docs/iam.md, docs/cost.md and the tables in docs/deploy.md and docs/reliability.md
	@$(TOOLS)/python -m local.commands.dag_docs
	@$(TOOLS)/python -m infrastructure.guide_tables
	@$(TOOLS)/python -m infrastructure.iam.document
	@$(TOOLS)/python -m infrastructure.cost.document
	@$(TOOLS)/python -m tests.faults.report

pictures: setup  ## take the guides' pictures of Airflow's UI from the running home, after the demo; it needs Chromium
	@$(LAKE) pictures

lock: setup  ## compile the requirements again (production's and the local ones together)
	@for lock in local/requirements requirements local/aws/emulator/requirements tests/containers/requirements infrastructure/scanners/requirements; do \
	  constraint=$$(test $$lock = requirements && echo "--constraint local/requirements.txt"); \
	  $(TOOLS)/uv pip compile --system-certs --quiet --no-header --generate-hashes --python-version 3.11 $$constraint \
	    --output-file $$lock.txt $$lock.in || exit; done
