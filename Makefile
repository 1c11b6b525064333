# Everything a developer runs. `make help` lists it; the virtual environment is made when needed.

VENV ?= .venv
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done)
BIN := $(VENV)/bin
comma := ,
SOURCES := audit_events indexer agent webapi node indelible examples tests bench
BENCH_ARGS ?= --quick
# Half of the time a test waits for something. The tests of a file share what it starts; in the
# order of their names, as many small files come last, and no worker waits long for the other.
TEST_WORKERS ?= 2
AT_ONCE := -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder
PROJECTS := pyproject.toml packaging/indelible-events/pyproject.toml

# Whoever only wants to see it running needs no linters.
$(VENV)/.up: $(PROJECTS)
	$(call install,-e ./packaging/indelible-events -e '.[node]')

$(VENV)/.dev: $(PROJECTS)
	$(call install,-e ./packaging/indelible-events -e '.[dev]')
	@touch $(VENV)/.up
	@$(browser)

define install
@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found" >&2; \
	echo "next: install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
@echo "Installing into $(VENV) ($$($(BIN)/python --version))"
@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)
@touch $@
endef

# The tests of the page drive the system's Chromium.
define browser
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing Chromium"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium fonts-noto-core fonts-noto-color-emoji >/dev/null; \
else echo "note: no Chromium found, so the tests of the page will fail" >&2; \
	echo "next: install it (sudo apt-get install chromium)" >&2; fi
endef

# Prints how long a part took, and ends where it failed.
define timed
{ begun=$$SECONDS; echo "== $(1)"; \
	if $(2); then echo "== $(1): $$((SECONDS - begun)) s"; \
	else code=$$?; echo "== $(1): FAILED after $$((SECONDS - begun)) s"; (exit $$code); fi; }
endef

define none_failed
test -z "$(1)" || { echo "error: failed:$(1)" >&2; exit 1; }
endef

.PHONY: generate help up test test-api test-nodes test-compat test-fast lint bench build clean

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/.up ## Run all of it in this terminal; ARGS="--no-example" and the like
	@exec $(BIN)/indelible up $(ARGS)

# All of them, whatever fails: who mends wants to know everything.
lint: $(VENV)/.dev ## Lint, format, types, imports
	@failed=; \
	$(call timed,ruff check,$(BIN)/ruff check .) || failed="$$failed ruff-check"; \
	$(call timed,ruff format,$(BIN)/ruff format --check .) || failed="$$failed ruff-format"; \
	$(call timed,mypy,$(BIN)/mypy) || failed="$$failed mypy"; \
	$(call timed,pyright,$(BIN)/pyright --pythonpath $(BIN)/python) || failed="$$failed pyright"; \
	$(call timed,lint-imports,$(BIN)/lint-imports) || failed="$$failed lint-imports"; \
	$(call none_failed,$$failed)

test-fast: $(VENV)/.dev ## The tests that need no OpenSearch
	@$(call timed,fast tests,$(BIN)/pytest -q $(AT_ONCE) -m 'not slow and not opensearch')

test: lint ## Everything: lint, all tests, and the wheels in an empty environment
	@$(call timed,tests,$(BIN)/pytest -q $(AT_ONCE) -m 'not nodes' --ignore=tests/test_distributions.py)
	@$(call timed,wheels,$(BIN)/pytest -q tests/test_distributions.py)

# What is stored, and how it is found again; each kind of cluster on a node of its own. The table of
# all calls is of one version, the default.
COMPAT_TESTS := $(wildcard tests/test_index_templates_*.py tests/test_indexer_*.py \
	tests/test_webapi_audit_log.py tests/test_webapi_paging.py tests/test_webapi_reading.py \
	tests/test_indelible_archive.py tests/test_indelible_hold.py tests/test_indelible_indices.py \
	tests/test_indelible_lifecycle.py)

test-nodes: $(VENV)/.dev ## Three nodes that are killed and restarted under load; some 8 minutes, alone
	@$(call timed,nodes,INDELIBLE_TEST_NODES_EVENTS_PER_SECOND=$${INDELIBLE_TEST_NODES_EVENTS_PER_SECOND:-1500} \
		$(BIN)/pytest -q -s tests/test_scenarios_nodes.py)

test-api: $(VENV)/.dev ## schemathesis over the whole API, and a cursor through 100,000 events; some minutes
	@INDELIBLE_TEST_API_CASES=$${INDELIBLE_TEST_API_CASES:-700} \
		$(BIN)/pytest -q -s tests/test_webapi_conformance.py
	@INDELIBLE_TEST_PAGED_EVENTS=$${INDELIBLE_TEST_PAGED_EVENTS:-100000} \
		$(BIN)/pytest -q -s tests/test_webapi_paging.py -k while_others_arrive

test-compat: $(VENV)/.dev ## The storage tests on OpenSearch 3.4.0 and 3.8.0, with and without security
	@failed=; for version in 3.4.0 3.8.0; do for security in on off; do \
		export INDELIBLE_TEST_OPENSEARCH_VERSION=$$version INDELIBLE_TEST_OPENSEARCH_SECURITY=$$security; \
		unset INDELIBLE_TEST_OPENSEARCH_URL; \
		$(call timed,OpenSearch $$version$(comma) security $$security,$(BIN)/pytest -q -m opensearch -k "not who_may_do_what" $(COMPAT_TESTS)) \
			|| failed="$$failed $$version/$$security"; \
	done; done; $(call none_failed,$$failed)

# A test says which of them is not current.
generate: $(VENV)/.dev ## What is made of the catalogue and of the API's tables
	@$(BIN)/python -m audit_events.generate audit_events/catalogue.toml --python audit_events/actions.py \
		--entries audit_events/catalogue_entries.py --markdown docs/events.md
	@$(BIN)/python -m webapi.openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

bench: $(VENV)/.dev ## Every measurement of bench/, the quick way; BENCH_ARGS= for the long one
	@failed=; for script in $$(grep -l '__main__' bench/*.py); do \
		$(call timed,$$script,$(BIN)/python $$script $(BENCH_ARGS)) || failed="$$failed $$script"; \
	done; $(call none_failed,$$failed)

build: $(VENV)/.dev ## Both wheels, into dist/
	@rm -rf dist
	@$(BIN)/python -m build --wheel --outdir dist packaging/indelible-events
	@$(BIN)/python -m build --wheel --outdir dist .

clean: ## Remove what was made here; data of `up` stays
	@# VENV may be anything: what is no virtual environment stays.
	test ! -f $(VENV)/pyvenv.cfg || rm -rf $(VENV)
	rm -rf dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
