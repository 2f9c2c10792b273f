# Every target does its own set-up; it needs Python 3.11 or newer, make and a package index, nothing else.
#   make demo         a portrait speaks in three emotions: out/demo.mp4
#   make test         formatting, lint, types, tests
#   make test-fast    the tests that are not marked slow: meant to stay under a minute
#   make test-wheel   the wheel, installed alone with the newest versions, and what it does with MP3, M4A and MP4
#   make test-matrix  Python 3.11 to 3.13, lowest and newest versions, without extras: up to hours
#   make test-studio  the studio's page: types, arithmetic, bundle up to date; needs Node 20 or newer
#   make coverage     which lines the tests reach: out/coverage/index.html
#   make notebook     examples/direct_a_face.ipynb, run from its first cell to its last
# Another Python: make test PYTHON=/path/to/python3.12; more processes for the tests: make test WORKERS=4

CANDIDATES := python3 python3.11 python3.12 python3.13
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for one in $(CANDIDATES); do \
	$$one -c '$(IS_NEW_ENOUGH)' 2>/dev/null && command -v $$one && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.demo-ready
WORKERS ?= 2
INSTALL := -m pip install --quiet --no-input --disable-pip-version-check

.PHONY: demo notebook test test-fast test-studio test-wheel test-matrix coverage check lint types unit clean
.NOTPARALLEL:

demo: $(DEMO_READY)
	$(BIN)/python examples/demo.py

notebook: export OMP_NUM_THREADS := 1
notebook: $(READY)
	$(BIN)/python -m pytest tests/test_examples.py

test: lint types unit

check: test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright --pythonpath $(BIN)/python

unit test-fast coverage: export OMP_NUM_THREADS := 1
unit: $(READY)
	$(BIN)/python -m pytest -m forks
	$(BIN)/python -m pytest -m 'not forks' -n $(WORKERS) --dist loadfile

test-fast: $(READY)
	$(BIN)/python -m pytest -m 'not slow'

test-wheel: python-is-there
	PYTHON='$(PYTHON)' tests/wheel/run

test-studio:
	cd studio && npm ci --no-audit --no-fund && npm run types && npm test && npm run check

test-matrix: $(READY)
	$(BIN)/nox

coverage: $(READY)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage html --quiet --directory out/coverage
	$(BIN)/coverage report

.PHONY: python-is-there
python-is-there:
	@test -n '$(PYTHON)' || { echo 'Auteur needs Python 3.11 or newer; none of $(CANDIDATES) is;' \
		'install one or name yours: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' || { echo '$(PYTHON) is older than Python 3.11;' \
		'name a newer one: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments;' \
		'on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

# The stamp is written last, so a set-up that was interrupted is done again.
$(READY): pyproject.toml constraints.txt | python-is-there
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[dev]'
	@touch $(READY) $(DEMO_READY)

# The product and its demo, nothing for developers.
$(DEMO_READY): pyproject.toml constraints.txt | python-is-there
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[demo]'
	@touch $(DEMO_READY)

clean:
	rm -rf $(VENV)
