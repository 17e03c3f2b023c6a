# Two commands: `make table1` sets up and makes results/table1.csv, `make test` sets up and tests.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: table1 test install clean

table1: install
	snakemake --cores all results/table1.csv results/overview.png
	@cat results/table1.md

# Two files of tests at a time where there are two cores, four at most: each takes up to 2 GB.
test: install
	OMP_NUM_THREADS=1 pytest --numprocesses logical --maxprocesses 4 --dist loadfile

install: $(VENV)/installed

# The stamp is the last step, so that an interrupted installation is taken up again.
$(VENV)/installed: envs/python.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-deps --requirement envs/python.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf results logs benchmarks demo .snakemake
