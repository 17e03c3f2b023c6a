"""Preparation of films: centred square, size, histogram equalisation."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage.exposure import equalize_hist

from pipeline.chest.dicom import read_film
from pipeline.chest.shards import film_key
from pipeline.cohort.manifest import exclusion_table
from pipeline.errors import ImageError, InputError
from pipeline.files import atomic_path, write_csv
from pipeline.progress import progress

log = logging.getLogger(__name__)

HISTOGRAM_BINS = 256


def prepare_film(film: np.ndarray, resize: int) -> np.ndarray:
    """Bring a film to the size and grey values of the networks.

    The centred square is resized, scaled to 0..1, histogram-equalised over 256 bins and mapped
    linearly to [-1, 1].

    Parameters
    ----------
    film
        Film (rows, columns), dense tissue bright.
    resize
        Side of the result in pixels.

    Returns
    -------
    numpy.ndarray
        Film (resize, resize), float32 in [-1, 1].

    Raises
    ------
    ImageError
        If the film is of one grey value.
    """
    square = centre_crop(film, min(film.shape)).astype(np.float32, copy=False)
    # Pillow widens the bilinear kernel by the reduction, which is the anti-aliasing. The result is
    # that of scikit-image's Gaussian one to 0.001 after equalisation, in an eighth of the time.
    image = Image.fromarray(square).resize((resize, resize), Image.Resampling.BILINEAR)
    small = np.asarray(image, dtype=np.float64)
    low, high = small.min(), small.max()
    # Resizing rounds: a constant film may come out with a range of one float32 step.
    if high - low <= 1e-6 * max(abs(high), abs(low)):
        raise ImageError("the film is of one grey value")
    equalised = equalize_hist((small - low) / (high - low), nbins=HISTOGRAM_BINS)
    return (2 * equalised - 1).astype(np.float32)


def centre_crop(film: np.ndarray, size: int) -> np.ndarray:
    """Centred square of a film, as a view.

    Parameters
    ----------
    film
        Film (rows, columns).
    size
        Side of the square; an odd remainder leaves one row or column more at the end.

    Raises
    ------
    ValueError
        If the film is smaller.
    """
    rows, columns = film.shape
    if size > min(rows, columns):
        raise ValueError(f"a square of {size} does not fit into a film of {rows} x {columns}")
    top, left = (rows - size) // 2, (columns - size) // 2
    return film[top : top + size, left : left + size]


def prepare_film_shard(
    manifest: pd.DataFrame, destination: Path, status: Path, *, resize: int
) -> None:
    """Prepare films, one at a time, into one file.

    Parameters
    ----------
    manifest
        Rows of the films to prepare: columns subject, session, path. May be empty.
    destination
        ``.npz`` file with a film (resize, resize), float32, under each `film_key`. The same films
        make the same bytes.
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
                films[key] = prepare_film(read_film(Path(path)), resize)
            except ImageError as error:
                # No path: folders of an archive are often named after patients.
                log.warning("film %s: excluded: %s", key, error)
                failed.append(
                    {
                        "stage": "film",
                        "item": "film",
                        "subject": subject,
                        "session": session,
                        "reason": str(error),
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
