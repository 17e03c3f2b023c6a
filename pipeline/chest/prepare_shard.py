"""Preparation of a shard of films, from their files."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.chest.frame import find_frame
from pipeline.chest.prepare import prepare_film
from pipeline.chest.shards import film_key
from pipeline.dicom.film import pixel_mm, read_film
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import atomic_path, write_csv
from pipeline.stage.progress import progress

log = logging.getLogger(__name__)


def prepare_film_shard(
    manifest: pd.DataFrame, destination: Path, status: Path, *, resize: int
) -> None:
    """Prepare films, one at a time, into one file.

    Parameters
    ----------
    manifest
        Rows of the films to prepare: columns subject, session, path. May be empty.
    destination
        ``.npz`` file with a film (resize, resize), float32, under each `film_key`; and of the raw
        film, under the key + ``/raw_shape``, rows and columns, under ``/raw_mm`` the size of its
        pixels (NaN if unknown), under ``/frame_px`` its `Frame`. The same films make the same
        bytes.
    status
        CSV table of the films that could not be prepared, columns `EXCLUSION_COLUMNS`.
    resize
        Side of the prepared films in pixels.

    Raises
    ------
    InputError
        If a film of the manifest cannot be opened any more.
    """
    films, failed = {}, []
    rows = manifest.sort_values(["subject", "session"])[["subject", "session", "path"]]
    with progress(total=len(rows), desc="preparing films", unit="film") as bar:
        for subject, session, path in rows.itertuples(index=False):
            key = film_key(subject, session)
            try:
                raw = read_film(Path(path))
                films[key] = prepare_film(raw, resize)
                films[f"{key}/raw_shape"], films[f"{key}/raw_mm"] = raw.shape, pixel_mm(Path(path))
                films[f"{key}/frame_px"] = find_frame(raw)
            except ImageError as error:
                # No path: folders of an archive are often named after patients.
                log.warning("film %s: excluded: %s", key, error)
                failed.append(
                    {
                        "stage": "film",
                        "item": "film",
                        "subject": subject,
                        "session": session,
                        **error.exclusion,
                    }
                )
            except OSError as error:
                raise InputError(
                    f"the film {key} cannot be opened ({error.strerror}); "
                    "bring it back or run the ingest again"
                ) from None
            bar.update()
    with atomic_path(destination) as temporary, temporary.open("wb") as file:
        np.savez(file, **films)
    write_csv(exclusion_table(failed), status)
