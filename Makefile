# Every target does its own set-up; it needs Python 3.11 or newer, make and a package index, nothing else.
#   make demo    a portrait speaks in three emotions: out/demo.mp4
#   make test    formatting, lint, types, tests
# Another Python: make test PYTHON=/path/to/python3.12

CANDIDATES := python3 python3.11 python3.12 python3.13
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for one in $(CANDIDATES); do \
	$$one -c '$(IS_NEW_ENOUGH)' 2>/dev/null && command -v $$one && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check lint types unit clean
.NOTPARALLEL:

demo: $(READY)
	$(BIN)/python examples/demo.py

test: lint types unit

check: test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: export OMP_NUM_THREADS := 1
unit: $(READY)
	$(BIN)/python -m pytest

# The stamp is written last, so a set-up that was interrupted is done again.
$(READY): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'Auteur needs Python 3.11 or newer; none of $(CANDIDATES) is;' \
		'install one or name yours: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' || { echo '$(PYTHON) is older than Python 3.11;' \
		'name a newer one: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments;' \
		'on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV)
