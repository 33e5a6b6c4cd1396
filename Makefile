# Everything here works from nothing: a machine with make and Python 3.10 or later.

PYTHON ?= python3
VENV := .venv

# Interpreters that pyenv or .ci/python3.14 keep are found last: tox runs the tests on every version there is.
BINS := $(shell pyenv root >/dev/null 2>&1 && ls -d "$$(pyenv root)"/versions/*/bin 2>/dev/null) \
	$(abspath $(wildcard .python3.14/usr/bin))
empty :=
space := $(empty) $(empty)
export PATH := $(PATH)$(if $(strip $(BINS)),:$(subst $(space),:,$(strip $(BINS))))

.PHONY: help demo check test bench chaos soak docs clean

help:
	@echo "make demo    a gateway with the example plugins, without Kong"
	@echo "make check   style, types and tests on one Python: before each commit"
	@echo "make test    run all checks on every Python there is"
	@echo "make bench   compare the speed with the floor and with peers: make bench ARGS=--quick"
	@echo "make chaos   misuse the server at random: make chaos SECONDS=3600 SEED=1"
	@echo "make soak    chaos, fuzzing and a million events: five minutes"
	@echo "make docs    build the docs into docs/_build/html"
	@echo "make clean   remove what the others made"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/tox.done: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --upgrade 'tox>=4.11'
	@touch $@

$(VENV)/dev.done: $(VENV)/bin/python setup.cfg
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(VENV)/check.done: $(VENV)/bin/python setup.cfg
	$(VENV)/bin/python -m pip install --quiet --editable '.[check]'
	@touch $@

demo: $(VENV)/dev.done
	@echo "Try: curl -i -H 'x-api-key: demo' http://127.0.0.1:8000/orders"
	@echo "and then http://127.0.0.1:8000/__pluginserver in a browser; Ctrl-C ends it."
	$(VENV)/bin/python -m pluginserver dev examples --config-file examples/dev.toml

# The random cases of a minute; the matrix draws more.
check: export PLUGINSERVER_FUZZ_CASES ?= 100
check: $(VENV)/check.done
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest --quiet --numprocesses 4 --dist worksteal

test: $(VENV)/tox.done
	$(VENV)/bin/tox run -e "$$($(VENV)/bin/python .ci/matrix)"

# The peer that is not from PyPI; where Node.js is not, the comparison says so.
$(VENV)/bench.done: $(VENV)/dev.done
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev,bench]'
	-command -v npm >/dev/null && npm install --silent --no-save --prefix bench/peers kong-pdk
	@touch $@

ARGS ?=

bench: $(VENV)/bench.done
	$(VENV)/bin/python bench/run.py compare $(ARGS)

SECONDS ?= 120
SEED ?=

chaos: $(VENV)/check.done
	cd tests && ../$(VENV)/bin/python -m chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

soak: $(VENV)/tox.done
	$(VENV)/bin/tox run -e soak

docs: $(VENV)/tox.done
	$(VENV)/bin/tox run -e docs

clean:
	rm -rf $(VENV) .python3.14 .tox build *.egg-info docs/_build .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache bench/loadgen bench/results bench/peers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
