"""ADNI: its tables and LONI folders in, cohort out. Class 0 is MCI, class 1 is AD."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.cohort.copies import reject_copies, same_files
from pipeline.cohort.loni import PTID, list_images
from pipeline.cohort.manifest import LARGEST_AGE, Cohort, as_manifest, told_sexes
from pipeline.cohort.pairs import BASELINE, adni_pairs
from pipeline.cohort.readings import ISO, parse_dates, read_numbers
from pipeline.cohort.rejection import excluded_rows, reject, usable
from pipeline.cohort.scans import reject_series
from pipeline.cohort.sufficiency import check_cohort
from pipeline.cohort.tables import find_table, read_table, table_columns
from pipeline.cohort.visits import split_visits
from pipeline.stage.content import NOT_HERE
from pipeline.stage.rules import Rule
from pipeline.stage.wording import number_of

logger = logging.getLogger(__name__)

PROTOCOLS = ("ADNI1", "ADNIGO", "ADNI2")
LABELS = {"MCI": 0, "AD": 1}
DXCURREN = {1: "CN", 2: "MCI", 3: "AD"}
DIAGNOSIS = DXCURREN  # of tables since 2024, which lack both others
# In the rows of ADNI1 these may stand in its place; one of them is 1.
FLAGS = {"DXNORM": "CN", "DXMCI": "MCI", "DXAD": "AD"}
DXCHANGE = {1: "CN", 7: "CN", 9: "CN", 2: "MCI", 4: "MCI", 8: "MCI", 3: "AD", 5: "AD", 6: "AD"}
DX_BL = {"EMCI": "MCI", "LMCI": "MCI"}  # others as they are
DATE_FORMATS = (ISO, "%m/%d/%Y")
# The order matters: an exam that both tables hold is one at 1.5 T.
EXAM_TABLES = {"MRIMETA": 1.5, "MRI3META": 3.0}
# The visit that ADNIGO and ADNI2 scanned but did not diagnose.
UNDIAGNOSED_VISIT = "m03"
AT_BASELINE = ["VISCODE", "EXAMDATE", "AGE", "PTGENDER"]  # columns of ADNIMERGE: who the subject is
LARGEST_NUMBER = 1e9  # of RIDs and codes


def ingest_adni(
    images: Path,
    tables: Path,
    *,
    splits: dict,
    columns: dict[str, str] | None = None,
    date_format: str | None = None,
    series: str = "preprocessed",
) -> Cohort:
    """Read an ADNI archive.

    The exams of MRIMETA and MRI3META are joined with the diagnosis of their visit and with the
    image of their day. Each row of these tables and of DXSUM and each image file is either used or
    among the exclusions, with the first rule that it fails.

    Parameters
    ----------
    images
        The folder ``ADNI/``, which holds ``<site>_S_<rid>/...`` as LONI lays them out.
    tables
        Folder of ADNIMERGE, DXSUM_PDXCONV_ADNIALL (or DXSUM), MRIMETA and MRI3META, CSV, with or
        without what LONI adds to the names (`find_table`).
    splits
        Settings for `assign_splits`. Lists take RIDs and PTIDs (``30``, ``023_S_0030``,
        ``023S0030``). In the seeded form, subjects without an evaluation pair are all trained on.
    columns
        Names of columns in the tables where they differ, by their usual names, such as
        ``{"VISCODE2": "VISCODE"}``. A table without VISCODE2 is read by VISCODE anyway.
    date_format
        Of EXAMDATE, see `parse_dates`; None: ``YYYY-MM-DD`` or, as ADNI has it, month/day/year.
    series
        ``preprocessed`` or ``original``, see `list_images`.

    Returns
    -------
    Cohort
        `manifest.session` is VISCODE2, in lower case, with sc and scmri as bl. `day` counts from
        the subject's first visit that has a usable image. Visits of validation and test subjects
        that are in no pair are excluded.

    Raises
    ------
    InputError
        If a table or the folder cannot be read, the splits are wrong, or nothing is left to train
        on or to evaluate.
    """
    tables = Path(tables)
    formats = [date_format] if date_format else DATE_FORMATS
    exams = _read_exams(tables, columns, formats)
    diagnoses = _read_diagnoses(tables, columns)
    path = find_table(tables, "ADNIMERGE")
    merge = read_table(path, ["RID", "PTID", "DX_bl"], AT_BASELINE, columns)
    merge["rid"] = _numbers(merge["RID"])
    files = list_images(Path(images), series)
    files["subject"] = files["ptid"]
    paths = files["source"].map(lambda source: str(Path(images) / source))
    targets = pd.Series(same_files(paths))
    reject(files, targets == "", Rule.NO_FILE, f"a link: {NOT_HERE}")
    reject_copies(files, targets, files["source"])
    reject_series(files, paths, originals=series == "original")

    _drop_repeated_exams(exams)
    exams["diagnosis"] = _diagnose(exams, diagnoses, merge)
    exams["label"] = exams["diagnosis"].map(LABELS)
    unknown = exams["diagnosis"] == ""
    reject(exams, unknown, Rule.NO_DIAGNOSIS, "the visit has no unambiguous diagnosis")
    other = "the diagnosis is neither MCI nor AD: " + exams["diagnosis"]
    reject(exams, exams["label"].isna(), Rule.OTHER_CLASS, other)

    exams["image"] = _choose_images(exams, files)
    reject(exams, exams["image"].isna(), Rule.NO_IMAGE, "the exam has no usable image")
    _keep_one_exam(exams)

    subjects = _subject_names(files, merge)
    for frame in (exams, diagnoses, files):
        frame["subject"] = frame["rid"].map(subjects).fillna("")
    visits = usable(exams).copy()
    first = visits.groupby("subject")["date"].transform("min")
    visits["day"] = (pd.to_datetime(visits["date"]) - pd.to_datetime(first)).dt.days
    visits["site"] = visits["subject"].str[:3]
    visits["path"] = [str(Path(images) / source) for source in visits["image"]]
    visits["score"] = float("nan")
    _describe_subjects(visits, merge, formats)

    unpaired = split_visits(visits, splits, key=rid_of, baseline=BASELINE)
    exams.loc[visits.index, ["rule", "reason"]] = visits[["rule", "reason"]]

    _account_for_files(files, exams)
    _account_for_diagnoses(diagnoses, exams)
    manifest = as_manifest(usable(visits))
    cohort = Cohort(
        manifest=manifest,
        exclusions=excluded_rows({"exam": exams, "diagnosis": diagnoses, "image": files}),
        pairs=adni_pairs(manifest),
    )
    check_cohort(cohort, "ADNI", unpaired[unpaired != ""])
    logger.info(
        "ADNI: %s of %s, %s; rows and files excluded: %d",
        number_of(len(manifest), "image"),
        number_of(manifest["subject"].nunique(), "subject"),
        number_of(len(cohort.pairs), "evaluation pair"),
        len(cohort.exclusions),
    )
    return cohort


def rid_of(text: str) -> int:
    """RID of a subject given as RID (``30``) or PTID (``023_S_0030`` or ``023S0030``).

    Raises
    ------
    ValueError
        If the text is neither.
    """
    ptid = PTID.fullmatch(text) or PTID.fullmatch(f"{text[:3]}_{text[3:4]}_{text[4:]}")
    if ptid:
        return int(ptid["rid"])
    if text.isascii() and text.isdigit():
        return int(text)
    raise ValueError("expected a RID such as 30 or a PTID such as 023_S_0030")


def _numbers(text: pd.Series) -> pd.Series:
    """Whole numbers; missing where the text is none. ADNI writes -1 and -4 for missing values."""
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    possible = numbers.between(0, LARGEST_NUMBER) & (numbers % 1 == 0)
    return numbers.where(possible).astype("Int64")


def _read_visits(
    path: Path, names: list[str], columns: dict[str, str] | None, optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Rows of a table that has a protocol, a subject and a visit."""
    # Tables of ADNI1 alone have one visit code, which is that of VISCODE2 then.
    one_code = "viscode2" not in table_columns(path) and "viscode" in table_columns(path)
    columns = {**({"VISCODE2": "VISCODE"} if one_code else {}), **(columns or {})}
    names = ["Phase", "RID", "VISCODE2", *names]
    frame = read_table(path, names, optional, columns).assign(rule="", reason="")
    frame["rid"] = _numbers(frame["RID"])
    frame["phase"] = frame["Phase"].str.upper()
    frame["session"] = frame["VISCODE2"].str.lower().str.replace("[^a-z0-9]", "", regex=True)
    reject(frame, frame["rid"].isna(), Rule.NO_SUBJECT, "the row has no RID")
    other = "the protocol is not ADNI1, ADNIGO or ADNI2: " + frame["Phase"]
    reject(frame, ~frame["phase"].isin(PROTOCOLS), Rule.OTHER_PROTOCOL, other)
    reject(frame, frame["session"] == "", Rule.NO_VISIT, "the row has no visit code")
    return frame


def _read_exams(
    tables: Path, columns: dict[str, str] | None, formats: Sequence[str]
) -> pd.DataFrame:
    frames = []
    for table, field_strength in EXAM_TABLES.items():
        frame = _read_visits(find_table(tables, table), ["EXAMDATE"], columns)
        frames.append(frame.assign(table=table, field_strength=field_strength))
    exams = pd.concat(frames, ignore_index=True)
    exams["session"] = exams["session"].replace({"sc": BASELINE, "scmri": BASELINE})
    dates = parse_dates(exams["EXAMDATE"], formats)
    exams["date"] = dates.dt.strftime("%Y-%m-%d").fillna("")
    missing = exams["EXAMDATE"].isin(["", "-1", "-4"])
    reject(exams, missing, Rule.NO_DATE, "the exam has no date")
    unread = exams["date"] == ""
    reject(exams, unread, Rule.NO_DATE, "the date of the exam cannot be read")
    return exams


def _read_diagnoses(tables: Path, columns: dict[str, str] | None) -> pd.DataFrame:
    path = find_table(tables, "DXSUM_PDXCONV_ADNIALL", "DXSUM_PDXCONV", "DXSUM")
    codes = ["DXCURREN", "DXCHANGE"]
    held = {*table_columns(path)}
    if "diagnosis" in held and not held & {(columns or {}).get(c, c).lower() for c in codes}:
        rows = _read_visits(path, ["DIAGNOSIS"], columns, [*FLAGS])
        told = _numbers(rows["DIAGNOSIS"]).map(DIAGNOSIS)
        set_flags = pd.DataFrame({FLAGS[name]: _numbers(rows[name]) == 1 for name in FLAGS})
        set_flags = set_flags.fillna(False).astype(bool)
        flagged = set_flags.idxmax(axis=1).where(set_flags.sum(axis=1) == 1)
        rows["diagnosis"] = told.fillna(flagged).fillna("")
    else:
        rows = _read_visits(path, codes, columns)
        current = _numbers(rows["DXCURREN"]).map(DXCURREN)
        change = _numbers(rows["DXCHANGE"]).map(DXCHANGE)
        rows["diagnosis"] = current.where(rows["phase"] == "ADNI1", change).fillna("")
    reject(rows, rows["diagnosis"] == "", Rule.NO_DIAGNOSIS, "the row has no diagnosis")
    _keep_first_diagnosis(rows, path.name)
    return rows


def _keep_first_diagnosis(rows: pd.DataFrame, table: str) -> None:
    """Keep one row of each visit, the first, as the published code does, in place."""
    visits = usable(rows).groupby(["rid", "session"])
    again = rows.index.isin(usable(rows).index[visits.cumcount() > 0])
    first = visits[["source", "diagnosis"]].transform("first").reindex(rows.index)
    contrary = again & (rows["diagnosis"] != first["diagnosis"])
    if contrary.any():
        message = "%s: rows left out as an earlier one of their visit says otherwise: %d"
        logger.warning(message, table, contrary.sum())
    why = "the row contradicts " + first["source"] + ", which counts"
    reject(rows, contrary, Rule.CONTRADICTION, why)
    reject(rows, again, Rule.REPEATED, "the row repeats " + first["source"])


def _drop_repeated_exams(exams: pd.DataFrame) -> None:
    """Keep one row of each subject and day: the first usable one, MRIMETA before MRI3META."""
    usable_first = exams.sort_values("rule", key=lambda rule: rule != "", kind="stable")
    exams["stands"] = ~usable_first.duplicated(["rid", "date"])
    first = usable(exams).groupby(["rid", "date"])[["table", "session"]].transform("first")
    first = first.reindex(exams.index)
    other_visit = ~exams["stands"] & (first["session"] != exams["session"])
    why = "an exam of this day stands under another visit"
    reject(exams, other_visit, Rule.REPEATED, why)
    other_table = ~exams["stands"] & (first["table"] != exams["table"])
    why = "the exam is in MRIMETA too and counts as 1.5 T"
    reject(exams, other_table, Rule.REPEATED, why)
    reject(exams, ~exams["stands"], Rule.REPEATED, "the row repeats an earlier one")


def _diagnose(exams: pd.DataFrame, rows: pd.DataFrame, merge: pd.DataFrame) -> pd.Series:
    """Diagnosis at the visit of each exam, ``""`` where there is none."""
    known = usable(rows)[["rid", "session", "diagnosis"]]
    found = exams[["rid", "session"]].merge(known, on=["rid", "session"], how="left")
    diagnosis = found["diagnosis"].set_axis(exams.index)
    open_case = exams["session"] == UNDIAGNOSED_VISIT
    known = merge[(merge["DX_bl"] != "") & merge["rid"].notna()]
    at_baseline = known.assign(DX_bl=known["DX_bl"].str.upper().replace(DX_BL)).drop_duplicates(
        ["rid", "DX_bl"]
    )
    # A subject of whom the rows tell several diagnoses is one without.
    at_baseline = at_baseline.drop_duplicates("rid", keep=False).set_index("rid")["DX_bl"]
    return diagnosis.mask(open_case & diagnosis.isna(), exams["rid"].map(at_baseline)).fillna("")


def _choose_images(exams: pd.DataFrame, files: pd.DataFrame) -> pd.Series:
    """Image of each exam (missing if none); files that are not chosen get a reason."""
    days = exams[exams["rid"].notna() & (exams["date"] != "")]
    no_exam = ~_key(files, "date").isin(_key(days, "date"))
    reject(files, no_exam, Rule.NOT_LISTED, "no exam on this day in the MRI tables")
    candidates = usable(files).sort_values("rank")
    chosen = candidates.drop_duplicates(["rid", "date"])
    beaten = files.index.isin(candidates.index.difference(chosen.index))
    reject(files, beaten, Rule.NOT_CHOSEN, "another image of the exam is preferred")
    found = exams[["rid", "date"]].merge(
        chosen[["rid", "date", "source"]], on=["rid", "date"], how="left"
    )
    return found["source"].set_axis(exams.index)


def _keep_one_exam(exams: pd.DataFrame) -> None:
    """Keep one exam of each visit: of MRIMETA before MRI3META, as the published code, then by date.

    So a subject who was scanned on both scanners at each visit has all its exams at 1.5 T.
    """
    candidates = usable(exams).sort_values(["field_strength", "date"], kind="stable")
    visit = candidates.groupby(["rid", "session"])
    further = exams.index.isin(candidates.index[visit.cumcount() > 0])
    used = visit["field_strength"].transform("first").reindex(exams.index)
    other_field = further & (exams["field_strength"] != used)
    reject(exams, other_field, Rule.NOT_CHOSEN, "the exam of the visit at 1.5 T is used")
    reject(exams, further, Rule.NOT_CHOSEN, "an earlier exam of the visit is used")


def _subject_names(files: pd.DataFrame, merge: pd.DataFrame) -> pd.Series:
    """Name of each RID, ``023S0030``: from the folders, or else from ADNIMERGE."""
    named = pd.concat([files[["rid", "ptid"]], merge.rename(columns={"PTID": "ptid"})])
    named = named[named["rid"].notna() & named["ptid"].str.fullmatch(PTID.pattern)]
    names = named.drop_duplicates("rid").set_index("rid")["ptid"]
    return names.str.replace("_", "")


def _describe_subjects(visits: pd.DataFrame, merge: pd.DataFrame, formats: Sequence[str]) -> None:
    """Add age in years and sex, in place; ADNIMERGE has the age at the baseline."""
    rows = merge[(merge["VISCODE"].str.lower() == BASELINE) & merge["rid"].notna()]
    rows = rows.drop_duplicates("rid").set_index("rid")
    age = visits["rid"].map(read_numbers(rows["AGE"], rows["source"], "AGE"))
    age = age.where(age.between(0, LARGEST_AGE))
    since = pd.to_datetime(visits["date"]) - visits["rid"].map(
        parse_dates(rows["EXAMDATE"], formats)
    )
    visits["age"] = (age + since.dt.days / 365.25) // 1
    visits["sex"] = visits["rid"].map(told_sexes(rows["PTGENDER"])).fillna("")


def _account_for_files(files: pd.DataFrame, exams: pd.DataFrame) -> None:
    """An image that is not used for the sake of its exam has the exam's rule and reason."""
    known = exams[exams["stands"] & exams["rid"].notna() & (exams["date"] != "")]
    told = known.set_index(["rid", "date"])[["rule", "reason"]]
    of_exam = told.reindex(_key(files, "date")).set_axis(files.index).fillna("")
    reject(files, of_exam["rule"] != "", of_exam["rule"], of_exam["reason"])


def _account_for_diagnoses(rows: pd.DataFrame, exams: pd.DataFrame) -> None:
    has_exam = _key(rows).isin(_key(exams))
    used = _key(rows).isin(_key(usable(exams)))
    reject(rows, ~has_exam, Rule.NO_IMAGE, "no exam at this visit")
    reject(rows, ~used, Rule.NOT_USED, "the exam of the visit is not used")


def _key(frame: pd.DataFrame, column: str = "session") -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(frame[["rid", column]])
