"""Preparation of films: centred square, size, histogram equalisation."""

from functools import lru_cache

import numpy as np
from scipy import sparse

from pipeline.chest.frame import Frame, find_frame
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

HISTOGRAM_BINS = 256
LEAST_EXPOSED = 0.5  # share of the film, and of the square, that must not be border
MOSTLY_BORDER = "the film is mostly border"
# Rows and columns of a border vary by less than this share of the film's range.
BORDER_RANGE = 0.005
BORDER_EDGE = 2  # pixels that the edge of a border blurs into when a film is made smaller
MARKER_SHARE = 1.0  # per cent of the pixels, at either end, that may be markers


def prepare_film(film: np.ndarray, resize: int) -> np.ndarray:
    """Bring a film to the size and grey values of the networks.

    A frame is cut off (`find_frame`). The centred square is resized, scaled to 0..1,
    histogram-equalised over 256 bins and mapped linearly to [-1, 1]. Borders at some edges and
    burned-in markers have no say in the equalisation (`exposed_part`, `limit_markers`); borders
    become -1.

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
        If the film is of one grey value, or more than half of it is frame, or of the square border.
    """
    inside = find_frame(film).inside(film)
    if inside.size < LEAST_EXPOSED * film.size:
        raise ImageError(Rule.NO_CONTENT, MOSTLY_BORDER)
    film = inside
    small = resize_film(centre_crop(film, min(film.shape)), resize)
    # Resizing rounds: a constant film may come out with a range of one float32 step.
    if np.ptp(small) <= 1e-6 * np.abs(small).max():
        raise ImageError(Rule.NO_CONTENT, "the film is of one grey value")
    exposed = limit_markers(small)
    content = exposed_part(small, BORDER_RANGE * np.ptp(exposed))
    if small[content].size < small.size:
        exposed = limit_markers(small[content])
    if exposed.size < LEAST_EXPOSED * small.size:
        raise ImageError(Rule.NO_CONTENT, MOSTLY_BORDER)
    prepared = np.full_like(small, -1)
    prepared[content] = 2 * equalise(exposed) - 1
    return prepared


def resize_film(square: np.ndarray, resize: int) -> np.ndarray:
    """Resize a square film by linear interpolation, averaging where it becomes smaller.

    This is Pillow's bilinear resampling, within rounding, in a fraction of the time. It equals
    scikit-image's with Gaussian anti-aliasing to 0.001 after equalisation.

    Parameters
    ----------
    square
        Film (size, size).
    resize
        Side of the result in pixels.

    Returns
    -------
    numpy.ndarray
        Film (resize, resize), float32.
    """
    weights = _resizing_weights(len(square), resize)
    rows = weights @ square.astype(np.float32)
    return np.ascontiguousarray((weights @ rows.T).T)


@lru_cache(maxsize=64)  # the films of a detector are of a few sizes
def _resizing_weights(size: int, resize: int) -> sparse.csr_array:
    """Weights (resize, size) of the old pixels in the new: a triangle as wide as two pixels of the
    coarser grid, centred on the new pixel."""
    scale = size / resize
    centres = scale * (np.arange(resize) + 0.5)
    distance = np.abs(np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1)
    weights = (1 - distance).clip(0)
    return sparse.csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def equalise(film: np.ndarray) -> np.ndarray:
    """Equalise the histogram of a film.

    The same as scikit-image's `equalize_hist` of the film scaled to 0..1, within rounding; its
    histogram takes six times as long, since it does not make use of bins of equal width.

    Parameters
    ----------
    film
        Film (rows, columns), not constant.

    Returns
    -------
    numpy.ndarray
        Share of the pixels that are as dark or darker (rows, columns), above 0 and up to 1.
    """
    low, high = film.min(), film.max()
    position = HISTOGRAM_BINS * (film - low) / (high - low)
    counts = np.bincount(position.astype(np.uint16).ravel(), minlength=HISTOGRAM_BINS + 1)
    counts[-2] += counts[-1]  # the last bin includes its end
    share = (counts[:-1].cumsum() / film.size).astype(film.dtype)
    # Linear between the centres of the bins, constant beyond the first and the last.
    knots = np.concatenate([share[:1], share, share[-1:]])
    position += 0.5
    knot = position.astype(np.intp)
    position -= knot
    return knots.take(knot) + position * np.diff(knots).take(knot)


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
    if all(np.ptp(edge) > limit for edge in (film[0], film[-1], film[:, 0], film[:, -1])):
        return slice(0, film.shape[0]), slice(0, film.shape[1])  # quick, and true of most films
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
    # Quick, and true of most films: where both percentiles are in the outer thirds, no value is
    # farther from them than they are from each other.
    low, high = film.min(), film.max()
    third = (high - low) / 3
    enough = MARKER_SHARE / 100 * film.size + 1
    if min(np.count_nonzero(film < low + third), np.count_nonzero(film > high - third)) > enough:
        return film
    low, high = np.percentile(film, [MARKER_SHARE, 100 - MARKER_SHARE]).astype(film.dtype)
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


def film_to_raw(raw_shape: tuple[int, int], frame: Frame, resize: int, crop: int) -> np.ndarray:
    """Map the pixels of a cropped film back to the raw film.

    The inverse of the preparation: its frame taken off, `centre_crop` to a square, `resize_film`
    (pixel centres at half-integers), `centre_crop`.

    Parameters
    ----------
    raw_shape
        Rows and columns of the raw film.
    frame
        Of the raw film.
    resize, crop
        Sides of the resized and of the cropped film.

    Returns
    -------
    numpy.ndarray
        (3, 3), cropped (row, column) to raw (column, row).
    """
    inside = frame.shape_inside(raw_shape)
    side = min(inside)
    scale = side / resize
    row, column = (
        before + ((resize - crop) // 2 + 0.5) * scale - 0.5 + (length - side) // 2
        for before, length in zip((frame.top, frame.left), inside, strict=True)
    )
    return np.array([[0.0, scale, column], [scale, 0.0, row], [0.0, 0.0, 1.0]])
