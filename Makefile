# Two commands for a new user: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow lint types clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FeatherSeg needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[evaluate,train,export]' --group dev
	touch $@

demo: setup
	$(BIN)/featherseg demo --out demo --overwrite

test: setup
	$(BIN)/python -m pytest -m 'not slow and not install'

test-slow: setup
	$(BIN)/python -m pytest -m 'slow or install'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

clean:
	rm -rf .venv demo build dist
