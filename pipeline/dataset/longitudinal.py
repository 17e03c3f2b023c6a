"""Longitudinal pairs: the observed difference between a healthy and a later diseased image.

The healthy baseline is registered to the diseased follow-up; what remains is what a method should
have predicted (paper, sections on the ADNI and COPD pairs).
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import SimpleITK as sitk

from pipeline.chest.prepare import centre_crop
from pipeline.chest.shards import film_key
from pipeline.geometry.registration import BACKGROUND, register_images
from pipeline.stage.errors import ImageError
from pipeline.stage.exclusions import exclusion_table, read_exclusions
from pipeline.stage.files import atomic_path, write_csv
from pipeline.stage.progress import progress
from pipeline.stage.rules import Rule, Told
from pipeline.stage.sidecar import exclude_image, read_sidecar, write_sidecar

log = logging.getLogger(__name__)

STAGE = "pairs"


def pair_key(subject: str, baseline: str, followup: str) -> str:
    """Prefix of a film pair's arrays in the archives of pairs."""
    return f"{subject}_{baseline}_{followup}"


def pair_exclusion(
    subject: str, followup: str, baseline: str, *, rule: Rule, reason: str
) -> dict[str, str]:
    """Row of the exclusions for a pair; the session is the follow-up's."""
    pair = {"subject": subject, "session": followup, "baseline": baseline}
    return {"stage": STAGE, "item": "pair", **pair, "rule": rule, "reason": reason}


def of_excluded_image(name: str, stage: str, reason: str) -> Told:
    """Rule and reason for a pair of which an image was excluded."""
    told = f"{name} excluded ({stage}): {reason}"
    return Told(rule=Rule.IMAGE_EXCLUDED, reason=told)


def subtract_volumes(
    baseline: Path, followup: Path, difference: Path, mask: Path
) -> dict[str, Any]:
    """Observed difference of two volumes on the common grid: registered baseline - follow-up.

    The baseline is registered rigidly, with the background (-1) of both out of the metric.

    Parameters
    ----------
    baseline, followup
        Volumes of one grid, scaled to [-1, 1], background -1.
    difference, mask
        Files written: the difference (float32, 0 outside the mask), and where both volumes hold
        brain (uint8).

    Returns
    -------
    dict
        Provenance, with the correlation before and after, a warning where the result is doubtful
        (else ``""``), and the size of the motion.

    Raises
    ------
    ImageError
        If the registration fails; nothing is written then.
    """
    fixed_image, moving_image = nib.load(followup), nib.load(baseline)
    fixed = np.asarray(fixed_image.dataobj, np.float32)
    moving = np.asarray(moving_image.dataobj, np.float32)
    if fixed.shape != moving.shape or not np.allclose(fixed_image.affine, moving_image.affine):
        raise ValueError(f"{baseline.name} and {followup.name} lie on different grids")
    brain = fixed > BACKGROUND
    spacing = nib.affines.voxel_sizes(fixed_image.affine)
    found = register_images(
        fixed,
        moving,
        transform="rigid",
        spacing=tuple(spacing),
        fixed_mask=brain,
        moving_mask=moving > BACKGROUND,
    )
    counts = brain & found.inside
    change = np.where(counts, found.moved - fixed, 0).astype(np.float32)
    for array, path in ((change, difference), (counts.astype(np.uint8), mask)):
        nib.save(nib.Nifti1Image(array, fixed_image.affine), path)

    rotation, centre = found.matrix[:3, :3], np.mean(np.argwhere(brain), axis=0) * spacing
    motion = rotation @ centre + found.matrix[:3, 3] - centre
    cosine = np.clip((np.trace(rotation) - 1) / 2, -1, 1)
    return {
        "engine": "SimpleITK",
        "version": sitk.Version.VersionString(),
        "transform": "rigid",
        "similarity_before": round(found.before, 6),
        "similarity_after": round(found.after, 6),
        "warning": found.warning,
        "rotation_deg": round(float(np.degrees(np.arccos(cosine))), 4),
        "translation_mm": round(float(np.linalg.norm(motion)), 4),
    }


def register_brain_pair(baseline: Path, followup: Path, difference: Path, mask: Path) -> None:
    """Run `subtract_volumes` and write the pair's sidecar beside `difference`.

    A pair of which a volume was excluded, or whose registration fails, becomes two empty files and
    a sidecar with the reason.
    """
    try:
        for name, source in (("baseline", baseline), ("follow-up", followup)):
            status = read_sidecar(source)
            if status["status"] == "excluded":
                raise ImageError(**of_excluded_image(name, status["stage"], status["reason"]))
        with atomic_path(difference) as change, atomic_path(mask) as counts:
            facts = subtract_volumes(baseline, followup, change, counts)
            write_sidecar(difference, STAGE, [{"stage": STAGE, **facts}])
        if facts["warning"]:
            log.warning("%s: %s", STAGE, facts["warning"])
    except ImageError as error:
        log.warning("%s: excluded: %s", STAGE, error)
        exclude_image(difference, STAGE, **error.exclusion, steps=[])
        with atomic_path(mask) as temporary:
            temporary.touch()


def _load_film(
    films: Mapping[str, np.ndarray], excluded: pd.DataFrame, subject: str, session: str
) -> np.ndarray:
    key = film_key(subject, session)
    if key in films:
        return films[key]
    row = excluded[(excluded["subject"] == subject) & (excluded["session"] == session)].iloc[0]
    raise ImageError(**of_excluded_image("film", row["stage"], row["reason"]))


def register_film_pairs(
    films: Path,
    pairs: pd.DataFrame,
    destination: Path,
    status: Path,
    *,
    crop: int,
) -> None:
    """Observed differences of film pairs: registered healthy film - diseased film.

    Both are cropped to their centre, then the healthy one is registered by an affine transform.

    Parameters
    ----------
    films
        Archive (npz) of prepared films by `film_key`, (R, R) float32 in [-1, 1]. Beside it, with
        the suffix csv, the table of those that could not be prepared.
    pairs
        Columns `PAIR_COLUMNS`; pairs of these films.
    destination
        Archive written: `pair_key` + ``/image`` (the diseased film, float32), ``/difference``
        (float32, 0 outside the mask) and ``/mask`` (bool, pixels that come from inside the healthy
        film), each (crop, crop); and ``/warning``, a text where the result is doubtful, else empty.
    status
        Table written (CSV, columns `EXCLUSION_COLUMNS`): pairs that cannot be used.
    crop
        Side of the cropped films in pixels.
    """
    unprepared = read_exclusions(films.with_suffix(".csv"))
    arrays, rows = {}, []
    with (
        np.load(films) as prepared,
        progress(total=len(pairs), desc="registering films", unit="pair") as bar,
    ):
        for pair in pairs.itertuples(index=False):
            bar.update()
            try:
                fixed, moving = (
                    centre_crop(_load_film(prepared, unprepared, pair.subject, session), crop)
                    for session in (pair.followup, pair.baseline)
                )
                found = register_images(fixed, moving, transform="affine", spacing=(1.0, 1.0))
            except ImageError as error:
                log.warning("%s: excluded: %s", STAGE, error)
                names = (pair.subject, pair.followup, pair.baseline)
                rows.append(pair_exclusion(*names, **error.exclusion))
                continue
            key = pair_key(pair.subject, pair.baseline, pair.followup)
            arrays[f"{key}/image"] = fixed
            arrays[f"{key}/difference"] = np.where(found.inside, found.moved - fixed, 0)
            arrays[f"{key}/mask"] = found.inside
            arrays[f"{key}/warning"] = np.array(found.warning)
            if found.warning:
                log.warning("%s: %s", STAGE, found.warning)
    write_csv(exclusion_table(rows), status)
    with atomic_path(destination) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
