# Everything starts with python3.11 (or newer) and make.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p))))
BIN := .venv/bin

.PHONY: help setup demo test test-slurm faults bench audit board reference lint clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: .venv/ready ## make .venv and install the pinned packages and lth into it

.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "python 3.11, 3.12 or 3.13 is needed"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup ## search for a lottery ticket, a minute and a half, then say where to look
	$(BIN)/python -m lth.run experiment=demo

test: setup ## run the tests, one process a core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

test-slurm: setup ## run sweeps on a real Slurm, started here, if it is installed
	$(BIN)/pip install --quiet --disable-pip-version-check '.[slurm]'
	$(BIN)/python -m pytest -rs tests/slurm/check_slurm.py

faults: setup ## kill an experiment at every write boundary, start many on one folder, fill its disk, damage its files
	$(BIN)/python -m tests.faults

bench: setup ## measure what docs/results.md claims about speed
	$(BIN)/python -m tests.benchmarks

audit: setup ## look the pinned packages up among the known vulnerabilities; needs the network
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.venv/audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

board: setup ## open TensorBoard on all rounds and chains of outputs/
	$(BIN)/python -m lth.board outputs

reference: setup ## write docs/reference.md from the schema in lth/config.py
	$(BIN)/python -m tests.docs_reference

lint: setup ## check style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean: ## remove .venv; outputs stay
	rm -rf .venv
