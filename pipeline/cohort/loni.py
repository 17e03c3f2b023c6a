"""Image files in the folders of the LONI archive."""

import os
import re
from pathlib import Path

import pandas as pd

from pipeline.cohort.readings import parse_dates
from pipeline.cohort.rejection import reject
from pipeline.stage.errors import InputError
from pipeline.stage.rules import Rule

# Processed T1 images that are used, the preferred first: corrected for gradient non-linearity, then
# without a repeated N3 (MT1), then corrected for B1.
DESCRIPTIONS = (
    "MT1__GradWarp__N3m",
    "MPR__GradWarp__B1_Correction__N3",
    "MPR__GradWarp__N3",
    "MT1__N3m",
    "MPR____N3",
)
# Originals, by the letters of their descriptions: MPRAGE, MP-RAGE, IR-FSPGR, IR-SPGR, in many
# spellings.
_ORIGINAL = re.compile("MPRAGE|FSPGR|IRSPGR")
_LATER = (re.compile("REPEAT"), re.compile("ACCELERATED|GRAPPA|SENSE"))  # so taken after others
PTID = re.compile(r"(?P<site>\d{3})_S_(?P<rid>\d{4})")
_FILE = re.compile(rf"ADNI_(?P<ptid>{PTID.pattern})_.*_I(?P<image>\d+)\.(nii(\.gz)?|dcm)")
_SERIES = re.compile(r"[SI]\d+")  # newer downloads name the folder after the image
_MAX_DEPTH = 8  # of folders; the layout has 4. Stops at links that lead back up.

IMAGE_COLUMNS = ["source", "ptid", "rid", "date", "rank", "rule", "reason"]


def list_images(folder: Path, series: str = "preprocessed") -> pd.DataFrame:
    """List every image of an archive: NIfTI files and series of DICOM slices.

    The layout is ``<site>_S_<rid>/<description>/<date time>/S<series>/`` (or ``I<image>/``), in it
    ``ADNI_<site>_S_<rid>_..._I<image>.nii`` or ``.nii.gz``, or the slices of a series, ``.dcm``, of
    which the first by name stands for all. Other files, and those whose name begins with a dot, are
    no images.

    Parameters
    ----------
    folder
        Folder of the subjects.
    series
        ``preprocessed``: the five of `DESCRIPTIONS`, in that order. ``original``: as the scanner
        made them (MPRAGE, IR-FSPGR); a first scan before a repeated one, then one that is not
        accelerated before one that is.

    Returns
    -------
    pandas.DataFrame
        A row an image, columns `IMAGE_COLUMNS`: path relative to `folder`, ``<site>_S_<rid>``,
        RID (missing where unknown), ISO date, place in the order of preference among the images
        of one exam (0 first), and rule and reason why the file cannot be used (``""`` if it can).
        Two images of one description: the earlier time, then the smaller image number, then the one
        that need not be converted is preferred.

    Raises
    ------
    InputError
        If the folder cannot be read or holds no image.
    """
    folder = Path(folder)
    sources = _image_files(folder)
    if not sources:
        raise InputError(
            f"{folder} holds no NIfTI file and no DICOM slice; it should hold folders "
            "<site>_S_<rid>, as the LONI archive lays them out below ADNI/"
        )
    rows = pd.DataFrame([_describe(source, series) for source in sources])
    rows["date"] = (
        parse_dates(rows["time"].str.partition("_")[0]).dt.strftime("%Y-%m-%d").fillna("")
    )
    no_date = rows["date"] == ""
    reject(rows, no_date, Rule.NO_DATE, "the image's folder does not begin with a date")
    rows["slices"] = rows["source"].map(_is_slice)
    order = rows.sort_values(["preference", "time", "image", "slices", "source"]).index
    rows["rank"] = pd.Series(range(len(order)), index=order)
    rows["rid"] = rows["rid"].astype("Int64")
    return rows[IMAGE_COLUMNS]


def _image_files(folder: Path) -> list[str]:
    """Paths relative to `folder`, sorted."""

    def fail(error: OSError) -> None:
        raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        below = os.path.relpath(parent, folder)
        if below.count(os.sep) + 1 >= _MAX_DEPTH:
            folders.clear()
        seen = [name for name in files if not name.startswith(".")]
        images = [name for name in seen if name.lower().endswith((".nii", ".nii.gz"))]
        images += sorted(filter(_is_slice, seen))[:1]
        found += [os.path.normpath(f"{below}/{name}") for name in images]
    return sorted(found)


def _is_slice(name: str) -> bool:
    return name.lower().endswith(".dcm")


def _preference(description: str, series: str) -> int | None:
    """Place of a description among those that are used, 0 first; None if it is not."""
    if series == "preprocessed":
        return DESCRIPTIONS.index(description) if description in DESCRIPTIONS else None
    letters = re.sub("[^A-Z]", "", description.upper())
    if not _ORIGINAL.search(letters):
        return None
    repeated, accelerated = (bool(later.search(letters)) for later in _LATER)
    return 2 * repeated + accelerated


def _describe(source: str, series: str) -> dict:
    row = {"source": source, "ptid": "", "rid": None, "time": "", "image": 0, "preference": 0}
    row["rule"] = Rule.MISNAMED
    parts = Path(source).parts
    subject = PTID.fullmatch(parts[0])
    name = _FILE.fullmatch(parts[-1])
    if subject:
        row |= {"ptid": parts[0], "rid": int(subject["rid"])}
    if len(parts) != 5 or not subject or not _SERIES.fullmatch(parts[3]):
        return row | {"reason": "not in a folder <site>_S_<rid>/<description>/<date>/S<series>"}
    row["time"] = parts[2]
    if not name:
        return row | {"reason": "the file name is not ADNI_<site>_S_<rid>_..._I<image>.nii"}
    row["image"] = int(name["image"])
    if name["ptid"] != parts[0]:
        return row | {"reason": "the file name and the folder belong to different subjects"}
    preference = _preference(parts[1], series)
    if preference is None:
        reason = f"the description is not among those used: {parts[1]}"
        return row | {"rule": Rule.OTHER_SERIES, "reason": reason}
    return row | {"preference": preference, "rule": "", "reason": ""}
