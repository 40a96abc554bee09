# Two commands for a new user: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

# What `make benchmark` compares beside the peers; options of `featherseg benchmark` fit too.
BENCHMARK ?= simplified_unet lighter_unet_16 alnet laednet_s feathernet_s feathernet_m --int8
PEERS := .venv-benchmark

.PHONY: setup demo test test-slow lint types benchmark clean

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

# Peers need other versions of what the package uses, so they get an environment of their own.
$(PEERS)/installed: pyproject.toml constraints.txt benchmarks/peers.txt | setup
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv --without-pip $(PEERS)
	grep -v '^timm==' constraints.txt > $(PEERS)/constraints.txt
	$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python -c $(PEERS)/constraints.txt \
	  -e '.[evaluate,train,export]' -r benchmarks/peers.txt
	touch $@

benchmark: $(PEERS)/installed
	$(PEERS)/bin/featherseg benchmark $(BENCHMARK) --peers --results results \
	  --out benchmarks/full --overwrite
	$(PEERS)/bin/python benchmarks/last_run.py

clean:
	rm -rf .venv $(PEERS) demo build dist
