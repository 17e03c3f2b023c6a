#!/usr/bin/env bash
# Snakemake runs this once it has made the environment of python.yaml. deepbet comes here, since
# there its requirements would come, too: a toolkit of desktop windows for a window of its own.
set -euo pipefail
python -m pip install --no-deps deepbet==1.0.2
