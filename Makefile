# Everything here works from nothing: a machine with make and Python 3.10 or later.

PYTHON ?= python3
VENV := .venv

# Interpreters that pyenv or .ci/python3.14 keep are found last: tox runs the tests on every version there is.
BINS := $(shell pyenv root >/dev/null 2>&1 && ls -d "$$(pyenv root)"/versions/*/bin 2>/dev/null) \
	$(abspath $(wildcard .python3.14/usr/bin))
empty :=
space := $(empty) $(empty)
export PATH := $(PATH)$(if $(strip $(BINS)),:$(subst $(space),:,$(strip $(BINS))))

.PHONY: FORCE help demo check test bench chaos soak docs clean

help:
	@echo "make demo    a gateway with the example plugins, without Kong: make demo PORT=9000"
	@echo "make check   style, types and tests on one Python: before each commit"
	@echo "make test    run all checks on every Python there is"
	@echo "make bench   compare the speed with the floor and with peers: make bench ARGS=--quick"
	@echo "make chaos   misuse the server at random: make chaos SECONDS=3600 SEED=1"
	@echo "make soak    chaos, fuzzing and a million events: five minutes"
	@echo "make docs    build the docs into docs/_build/html"
	@echo "make clean   remove what the others made"

# A virtual environment that does not work any more (its Python is gone, or it was left half made) is made again.
ifneq ($(wildcard $(VENV)/pyvenv.cfg),)
BROKEN := $(shell $(VENV)/bin/python -c 'import pip' >/dev/null 2>&1 || echo yes)
endif

$(VENV)/bin/python: $(if $(BROKEN),FORCE)
	$(PYTHON) -m venv --clear $(VENV)

FORCE:

$(VENV)/tox.done: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --upgrade 'tox>=4.11'
	@touch $@

$(VENV)/dev.done: $(VENV)/bin/python setup.cfg
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(VENV)/check.done: $(VENV)/bin/python setup.cfg
	$(VENV)/bin/python -m pip install --quiet --editable '.[check]'
	@touch $@

PORT ?=

demo: $(VENV)/dev.done
	$(VENV)/bin/python -m pluginserver dev examples examples/demo --config-file examples/dev.toml \
		$(if $(PORT),--port $(PORT))

# The random cases of a minute; the matrix draws more.
check: export PLUGINSERVER_FUZZ_CASES ?= 100
check: $(VENV)/check.done
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/python -m pytest --quiet --numprocesses 4 --dist worksteal

test: $(VENV)/tox.done
	$(VENV)/bin/python -m tox run -e "$$($(VENV)/bin/python .ci/matrix)"

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
	$(VENV)/bin/python -m tox run -e soak

docs: $(VENV)/tox.done
	$(VENV)/bin/python -m tox run -e docs

clean:
	rm -rf $(VENV) .python3.14 .tox build *.egg-info docs/_build .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache bench/loadgen bench/results bench/peers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
