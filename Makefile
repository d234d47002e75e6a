# Everything here works from a fresh clone with nothing but make and Python >= 3.11 with venv: the first target that is
# run makes .venv, later ones find it ready. `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
# Whatever comes from the package index has its hash in requirements/, and is a wheel; pyvips and the oracle are built from source,
# with tools that have theirs: no build fetches anything.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
HASHED := --require-hashes --only-binary :all:

# The first interpreter that is new enough and can make environments; `make PYTHON=/path/to/python` names another.
# Each one is run, not only located: a version manager's shim may exist for a version that is not active.
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3; do \
	"$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$candidate"; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint format bench fuzz test-compose hashes clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## watch a live stream until Ctrl-C (ARGS=--once: until its first escalation)
	@$(BIN)/livewarden demo $(ARGS)

test: $(READY) ## run all tests (ARGS="-k queue" narrows them)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(ARGS)

soak: $(READY) ## ten minutes of kills, hostile streams and malformed messages; at the end everything must add up
	@LIVEWARDEN_SOAK_SECONDS=600 $(BIN)/python -m pytest tests/soak -s $(ARGS)

lint: $(READY) ## style, types and layers: ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## format the code with ruff
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## run the benchmarks; each prints ratios measured in one run (ARGS=--quick: ten minutes, not thirty)
	@$(BIN)/python -m bench.hashing $(ARGS)
	@$(BIN)/python -m bench.importing $(ARGS)
	@$(BIN)/python -m bench.replay $(ARGS)
	@$(BIN)/python -m bench.sampling $(ARGS)
	@$(BIN)/python -m bench.gate
	@$(BIN)/python -m bench.hiding $(ARGS)
	@$(BIN)/python -m bench.child $(ARGS)
	@$(BIN)/python -m bench.floods
	@$(BIN)/python -m bench.verdict
	@$(BIN)/python -m bench.evidence
	@$(BIN)/python -m bench.audit
	@$(BIN)/python -m bench.patterns
	@$(BIN)/python -m bench.reloading
	@$(BIN)/python -m bench.desk $(ARGS)
	@$(BIN)/python -m bench.others

fuzz: $(READY) ## run the property tests with new random examples each time, and 20,000 rounds of mutated segments
	@$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz --timeout=0 $(ARGS)
	@LIVEWARDEN_FUZZ_ROUNDS=20000 $(BIN)/python -m pytest -m fuzz --timeout=0 $(ARGS)

test-compose: $(READY) ## bring up docker-compose.yml and check that it publishes an escalation (needs docker compose and a built image)
	@$(BIN)/python -m pytest tests/compose $(ARGS)

hashes: $(READY) ## rewrite requirements/*.txt from pyproject.toml and constraints.txt (queries the package index)
	@$(PIP) $(HASHED) -r requirements/hashes.txt
	@PATH="$(abspath $(BIN)):$$PATH" requirements/renew

clean: ## remove .venv and caches of tools
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The oracle of the PDQ tests has no Linux wheel: it is built where a C++ compiler exists, and its tests are
# skipped elsewhere. Two OpenCV builds in one environment overwrite each other's files, so a second one is refused.
$(READY): pyproject.toml $(wildcard requirements/*.txt)
	@[ -n "$(PYTHON)" ] || { echo "livewarden needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv);" \
		"if yours has another name: make PYTHON=/path/to/python" >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo "making $(VENV) with $(PYTHON)"; "$(PYTHON)" -m venv $(VENV); }
	@echo "installing what requirements/ pins into $(VENV); this takes a minute, once"
	@$(PIP) $(HASHED) -r requirements/build.txt -r requirements/sources.txt
	@$(PIP) $(HASHED) --no-binary pyvips --no-build-isolation -r requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@if command -v "$${CXX:-c++}" >/dev/null; then \
		$(PIP) --require-hashes --no-deps --no-build-isolation -r requirements/oracle.txt || \
		echo "the PDQ oracle could not be built here: its tests will be skipped" >&2; fi
	@! $(BIN)/python -m pip show --quiet opencv-python 2>/dev/null || \
		{ echo "opencv-python is installed beside opencv-python-headless: make clean, and remove what asked for it" >&2; exit 1; }
	@touch $@
