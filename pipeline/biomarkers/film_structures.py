"""What the paper names in films, from the lungs to the gastric bubble, between landmarks.

The landmarks were read off one real radiograph (package pydicom-data) and are carried to a film by
registering that radiograph to it: an affine transform, then demons. Their places without the
disease follow from a displacement field. How well they are carried is tested on simulated films,
where the true places are known.
"""

from itertools import pairwise

import numpy as np
from scipy.ndimage import map_coordinates
from skimage.draw import polygon2mask

from pipeline.biomarkers.observed import deformable_field
from pipeline.chest.prepare import centre_crop, prepare_film
from pipeline.demo.chest_disease import load_radiograph
from pipeline.geometry.diffeomorphism import invert
from pipeline.geometry.registration import register_images

REFERENCE_HEIGHT = 640  # rows to which the radiograph is reduced before its preparation
# Row and column in shares of the radiograph; the patient's right is on the left of the picture.
LANDMARKS = {
    "right apex": (0.095, 0.360),
    "left apex": (0.075, 0.620),
    "right dome": (0.715, 0.220),
    "left dome": (0.740, 0.790),
    "right costophrenic angle": (0.785, 0.065),
    "right cardiophrenic angle": (0.725, 0.335),
    "right lung wall": (0.450, 0.113),
    "left lung wall": (0.450, 0.868),
    "right heart border": (0.640, 0.345),
    "left heart border": (0.640, 0.735),
    "right tracheal wall": (0.170, 0.465),
    "left tracheal wall": (0.170, 0.512),
    "right shoulder's skin": (0.070, 0.120),
    "right shoulder's bone": (0.130, 0.160),
    "left shoulder's skin": (0.070, 0.880),
    "left shoulder's bone": (0.130, 0.820),
    "right clavicle": (0.195, 0.250),
    "left clavicle": (0.197, 0.680),
    # Of the gas below the left dome; it goes on below what the networks see.
    "top of the gastric bubble": (0.757, 0.735),
    "medial wall of the gastric bubble": (0.840, 0.585),
    "lowest fold of the gastric bubble": (0.885, 0.715),
    "lateral wall of the gastric bubble": (0.850, 0.850),
}
GASTRIC_BUBBLE = [name for name in LANDMARKS if name.endswith("gastric bubble")]
# Corners of the lungs, and how far towards their centres what lies well inside them begins.
LUNGS = (
    [f"right {n}" for n in ("apex", "lung wall", "costophrenic angle", "dome", "heart border")],
    [f"left {n}" for n in ("apex", "lung wall", "dome", "heart border")],
)
INNER_LUNG = 0.7
UNITS = {"diaphragm curvature": "1/px", "gastric bubble area": "px²"}  # the others: px


def reference_landmarks(resize: int, crop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The reference radiograph as the networks see films, and its landmarks (row, column)."""
    radiograph = load_radiograph(REFERENCE_HEIGHT)
    film = centre_crop(prepare_film(radiograph, resize), crop)
    shape, side = np.array(radiograph.shape), min(radiograph.shape)
    corner = (shape - side) // 2
    places = {}
    for name, place in LANDMARKS.items():
        raw = np.array(place) * shape - 0.5 - corner  # pixel centres at half-integers
        places[name] = (raw + 0.5) * resize / side - 0.5 - (resize - crop) // 2
    return film, places


def find_landmarks(
    film: np.ndarray, reference: np.ndarray, places: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Carry the landmarks of the reference to a film.

    Parameters
    ----------
    film, reference : array, shape (rows, columns)
        Prepared films.
    places
        Landmarks of the reference, (row, column).

    Returns
    -------
    dict
        Their places in `film`.

    Raises
    ------
    ImageError
        If the films cannot be registered.
    """
    found = register_images(film, reference, transform="affine", spacing=(1.0, 1.0))
    phi = deformable_field(film, np.where(found.inside, found.moved, film))
    back = np.linalg.inv(found.matrix)
    linear = {name: (back @ [*place, 1])[:2] for name, place in places.items()}
    return move_landmarks(linear, phi)


def move_landmarks(places: dict[str, np.ndarray], phi: np.ndarray) -> dict[str, np.ndarray]:
    """Places, in the image that `phi` makes, of landmarks of the image that it deforms.

    Raises
    ------
    ValueError
        If the field folds, so that a place has no counterpart.
    """
    inverse = invert(phi[::-1])
    moved = {}
    for name, place in places.items():
        at = np.reshape(place, (2, 1))
        step = [map_coordinates(part, at, order=1, mode="nearest")[0] for part in inverse]
        moved[name] = np.asarray(place) + step
    return moved


def measure_film(places: dict[str, np.ndarray]) -> dict[str, float]:
    """Lengths in pixels, others in their `UNITS`.

    Heights are along the rows: of the diaphragm above the chord of the right hemidiaphragm, of the
    clavicles above the middle of the chest, of the lungs' apices above the clavicles.
    """

    def distance(first: str, second: str) -> float:
        return float(np.linalg.norm(places[first] - places[second]))

    def both(first: str, second: str) -> float:
        sides = ("right", "left")
        return float(np.mean([distance(f"{side} {first}", f"{side} {second}") for side in sides]))

    def row(*names: str) -> float:
        return float(np.mean([places[name][0] for name in names]))

    clavicles = row("right clavicle", "left clavicle")
    arch = [places[f"right {n}"] for n in ("costophrenic angle", "dome", "cardiophrenic angle")]
    sides = [np.linalg.norm(b - a) for a, b in pairwise([*arch, arch[0]])]
    (y, x), (v, u) = arch[1] - arch[0], arch[2] - arch[0]
    # Twice the triangle's area, positive for a dome above its chord; rows grow downwards.
    doubled = float(u * -y - x * -v)
    return {
        "lung height": both("apex", "dome"),
        "lung width": distance("right lung wall", "left lung wall"),
        "heart width": distance("right heart border", "left heart border"),
        "diaphragm height": doubled / float(sides[2]),
        "diaphragm curvature": 2 * doubled / float(np.prod(sides)),
        "tracheal width": distance("right tracheal wall", "left tracheal wall"),
        "soft-tissue thickness": both("shoulder's skin", "shoulder's bone"),
        "clavicle height": row("right lung wall", "left lung wall") - clavicles,
        "lung apex height": clavicles - row("right apex", "left apex"),
        "gastric bubble area": _area([places[name] for name in GASTRIC_BUBBLE]),
    }


def inside_lungs(places: dict[str, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Mask of what lies well inside the lungs, away from their borders, which move.

    Parameters
    ----------
    places
        Landmarks, (row, column).
    shape
        Rows and columns of the film.
    """
    mask = np.zeros(shape, bool)
    for lung in LUNGS:
        corners = np.array([places[name] for name in lung])
        middle = corners.mean(axis=0)
        mask |= polygon2mask(shape, middle + INNER_LUNG * (corners - middle))
    return mask


def _area(corners: list[np.ndarray]) -> float:
    """Of a polygon (shoelace formula)."""
    y, x = np.transpose(corners)
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
