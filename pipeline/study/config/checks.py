"""What a configuration names and must find: paths, and lists of volumes."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.stage.errors import InputError
from pipeline.study.config.datasets import AnyDataset, VolumeDataset


def path_mistakes(name: str, dataset: AnyDataset) -> Iterator[str]:
    """Paths that do not exist, or are closed to the user who runs."""
    for key, path in dataset.paths():
        try:
            there = Path(path).exists()
        except PermissionError:  # a folder above is closed
            there = True
        access = os.R_OK | (os.X_OK if os.path.isdir(path) else 0)  # noqa: PTH112 - never raises
        where = f"datasets.{name}.{key}"
        if not there:
            yield f"{where}: there is no {path!r}; correct the path or put the data there"
        elif not os.access(path, access, effective_ids=True):
            yield f"{where}: {path!r} cannot be read; make it readable for the user who runs"


def list_mistakes(name: str, dataset: AnyDataset) -> Iterator[str]:
    """What is wrong with the lists of volumes to keep and to drop."""
    from pipeline.qc.overrides import read_overrides, subject_key  # pandas is slow to start

    if isinstance(dataset, VolumeDataset):
        keep, drop = (Path(path) if path else None for path in (dataset.qc.keep, dataset.qc.drop))
        try:
            read_overrides(keep, drop, subject_key(dataset.source))
        except InputError as error:
            yield f"datasets.{name}.qc: {error}"
