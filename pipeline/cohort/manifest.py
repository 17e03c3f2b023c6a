"""The manifest: one row per usable image, the only thing that later stages read of a cohort."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from pipeline.stage.errors import InputError

SPLITS = ("train", "validation", "test")
MANIFEST_COLUMNS = {
    "subject": "str",  # alphanumeric, as in BIDS
    "session": "str",  # alphanumeric, unique within the subject
    "label": "int8",  # 0 healthy (ADNI: MCI), 1 diseased
    "diagnosis": "str",
    "score": "float64",  # what the label was made of: FEV1/FVC; missing for ADNI
    "field_strength": "float64",  # tesla; missing for films
    "site": "str",
    "day": "int64",  # days since the subject's first visit; its number if dates are unknown
    "date": "str",  # ISO 8601; empty for films, whose dates are not kept
    "path": "str",
    "split": "str",
    "age": "float64",  # whole years at the image, 90 for all above 89; missing if unknown
    "sex": "str",  # F, M or O (other); empty if unknown
    "grade": "str",  # of COPD by GOLD, 1 to 4; empty for other images and if unknown
    "view_reason": "str",  # what tells that a film is PA; empty for other images and if nothing did
    "archive_subject": "str",  # their names in the archive, where those are not letters and digits
    "archive_session": "str",  # alone; empty if they are, and for pseudonyms
}
UNKNOWN = {
    "age": float("nan"),
    "sex": "",
    "grade": "",
    "view_reason": "",
    "archive_subject": "",
    "archive_session": "",
}  # where an archive does not tell
LARGEST_AGE = 125  # years; what is above it is no age
FIELD_STRENGTHS = (0.01, 25.0)  # tesla; what lies outside is none
NOMINAL = 0.05  # by which a field may differ from that which its scanner is called by
SEXES = {"female": "F", "f": "F", "male": "M", "m": "M", "other": "O", "o": "O"}
OLDEST = 90  # an age above 89 identifies: HIPAA, 45 CFR 164.514(b)(2)(i)(C)
PAIR_COLUMNS = ["subject", "split", "baseline", "followup"]


@dataclass
class Cohort:
    """Result of an ingest.

    Attributes
    ----------
    manifest
        Usable images, columns `MANIFEST_COLUMNS`.
    exclusions
        Everything else that the archive holds, columns `EXCLUSION_COLUMNS`.
    pairs
        Evaluation pairs, columns `PAIR_COLUMNS`; sessions of the manifest.
    """

    manifest: pd.DataFrame
    exclusions: pd.DataFrame
    pairs: pd.DataFrame

    @cached_property
    def paths(self) -> dict[tuple[str, str], str]:
        """Path of the raw image by subject and session."""
        rows = self.manifest[["subject", "session", "path"]].itertuples(index=False)
        return {(subject, session): path for subject, session, path in rows}


def as_manifest(frame: pd.DataFrame) -> pd.DataFrame:
    """Order, type and check the rows of a manifest; no age is above `OLDEST`.

    Raises
    ------
    InputError
        If an image occurs twice or a subject stands in two splits.
    """
    frame = _typed(frame)
    frame["age"] = frame["age"].clip(upper=OLDEST)
    frame = frame.sort_values(["subject", "session"], ignore_index=True)
    twice = frame[frame.duplicated(["subject", "session"])]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(f"sub-{row.subject} ses-{row.session} stands in the manifest twice")
    splits = frame.groupby("subject")["split"].nunique()
    if (splits > 1).any():
        raise InputError(f"subject {splits.idxmax()} is in two splits; each may be in only one")
    return frame


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest."""
    return _typed(pd.read_parquet(path))


def ages(dates: pd.Series, births: pd.Series) -> pd.Series:
    """Whole years from birth to a date; NaN where either is missing."""
    early = dates.dt.strftime("%m%d") < births.dt.strftime("%m%d")
    return (dates.dt.year - births.dt.year - early).astype("float64")


def told_ages(text: pd.Series) -> pd.Series:
    """Whole years from text; NaN where it is no age. ``89+`` is 89, ``45,5`` is 45."""
    text = text.str.strip().str.removesuffix("+").str.replace(",", ".", regex=False)
    years = pd.to_numeric(text, errors="coerce")
    return years.where(years.between(0, LARGEST_AGE)) // 1


def nominal_tesla(tesla: pd.Series) -> pd.Series:
    """Field strengths as scanners are called by them: 2.89362 is 3, 1.494 is 1.5.

    Headers tell the one or the other, also of one scanner before and after an update.
    """
    called = (2 * tesla).round() / 2
    return called.where((called - tesla).abs() <= NOMINAL * tesla, tesla)


def told_sexes(text: pd.Series) -> pd.Series:
    """``F``, ``M`` or ``O`` from a word or its first letter; ``""`` where it is neither."""
    return text.str.strip().str.lower().map(SEXES).fillna("")


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.assign(**{name: value for name, value in UNKNOWN.items() if name not in frame})
    return frame[list(MANIFEST_COLUMNS)].astype(MANIFEST_COLUMNS)
