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
LEAST_EXPOSED = 0.5  # share of the square that must not be border
# Rows and columns of a border vary by less than this share of the film's range.
BORDER_RANGE = 0.005
BORDER_EDGE = 2  # pixels that the edge of a border blurs into when a film is made smaller
MARKER_SHARE = 1.0  # per cent of the pixels, at either end, that may be markers


def prepare_film(film: np.ndarray, resize: int) -> np.ndarray:
    """Bring a film to the size and grey values of the networks.

    The centred square is resized, scaled to 0..1, histogram-equalised over 256 bins and mapped
    linearly to [-1, 1]. Borders of collimation and burned-in markers have no say in the
    equalisation (`exposed_part`, `limit_markers`); borders become -1.

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
        If the film is of one grey value, or more than half of the square is border.
    """
    square = centre_crop(film, min(film.shape)).astype(np.float32, order="C")
    # Pillow widens the bilinear kernel by the reduction, which is the anti-aliasing. The result is
    # that of scikit-image's Gaussian one to 0.001 after equalisation, in an eighth of the time.
    image = Image.fromarray(square).resize((resize, resize), Image.Resampling.BILINEAR)
    small = np.asarray(image, dtype=np.float64)
    # Resizing rounds: a constant film may come out with a range of one float32 step.
    if np.ptp(small) <= 1e-6 * np.abs(small).max():
        raise ImageError("the film is of one grey value")
    exposed = limit_markers(small)
    content = exposed_part(small, BORDER_RANGE * np.ptp(exposed))
    if small[content].size < small.size:
        exposed = limit_markers(small[content])
    if exposed.size < LEAST_EXPOSED * small.size:
        raise ImageError("the film is mostly border")
    low, high = exposed.min(), exposed.max()
    equalised = np.zeros_like(small)
    equalised[content] = equalize_hist((exposed - low) / (high - low), nbins=HISTOGRAM_BINS)
    return (2 * equalised - 1).astype(np.float32)


def exposed_part(film: np.ndarray, limit: float) -> tuple[slice, slice]:
    """Rows and columns of a film inside its collimation.

    A border is what can be taken off an edge, row by row and column by column, because each is of
    one grey value but for noise, whatever that value is.

    Parameters
    ----------
    film
        Film (rows, columns), not constant.
    limit
        Range of grey values up to which a row or column counts as one of a border.
    """
    top, left = 0, 0
    bottom, right = film.shape
    while True:
        before = (top, bottom, left, right)
        inner = film[top:bottom, left:right]
        rows = np.flatnonzero(np.ptp(inner, axis=1) > limit)
        columns = np.flatnonzero(np.ptp(inner, axis=0) > limit)
        if rows.size and columns.size:
            top, bottom = top + rows[0], top + rows[-1] + 1
            left, right = left + columns[0], left + columns[-1] + 1
        # Without the rows of a border, its columns are of one grey value too.
        if before == (top, bottom, left, right):
            break
    height, width = film.shape
    return (
        slice(top + BORDER_EDGE * (top > 0), bottom - BORDER_EDGE * (bottom < height)),
        slice(left + BORDER_EDGE * (left > 0), right - BORDER_EDGE * (right < width)),
    )


def limit_markers(film: np.ndarray) -> np.ndarray:
    """Bring grey values far outside the film's own to its ends.

    Letters of lead and burned-in text are small and far brighter (or darker) than any tissue. Left
    alone they would take most of the histogram's bins. Values beyond the film's range without its
    outermost per cent at either end, by more than that range, are set to that limit.
    """
    low, high = np.percentile(film, [MARKER_SHARE, 100 - MARKER_SHARE])
    return film.clip(low - (high - low), high + (high - low)) if high > low else film


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
