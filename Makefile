# The verbs of this project. Each sets up what it needs by itself; `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTHON ?=
# The stamp's name holds the folder, so that a moved checkout is set up anew (scripts in .venv hold absolute paths).
READY := .venv/.ready-$(shell pwd | cksum | cut -d' ' -f1)
# Generated files and what makes them: one line a generator, each writes its files in place.
# `make docs` runs them all; the tests check that what is committed is current.
GENERATORS := turnout.schemas turnout.documents local.grafana.dashboard local.terraform.topics local.helm.table
PYTEST_ARGS ?=

.PHONY: help setup lint format test test-real simulate histories audit fuzz chaos chaos-compare bench bench-quick bench-console bench-profile cold-start demo demo-cloud demo-compose compose-up compose-down pictures package dist images kafka postgres cluster keda real-parts lock docs clean

help: ## List the verbs
	@printf 'Turnout: push in, delivery out, every step recorded.\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r verb says; do \
		printf '  make %-13s %s\n' "$$verb" "$$says"; done

setup: $(READY) ## Make .venv with the locked dependencies and `turnout` in it (once; then instant)
	@:

$(READY): requirements.in requirements-dev.txt pyproject.toml local/setup/venv.sh
	@printf 'Setting up .venv …\n'
	@PYTHON="$(PYTHON)" local/setup/venv.sh "$@"
	@printf 'Ready: %s\n' "$(BIN)/turnout"

lint: $(READY) ## Check style, types, who imports whom, Dockerfiles, shell scripts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@git ls-files -z '*Dockerfile' | xargs -0 $(BIN)/hadolint
	@git ls-files -z '*.sh' .ci/run | xargs -0 $(BIN)/shellcheck

format: $(READY) ## Rewrite the code in the project's format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

test: lint ## Lint, then the fast tests: no outside parts, under two minutes
	@$(BIN)/python -m pytest -m 'not real and not localstack' --numprocesses auto --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

real-parts: $(READY) ## Install the outside parts of the real tests: Kafka and its Java, PostgreSQL, bubblewrap, node
	@local/setup/real-parts.sh
	@tests/peers/setup.sh
	@$(BIN)/python -m local.kafka.broker --fetch

test-real: real-parts audit ## The tests on real parts: Apache Kafka, PostgreSQL, bubblewrap, node tools
	@TURNOUT_REQUIRE_REAL=1 $(BIN)/python -m tests.again -m real $(PYTEST_ARGS)

fuzz: $(READY) ## Fuzz every parser and door, guided by coverage (SECONDS=600 of every core)
	@$(BIN)/python -m tests.fuzz.campaign --seconds $(or $(SECONDS),600)

simulate: $(READY) ## Play SEEDS=1000 worlds in which everything goes wrong, from FIRST=0 on; or tell the story of one SEED=…
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --first $(or $(FIRST),0))

histories: $(READY) ## Write down the stored histories that are missing, and how all are explained now; never what they mean
	@$(BIN)/python -m tests.histories

# RUNS and SEED say how many runs, and which schedule of strikes; without SEED another one each time. LAUNCHED=1: every
# attempt is a job that knows the gateway alone.
chaos: real-parts ## Kill, stop and cut off everything while RUNS=200 runs go on; nothing may be lost or done twice
	@$(BIN)/python -m tests.chaos $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(if $(LAUNCHED),--launched)

chaos-compare: real-parts ## The same deliveries and strikes for Buildbot; writes the table in docs/chaos.md
	@tests/peers/setup.sh
	@$(BIN)/python -m tests.chaos.compare --write $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

bench: real-parts ## Measure Turnout beside its peers; ONLY=latency,burst,… ROUNDS=20 BURSTS=1 PIPELINES=200 SYSTEMS=…
	@$(BIN)/python -m tests.bench.side_by_side --only '$(ONLY)' --systems '$(SYSTEMS)' \
		--rounds $(or $(ROUNDS),20) --bursts $(or $(BURSTS),1) --pipelines $(or $(PIPELINES),200) \
		--command 'make bench$(if $(ONLY), ONLY=$(ONLY))$(if $(SYSTEMS), SYSTEMS=$(SYSTEMS))$(if $(ROUNDS), ROUNDS=$(ROUNDS))$(if $(BURSTS), BURSTS=$(BURSTS))$(if $(PIPELINES), PIPELINES=$(PIPELINES))'

bench-quick: $(READY) ## Time Turnout on one machine alone, in half a minute
	@$(BIN)/python -m tests.bench.quick

bench-console: $(READY) ## Measure the console at 10,000 runs and 1,000,000 events, with 200 browsers, a log of 50 MB
	@$(BIN)/python -m tests.bench.console

cold-start: $(READY) ## Measure each function's first answer from its package; writes the table in docs/cold-start.md
	@$(BIN)/python -m tests.bench.cold_start --rounds $(or $(ROUNDS),5) --only '$(ONLY)'

bench-profile: $(READY) ## Show where the time of a stage goes
	@$(BIN)/python -m tests.bench.profile

audit: $(READY) ## Check the dependencies: locked with hashes, installed as locked, nothing known against them
	@$(BIN)/python -m local.setup.audit --pip-audit "$$(local/setup/pip-audit.sh)"

demo: $(READY) ## Show the main scenario, from a signed push to the Slack message
	@$(BIN)/python local/demo/run.py

compose-up: $(READY) ## Turnout with Docker Compose: makes images and secrets that are missing, starts all, says where it is
	@BASE='$(BASE)' CA='$(CA)' NETWORK='$(NETWORK)' $(BIN)/python -m local.compose.up

compose-down: $(READY) ## Stop it; what it knows stays in its volumes
	@$(BIN)/python -m local.compose.up --down

demo-compose: $(READY) ## Show the main scenario on it, each attempt in a container of its own
	@BASE='$(BASE)' CA='$(CA)' NETWORK='$(NETWORK)' $(BIN)/python -m local.compose.demo

demo-cloud: real-parts ## Show Turnout as Terraform plans it for Google Cloud, on this machine: what runs as whom, two pushes
	@$(BIN)/python -m tests.cloud

pictures: $(READY) ## Take the pictures of the console in docs/img; needs Chromium
	@$(BIN)/python -m local.console.pictures

package: $(READY) ## Make the functions' packages, build/functions/<function>.zip: ONLY="webhook gateway" PROJECTS=FOLDER
	@$(BIN)/python -m local.package.build --only '$(ONLY)' --projects '$(PROJECTS)'

dist: $(READY) ## Make the wheel and the source distribution of what is committed, dist/: the same bytes for the same commit
	@$(BIN)/python -m local.package.distribution

images: $(READY) ## Build the images of Turnout and its agents: ONLY="turnout lint" ENGINE=docker|buildah REGISTRY=… TAG=… BASE=… SNAPSHOT=… CA=FILE NETWORK=… PUSH=1 FRESH=1
	@local/setup/scanners.sh --trivy
	@$(BIN)/python -m local.images.build --only '$(ONLY)' --engine '$(ENGINE)' --registry '$(REGISTRY)' --tag '$(TAG)' \
		--base '$(BASE)' --snapshot '$(SNAPSHOT)' --ca '$(CA)' --network '$(NETWORK)' --push '$(PUSH)' --fresh '$(FRESH)'

kafka: $(READY) ## Run a real Apache Kafka on loopback until Ctrl-C
	@$(BIN)/python -m local.kafka.broker

postgres: $(READY) ## Run a real PostgreSQL on loopback until Ctrl-C
	@$(BIN)/python -m local.postgres.server

cluster: $(READY) ## Run a Kubernetes cluster (etcd, API server, controllers, scheduler, kwok's nodes) until Ctrl-C
	@local/setup/cluster.sh
	@$(BIN)/python -m local.cluster

keda: real-parts ## Show KEDA scaling resident agents, on real servers and a real Kafka; builds KEDA first
	@local/setup/keda.sh --operator
	@$(BIN)/python -m tests.keda.scaling

lock: $(READY) ## Resolve requirements*.in anew into requirements*.txt (pinned, hashed)
	@local/setup/lock.sh

docs: $(READY) ## Regenerate what is generated: JSON schemas, diagrams
	@$(foreach generator,$(GENERATORS),$(BIN)/python -m $(generator) &&) true

clean: ## Remove .venv and every cache of this checkout
	@rm -rf .venv ./*.egg-info build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis \
		.coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
