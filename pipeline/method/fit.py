"""Fitting a model, whatever its method is."""

import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import assemble_model, save_model, score_pairs
from pipeline.method.interface import Place
from pipeline.method.ncc import subject_average
from pipeline.method.registry import find_method
from pipeline.method.training.device import claimed_device
from pipeline.method.training.state import locked, remove_state, state_folder
from pipeline.stage.files import write_json, write_parquet
from pipeline.stage.memory import use_huge_pages


def fit_model(
    packed: Path,
    output_dir: Path,
    settings: Mapping[str, Any],
    *,
    device: str = "auto",
    jobs_per_gpu: int = 1,
    threads: int,
    state_minutes: float = 10,
) -> None:
    """Fit a model of the method that `settings` name.

    Parameters
    ----------
    packed
        Packed data set (see `pipeline.dataset.packed`).
    output_dir
        Receives ``generator.safetensors``, the model; ``history.parquet``, a row an epoch;
        ``training.json``, settings, best epoch and versions; and ``tensorboard/``.
    settings
        ``method``, ``seed`` and the method's options
        (see `pipeline.method.interface.Method.settings`).
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where there is one.
    jobs_per_gpu
        See `pipeline.method.training.device.claimed_device`.
    threads
        Processor threads.
    state_minutes
        Time between two states from which a killed fit goes on.

    Raises
    ------
    InputError
        If the settings are wrong, the data cannot fit a model, or another job fits it.
    """
    method = find_method(settings["method"])
    use_huge_pages()
    torch.set_num_threads(threads)
    folder, board = state_folder(output_dir), output_dir / "tensorboard"
    with locked(folder), claimed_device(device, jobs_per_gpu) as place:
        shutil.rmtree(board, ignore_errors=True)
        board.mkdir()
        torch.set_flush_denormal(True)  # a processor takes long over numbers that are nearly 0
        try:
            fitted = method.fit(packed, settings, Place(output_dir, place, state_minutes))
        finally:
            torch.set_flush_denormal(False)
    architecture = {"method": method.name, **fitted.architecture}
    history = fitted.history
    if history is None:  # one look at the validation pairs, as at the end of an only epoch
        model = assemble_model(architecture, fitted.weights).to(place)
        pairs = score_pairs(model, PackedDataset.open(packed), "validation")
        history = [{"epoch": 1, "validation_ncc": subject_average(pairs)}]
    best = max(history, key=lambda row: (row["validation_ncc"], row["epoch"]))
    write_parquet(pd.DataFrame(history), output_dir / "history.parquet")
    summary = {
        "settings": dict(settings),
        "best_epoch": best["epoch"],
        "validation_ncc": best["validation_ncc"],
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else place.type,
        "threads": threads,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
        },
    }
    write_json(summary, output_dir / "training.json")
    save_model(architecture, fitted.weights, output_dir / "generator.safetensors")
    remove_state(folder)
