# All that a developer runs. `make` alone lists it; PYTHON=... takes another interpreter than the
# newest on PATH, in a virtual environment of its own.

SHELL := bash
VENV ?= .venv$(if $(PYTHON),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PORT ?= 8000
DEMO := .venv-demo$(if $(PYTHON),-$(notdir $(PYTHON)))
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: help
help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: test
test: lint types docs pytest ## everything below, up to pytest: what must pass before a commit

.PHONY: lint
lint: $(INSTALLED) ## formatting and lint (ruff)
	@$(BIN)/ruff format --check --quiet . || { echo 'make format mends that'; exit 1; }
	@$(BIN)/ruff check --quiet .

.PHONY: format
format: $(INSTALLED) ## format the code, and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

.PHONY: types
types: $(INSTALLED) ## type check (mypy --strict, pyright)
	@$(BIN)/mypy
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

.PHONY: docs
docs: $(INSTALLED) ## the documentation, warnings are errors: docs/_build/html
	@$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_build/html

.PHONY: reference
reference: $(INSTALLED) ## docs/reference/command-line.md, from the commands themselves
	@$(BIN)/python docs/command_reference.py

.PHONY: pictures
pictures: $(INSTALLED) ## take the pictures of the docs anew, in a real browser
	@STONES_PICTURES=yes $(BIN)/pytest --quiet tests/test_browser_docs.py

.PHONY: pytest
pytest: $(INSTALLED) ## all tests and all examples of the docs, with branch coverage
	@$(BIN)/pytest --quiet --numprocesses auto --cov

.PHONY: test-all
test-all: ## the tests under each supported Python that this machine has
	@.ci/test-all

.PHONY: demo
demo: $(DEMO)/.installed ## a tour on real data, in an environment of its own; leaves demo-db behind
	@rm -rf demo-db
	@$(DEMO)/bin/python docs/examples/airports.py demo-db

.PHONY: browse
browse: $(DEMO)/.installed demo-db/data.mdb ## a page to look into demo-db: make browse PORT=8001
	@$(DEMO)/bin/stones serve demo-db --write --port $(PORT)

demo-db/data.mdb: | $(DEMO)/.installed
	@$(MAKE) --no-print-directory demo

.PHONY: bench
bench: $(VENV)/.installed-bench ## ratios to raw LMDB and SQLite, and their pictures: make bench ROUNDS=3 ONLY=count
	@$(BIN)/python tests/benchmarks/run.py $(ONLY)

.PHONY: bench-peers
bench-peers: $(VENV)/.installed-bench-peers ## collections and other ways to keep records, as a table
	@$(BIN)/python tests/benchmarks/compare_peers.py $(ONLY)

.PHONY: bench-growth
bench-growth: $(VENV)/.installed-bench-peers ## how it all grows, to 10 million, and the plots in the docs
	@$(BIN)/python tests/benchmarks/growth.py
	@$(BIN)/python tests/benchmarks/peer_growth.py

.PHONY: bench-engines
bench-engines: $(INSTALLED) ## each engine and its own client by hand, as a table
	@$(BIN)/python tests/benchmarks/compare_engines.py $(ONLY)

.PHONY: torture
torture: $(INSTALLED) ## kill writers and migrations, and cut the power, for an hour (needs strace)
	@$(BIN)/python tests/torture/run.py kills --rounds 1000
	@$(BIN)/python tests/torture/run.py kills --rounds 100 --durability lazy
	@$(BIN)/python tests/torture/run.py kills --rounds 100 --durability none
	@$(BIN)/python tests/torture/run.py copies --rounds 200
	@$(BIN)/python tests/torture/run.py races --rounds 300
	@$(BIN)/python tests/torture/run.py formats --rounds 50
	@$(BIN)/python tests/torture/run.py steps --rounds 50
	@$(BIN)/python tests/torture/run.py cuts --rounds 20 --cuts 500 --operations 150
	@$(BIN)/python tests/torture/run.py cuts --rounds 10 --cuts 300 --operations 150 --durability lazy
	@$(BIN)/python tests/torture/run.py making --rounds 10

.PHONY: cluster
cluster: $(INSTALLED) ## three nodes of PostgreSQL on this machine, until Ctrl-C
	@$(BIN)/python -m tests.cluster.run start

.PHONY: cluster-stop
cluster-stop: $(INSTALLED) ## stop what make cluster has started
	@$(BIN)/python -m tests.cluster.run stop

.PHONY: torture-postgres
torture-postgres: $(INSTALLED) ## kill a server of PostgreSQL 300 times, and nodes of three
	@$(BIN)/python -m tests.cluster.run kills --rounds 300
	@$(BIN)/python -m tests.cluster.run failover
	@$(BIN)/python -m tests.cluster.run mixed --seconds 60

SECONDS ?= 120
.PHONY: fuzz
fuzz: $(INSTALLED) ## let atheris look for inputs that break what reads them: make fuzz SECONDS=600
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
		$(BIN)/python $(PIP_INSTALL) --only-binary atheris --editable '.[fuzz]' || \
		{ echo "There is no atheris for $$($(BIN)/python --version) here."; exit 1; }
	@$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS)

.PHONY: venv
venv: $(INSTALLED) ## only the virtual environment

$(INSTALLED): pyproject.toml
	@.ci/venv $(VENV) $(PYTHON)
	@.ci/test-packages $(BIN)/python
	@echo 'Installing stones and its tools into $(VENV) ...'
	@$(BIN)/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $@

# What benchmarks compare with. They leave out what is not installed.
$(VENV)/.installed-%: $(INSTALLED)
	@$(BIN)/python $(PIP_INSTALL) --editable '.[$*]' && touch $@ || \
		echo 'What is in the extra $* cannot all be installed here. Install what can be by hand.'

$(DEMO)/.installed: pyproject.toml
	@.ci/venv $(DEMO) $(PYTHON)
	@echo 'Installing stones into $(DEMO) ...'
	@$(DEMO)/bin/python $(PIP_INSTALL) --editable '.[browser,demo]'
	@touch $@

.PHONY: clean
clean: ## remove what the others made, but for the virtual environments
	@rm -rf build demo-db dist docs/_build htmlcov .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find stones collections migrations tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
