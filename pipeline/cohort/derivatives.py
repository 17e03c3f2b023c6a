"""Volumes that other programs prepared, by their names as BIDS Derivatives has them."""

import re
from pathlib import Path

import pandas as pd

from pipeline.cohort.rejection import reject
from pipeline.stage.rules import Rule

TEMPLATE_SPACE = "MNI152"  # how the names of its versions begin
# Data sets of these must lie there.
REGISTERED = ("registered", "grid")
_ENTITY = re.compile(r"_([a-z]+)-([A-Za-z0-9]+)")
_DESCRIBED = re.compile(r"(_desc-[A-Za-z0-9]+)?_T1w\.nii(\.gz)?")
MASKS = tuple(
    f"_{entity}-brain_mask.nii{end}" for entity in ("desc", "label") for end in (".gz", "")
)


def by_preference(images: pd.DataFrame, prepared: str) -> pd.DataFrame:
    """Sort the images of each visit, the preferred first, and leave out those of a wrong space.

    Without ``space-`` an image lies in the space of its scan. ``registered`` and ``grid`` want one
    in an MNI152 space; ``skull_stripped`` takes the scan's space first, then others, then MNI152,
    since what was warped there has lost some of the disease. Full resolution (no ``res-``) comes
    before others, then the name decides.

    Parameters
    ----------
    images
        Columns source, rule and reason.
    prepared
        As `pipeline.brain.chain.CHAINS` has it.
    """
    entities = [dict(_ENTITY.findall(Path(source).name)) for source in images["source"]]
    spaces = [found.get("space", "") for found in entities]
    images = images.assign(
        standard=[space.startswith(TEMPLATE_SPACE) for space in spaces],
        moved=[space != "" for space in spaces],
        coarse=["res" in found for found in entities],
    )
    if prepared in REGISTERED:
        elsewhere = [f"of the space {space or 'of its scan'}, not MNI152" for space in spaces]
        why = pd.Series(elsewhere, images.index, dtype=object)
        reject(images, ~images["standard"], Rule.OTHER_SERIES, why)
    order = ["standard", "moved", "coarse", "source"]
    return images.sort_values(order, ignore_index=True).drop(columns=order[:-1])


def brain_mask(image: str | Path) -> Path | None:
    """The brain mask beside an image, of the same entities; None where there is none."""
    image = Path(image)
    described = _DESCRIBED.search(image.name)
    if not described:
        return None
    stem = image.name[: described.start()]
    paths = (image.with_name(stem + mask) for mask in MASKS)
    return next((path for path in paths if path.is_file()), None)
