"""The toy data set: textured squares whose size is the disease.

The one data set of the method that needs no application form, made from a recipe: a square of
smoothed noise is healthy where it is large (label 0) and diseased where it is small (label 1). The
observed change of a pair is known exactly: the diseased square resized to a healthy size, minus
itself. Every split has random numbers of its own, so that no image is in two of them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from pipeline.dataset.packed import write_made_images
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import write_csv

FULL_SIDE = 0.8  # of the image's side, for a side factor of 1
THRESHOLD = 0.7  # smaller side factors are diseased
BACKGROUND, SQUARE = -0.5, 0.5  # intensities; the square's is its mean
TEXTURE_SD = 0.5
WEIBULL_SHAPE, WEIBULL_SCALE = 7, 0.75  # of the side factors
PAIR_SPLITS = ("validation", "test")


def draw_factor(rng: np.random.Generator) -> float:
    """A side factor: 0.75 times a Weibull variable of shape 7, to two decimals."""
    return round(WEIBULL_SCALE * rng.weibull(WEIBULL_SHAPE), 2)


def draw_square(rng: np.random.Generator, size: int, texture_sigma: float) -> np.ndarray:
    """A textured square at its full side, for images of `size` x `size` pixels.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side of the image, pixels.
    texture_sigma : float
        Standard deviation of the Gaussian that smooths the texture, pixels.

    Returns
    -------
    array, shape (side, side)
        Mean 0.5, standard deviation 0.5.
    """
    side = round(FULL_SIDE * size)
    noise = gaussian_filter(rng.standard_normal((side, side)), texture_sigma)
    return SQUARE + TEXTURE_SD * (noise - noise.mean()) / noise.std()


def scale_square(square: np.ndarray, side: int) -> np.ndarray:
    """A square resized to `side` pixels, bilinear."""
    return resize(square, (side, side), order=1, mode="edge", anti_aliasing=False)


def place_square(square: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle of the background; what is too large is cut off."""
    image = np.full((size, size), BACKGROUND, dtype=np.float32)
    side = min(len(square), size)
    inner, outer = (len(square) - side) // 2, (size - side) // 2
    image[outer : outer + side, outer : outer + side] = square[
        inner : inner + side, inner : inner + side
    ]
    return image


def _side(factor: float, size: int) -> int:
    return round(factor * round(FULL_SIDE * size))


def _factor_of(rng: np.random.Generator, label: int) -> float:
    while True:
        factor = draw_factor(rng)
        if (factor < THRESHOLD) == bool(label):
            return factor


def draw_pair(
    rng: np.random.Generator, size: int, texture_sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """A diseased image and the change that makes it healthy, each (size, size)."""
    diseased, healthy = _factor_of(rng, 1), _factor_of(rng, 0)
    square = draw_square(rng, size, texture_sigma)
    small = scale_square(square, _side(diseased, size))
    image = place_square(small, size)
    return image, place_square(scale_square(small, _side(healthy, size)), size) - image


def pack_toy(
    destination: Path,
    exclusions: Path,
    *,
    seed: int,
    size: int,
    texture_sigma: float,
    train: int,
    validation: int,
    test: int,
) -> None:
    """Make the toy data set, packed as `pipeline.dataset.packed` describes.

    Parameters
    ----------
    destination : Path
        Folder written.
    exclusions : Path
        Table written (CSV): empty, since nothing is left out.
    seed : int
        Each split has a stream of random numbers of its own, derived from it.
    size : int
        Side of the images, pixels.
    texture_sigma : float
        Smoothing of the texture, pixels.
    train : int
        Training images, of both classes as the side factors fall.
    validation, test : int
        Pairs.
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3)]
    factors = [draw_factor(streams[0]) for _ in range(train)]

    def training_images() -> Iterator[np.ndarray]:
        for factor in factors:
            square = draw_square(streams[0], size, texture_sigma)
            yield place_square(scale_square(square, _side(factor, size)), size)

    counts = dict(zip(PAIR_SPLITS, (validation, test), strict=True))
    pairs = [
        draw_pair(stream, size, texture_sigma)
        for stream, count in zip(streams[1:], counts.values(), strict=True)
        for _ in range(count)
    ]
    everywhere = np.ones((size, size), dtype=bool)
    write_made_images(
        destination,
        training_images(),
        [int(factor < THRESHOLD) for factor in factors],
        [(image, change, everywhere) for image, change in pairs],
        [split for split, count in counts.items() for _ in range(count)],
    )
    write_csv(exclusion_table([]), exclusions)
