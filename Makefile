# Every target builds what it needs from a machine that has Python 3.11 or later, git
# and make. Nothing outside this folder is changed. `make demo PYTHON=python3.12` chooses
# the interpreter.

PYTHON ?= python3
# Of a comparison of the benchmarks: `make bench ROUNDS=10` takes less time.
ROUNDS ?= 60
VENV := .venv
DEMO_VENV := .venv-demo
RELEASED_VENV := .venv-released
BIN := $(VENV)/bin
SOURCES := $(shell find src -name '*.py' -o -name py.typed)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types docs pictures matrix lowest bench bench-servers bench-page
.PHONY: mutants soak timing fuzz package installed sbom audit notes clean FORCE
# Stamps are kept: they say which groups a virtual environment holds.
.SECONDARY:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(DEMO_VENV)/.stamp ## Send deliveries to a receiver, which reports a run
	$(DEMO_VENV)/bin/python examples/demo.py

# The page of `port-webhook listen` is tested where Chromium is.
BROWSER := $(if $(shell command -v chromium || command -v chromium-browser),browser)

test: $(VENV)/.stamp-test $(BROWSER:%=$(VENV)/.stamp-%) ## Run the tests; fails below 100 % branch coverage
	$(BIN)/python -m pytest -n 4 --dist loadfile --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/.stamp-lint ## Check style, spelling, packaging, workflows and known traps
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $$(git ls-files)
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src
	$(BIN)/zizmor --offline --pedantic --quiet .github
	$(BIN)/jactionlint

types: $(VENV)/.stamp-test $(VENV)/.stamp-types ## Check types with mypy and pyright, also on the pages
	$(BIN)/python -m mypy
	$(BIN)/python docs/check_types.py
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright --verifytypes port_webhook --ignoreexternal

docs: $(VENV)/.stamp-docs ## Build the documentation; a warning is an error
	$(BIN)/python -m sphinx -W -n --keep-going -b html docs docs/_build/html

pictures: $(VENV)/.stamp-test $(VENV)/.stamp-browser ## Make the pictures of README.md anew
	$(BIN)/python docs/pictures.py

matrix: $(VENV)/.stamp-matrix ## Run the tests on each Python that is found
	$(BIN)/python -m nox -s tests

lowest: $(VENV)/.stamp-matrix ## Run the tests with the oldest dependencies
	$(BIN)/python -m nox -s lowest

bench: $(VENV)/.stamp-test $(VENV)/.stamp-bench ## Measure beside peers: costs, refusals, stores
	$(BIN)/python benchmarks/run.py --rounds $(ROUNDS)

bench-servers: $(VENV)/.stamp-test $(VENV)/.stamp-bench ## Measure real servers, with and without stores
	$(BIN)/python benchmarks/run.py --servers --rounds $(ROUNDS)

bench-page: $(VENV)/.stamp-test $(VENV)/.stamp-bench ## Measure all, and write docs/benchmarks.md anew
	$(BIN)/python benchmarks/run.py --all --rounds $(ROUNDS) --markdown docs/benchmarks.md

mutants: $(VENV)/.stamp-test $(VENV)/.stamp-mutants ## Test the tests of MODULE=_json, or of all modules
	$(BIN)/python mutation/run.py $(MODULE)

soak: $(VENV)/.stamp-test $(VENV)/.stamp-soak ## Send to real servers while stores and workers fail
	nice -n 10 $(BIN)/python faults/soak.py

timing: $(VENV)/.stamp-test ## Look for secrets in the time that a refusal takes
	nice -n 10 $(BIN)/python benchmarks/timing.py

TARGET := headers
RUNS := 1000000

fuzz: $(VENV)/.stamp-test $(VENV)/.stamp-fuzz ## Fuzz one parser: TARGET=headers RUNS=1000000
	$(BIN)/python -m fuzz $(TARGET) -runs=$(RUNS)

package: $(VENV)/.stamp-package ## Build sdist and wheel twice, compare and check them
	$(BIN)/python release/package.py

# The built files as a user has them: this Python, no source tree.
installed: $(VENV)/.stamp-matrix ## Run the tests against the built sdist and wheel
	$(BIN)/python -m nox -s installed

# What a user gets who installs the wheel with every extra, and no pip beside it.
$(RELEASED_VENV)/.stamp: $(wildcard dist/*.whl) $(VENV)/.created
	@ls dist/*.whl >/dev/null || { echo 'Run `make package` first.' >&2; exit 1; }
	$(BIN)/python -m venv --clear --without-pip $(@D)
	$(BIN)/python -m pip --python $(@D) install --quiet "$$(ls dist/*.whl)[all]"
	@touch $@

sbom: $(RELEASED_VENV)/.stamp $(VENV)/.stamp-package ## List what the wheel and its extras bring
	@mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type library \
	    --output-reproducible --validate --output-file build/port-webhook.cdx.json $(RELEASED_VENV)

# Strict: a dependency that cannot be looked up is an error. The package itself is left
# out, since a version is audited before it is published.
audit: $(RELEASED_VENV)/.stamp $(VENV)/.stamp-package ## Look for known flaws in them
	@mkdir -p build
	$(BIN)/python -m pip --python $(RELEASED_VENV) freeze --exclude port-webhook \
	    >build/requirements.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement build/requirements.txt

notes: ## Print the changes of TAG, if it may be released
	@$(PYTHON) release/notes.py "$$TAG"

clean: ## Remove every environment, cache and build
	rm -rf $(VENV) $(DEMO_VENV) $(RELEASED_VENV) .nox .fuzz .coverage .coverage.* .hypothesis .mypy_cache \
	    .pytest_cache .ruff_cache build dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that is there stays, unless PYTHON names another interpreter than the
# one that it was made with. Then it is made anew, and so are the stamps that need it.
# pip 25.1 is the first that installs a dependency group.
%/.created: FORCE
	@if [ -e $@ ] && [ '$(origin PYTHON)' = file ]; then exit; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'Python 3.11 or later is needed: make PYTHON=python3.11 ...' >&2; exit 1; }; \
	python=$$($(PYTHON) -c 'import sys; print(sys.base_prefix, *sys.version_info)'); \
	if [ "$$(cat $@ 2>/dev/null)" = "$$python" ]; then exit; fi; \
	set -ex; \
	$(PYTHON) -m venv --clear $(@D); \
	$(@D)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'; \
	echo "$$python" >$@

# One stamp for each group, so that each target installs what it needs and no more.
$(VENV)/.stamp-%: pyproject.toml $(VENV)/.created
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group $*
	@touch $@

# These need no project beside them.
$(VENV)/.stamp-lint $(VENV)/.stamp-matrix $(VENV)/.stamp-package: $(VENV)/.stamp-%: pyproject.toml $(VENV)/.created
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@

# The demo sees the package as a user does: built and installed, with two extras.
$(DEMO_VENV)/.stamp: pyproject.toml README.md $(SOURCES) $(DEMO_VENV)/.created
	$(DEMO_VENV)/bin/python -m pip install --quiet --group demo '.[flask,reporting]'
	@touch $@
