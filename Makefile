# Intentions, one line each. The work is done by .venv/bin/weighbridge and .venv/bin/weighbridge-sandbox.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ENV ?= sandbox
SIZE ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# A target that talks to the sandbox gets its KUBECONFIG, credentials' places and tools; any other cluster needs none.
ifeq ($(ENV),sandbox)
SANDBOX := eval "$$($(BIN)/weighbridge-sandbox env)";
endif

# Tests start the programs some hundred times: compiled at the first start, and not at each.
unexport PYTHONDONTWRITEBYTECODE
# Half their time they wait, for pods and for the operator: three at a time keep two cores busy, and leave each its time.
WORKERS ?= 3
PYTEST := eval "$$($(BIN)/weighbridge-sandbox env)"; $(BIN)/pytest --durations=40 --durations-min=1
# pytest's exit 5 is "no test": one half of the tests may be empty where ARGS choose among them, and only there.
OR_NONE = $(if $(ARGS),|| [ $$? = 5 ])

##@ Start here
help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
setup: $(READY) ## make .venv from the locked requirements (done by every target that needs it)
demo: $(READY) ## the main job on a sandbox on this machine; SIZE=8GiB for synthetic weights of that size
	@$(BIN)/python -m weighbridge_sandbox.demo $(if $(SIZE),--size $(SIZE))
sandbox-up: ## start the sandbox, and what of it is down
sandbox-down: ## stop it; what is in it stays
sandbox-status: ## what runs, and where
sandbox-reset: ## empty it; the tools stay
sandbox-up sandbox-down sandbox-status sandbox-reset: sandbox-%: $(READY)
	@$(BIN)/weighbridge-sandbox $*

##@ One environment (ENV=name or path; ARGS="--json" and so on)
check: ## everything that is wrong with the environment file; no network
render: ## the manifests and the playbooks' variables as files
plan: ## bytes to move and objects to change; writes nothing
apply: ## make it so, and prove it
verify: ## read every byte of the published weights again
status: ## what is in place
doctor: ## what an apply needs, and what is missing
size: ## GPUs, memory and volume that each model needs; reads the source
rbac: ## the Roles that the environment needs; no network
destroy: ## take our registrations out; volumes and weights stay
check render plan apply verify status doctor size rbac destroy: $(READY)
	@$(SANDBOX) $(BIN)/weighbridge $@ $(ENV) $(ARGS)

##@ For developers of weighbridge
test: sandbox-for-tests ## every test but the nightly ones, on the sandbox, which is started where it is down; WORKERS=3 at a time
	@$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not alone and not nightly" $(ARGS) $(OR_NONE)
	@$(PYTEST) -m "alone and not nightly" $(ARGS) $(OR_NONE)
test-nightly: sandbox-for-tests ## what `make test` leaves out: the tests that take long
	@$(PYTEST) -m nightly $(ARGS)
sandbox-for-tests: $(READY) ## the sandbox, with an operator that is quick
	@WEIGHBRIDGE_SANDBOX_OPERATOR_PICKUP_SECONDS=0.5 WEIGHBRIDGE_SANDBOX_OPERATOR_STEP_SECONDS=0.1 $(BIN)/weighbridge-sandbox up
test-unit: $(READY) ## the tests that need nothing but Python
	@$(BIN)/pytest tests/unit -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)
test-writers: sandbox-for-tests ## another team writes to the list all the while: at least 20 runs of ours, 1,000 edits, each accounted for
	@$(PYTEST) -m nightly tests/e2e/test_second_writer.py $(ARGS)
test-faults: $(READY) ## 200 seeded trials that hurt real runs, and what was lost (docs/faults.md); ARGS="--seed 4 --only 17"
	@$(BIN)/weighbridge-sandbox up
	@PYTHONPATH=tests $(BIN)/python -m faults.campaign $(ARGS)
soak: $(READY) ## the same for a night, seed after seed; ARGS="--hours 8 --seed 100"
	@$(BIN)/weighbridge-sandbox up
	@PYTHONPATH=tests $(BIN)/python -m faults.campaign --hours 8 $(ARGS)
lint: lint-python lint-types lint-layers lint-ansible lint-generated ## every static check
lint-python: $(READY) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
lint-types: $(READY) ## mypy
	@$(BIN)/mypy
	@MYPYPATH=collections:src $(BIN)/mypy --namespace-packages --explicit-package-bases plugins
lint-layers: $(READY) ## import-linter: who may import whom
	@$(BIN)/lint-imports
lint-ansible: $(READY) ## ansible-lint and yamllint
	@PATH="$$PWD/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q
	@$(BIN)/yamllint --strict .
lint-generated: $(READY) ## what is made from the code is up to date
	@$(BIN)/python docs/generate.py --check
record: sandbox-for-tests ## run a plan and two applies on an empty sandbox, and keep what they print for README's picture
	@eval "$$($(BIN)/weighbridge-sandbox env)"; $(BIN)/python docs/record.py
generate: $(READY) ## write the documents and schemas that are made from the code
	@$(BIN)/python docs/generate.py
lock: ## resolve requirements/*.lock again (needs uv)
	@tools/lock
bench: $(READY) ## the mover beside rclone, in turns, as ratios; ARGS="--size-mib 2048 --rounds 5"
	@eval "$$($(BIN)/weighbridge-sandbox env)"; $(BIN)/python benchmarks/fetch.py --rclone $(BIN)/rclone $(ARGS)
bench-scale: sandbox-for-tests ## plan and apply at 1, 10 and 100 models, fetch at 10, 1,000 and 100,000 files (docs/scale.md); an hour
	@$(BIN)/python benchmarks/scale.py files && $(BIN)/python benchmarks/scale.py models
bench-startup: $(READY) ## what the verbs cost before they do anything: CPU seconds, and a plan beside bare previews; ARGS="--rounds 20"
	@eval "$$($(BIN)/weighbridge-sandbox env)"; $(BIN)/python benchmarks/startup.py $(ARGS)
clean: ## remove .venv and caches; the sandbox's state stays (weighbridge-sandbox down, reset)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml requirements/dev.lock
	@tools/setup $(VENV)

.PHONY: help setup demo sandbox-up sandbox-down sandbox-status sandbox-reset check render plan apply verify status doctor size rbac destroy \
  test sandbox-for-tests test-unit test-nightly test-writers test-faults soak lint lint-python lint-types lint-layers lint-ansible lint-generated record generate lock bench bench-scale bench-startup clean
