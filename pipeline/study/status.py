"""How far every training of a configuration is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.method.training.state import PROGRESS, Progress, is_locked, state_folder
from pipeline.stage.files import read_json
from pipeline.study.config import Config


class Status(NamedTuple):
    """How far a training is; the last columns of `STATUS_COLUMNS`."""

    status: str
    epoch: str
    best_ncc: float | None = None
    left: str = ""
    note: str = ""


STATUS_COLUMNS = ["dataset", "method", "seed", *Status._fields]


def training_status(config: Config, results: Path) -> pd.DataFrame:
    """A row a model of the configuration, in its order.

    Parameters
    ----------
    config : Config
    results : Path
        Results folder.

    Returns
    -------
    DataFrame
        Columns `STATUS_COLUMNS`. The status is ``queued`` (not begun, or made with other settings),
        ``running``, ``stopped`` (killed; goes on from its last state), ``failed`` or ``done``;
        ``left`` is the estimated time that is left, ``note`` the reason of a failure.
    """
    rows: list[tuple[object, ...]] = []
    for dataset in config.datasets:
        for method, seed in config.models_of(dataset):
            settings = config.training_settings(dataset, method, seed)
            model = Path(results) / dataset / "models" / method / f"seed-{seed}"
            rows.append((dataset, method, seed, *_status(model, settings)))
    return pd.DataFrame(rows, columns=STATUS_COLUMNS).astype({"best_ncc": float})


def _status(model: Path, settings: Mapping[str, Any]) -> Status:
    epochs = settings.get("epochs", 1)
    folder = state_folder(model)
    progress: Progress | None = _read(folder / PROGRESS)
    if progress is not None and progress["settings"] == settings:
        ended = "failed" if progress["failed"] else "stopped"
        status = "running" if is_locked(folder) else ended
        return Status(
            status,
            epoch=f"{progress['epoch']}/{epochs}",
            best_ncc=progress["validation_ncc"],
            left=_duration(progress["seconds_left"]) if status == "running" else "",
            note=progress["failed"] or "",
        )
    summary = _read(model / "training.json")
    finished = (model / "generator.safetensors").exists() and summary is not None
    if finished and summary and summary["settings"] == settings:
        return Status(
            "done",
            epoch=f"{epochs}/{epochs}",
            best_ncc=summary["validation_ncc"],
            note=f"best epoch {summary['best_epoch']}",
        )
    note = "an older model has other settings" if finished else ""
    return Status("queued", epoch=f"0/{epochs}", note=note)


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:  # also when a training ends just now
        return None


def _duration(seconds: float | None) -> str:
    """``1 d 2 h``, ``3 h 25 min``, ``7 min``."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
