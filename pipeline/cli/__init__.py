"""The command line: ``python -m pipeline STAGE ...``, one subcommand a stage.

The workflow calls nothing else. The modules of a stage are imported when it runs, so that a light
stage starts at once.
"""

import argparse
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import archives, images, models, place, results
from pipeline.cli.commands import Commands
from pipeline.stage.errors import PLACE_ERRORS, InputError

log = logging.getLogger("pipeline")

# Libraries read these when they start.
THREAD_VARIABLES = (
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__.split("\n")[0])
    commands = Commands(parser)
    for part in (archives, images, models, results, place):
        part.add_commands(commands)
    return parser


def _start_logging(path: Path | None) -> None:
    """Messages go to the log, warnings also to the terminal; a crash leaves its stack there."""
    logging.captureWarnings(True)
    # It prints what it mends in each header; `read_scan` tells what cannot be mended.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING if path else logging.INFO)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(terminal)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        root.addHandler(handler)
        faulthandler.enable(handler.stream)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage; ends the process with 2 for wrong input and 1 for any other error."""
    args = _parser().parse_args(arguments)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(args.threads)
    # As at the end of a cluster's time limit: leave by the way that clears up what is half-written.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        _start_logging(args.log)
        args.command(args)
        sys.stdout.flush()  # a pipe that nobody reads any more shows here, not at the exit
    except InputError as error:
        log.error("%s", error)
        sys.exit(2)
    except BrokenPipeError:  # who reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in PLACE_ERRORS:
            log.exception("%s failed", args.stage)
        else:
            remedy = PLACE_ERRORS[error.errno]
            log.error("%s: %s; %s and run again", args.stage, error, remedy)
        sys.exit(1)
    except Exception:
        log.exception("%s failed", args.stage)
        sys.exit(1)
