"""Made-up ADNI archives: tables with the real columns, LONI folders, images without content."""

import csv
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

SITE = 23
COLUMNS = {
    "ADNIMERGE": "RID,PTID,VISCODE,SITE,COLPROT,ORIGPROT,EXAMDATE,DX_bl,AGE,PTGENDER,DX",
    "DXSUM_PDXCONV_ADNIALL": "Phase,RID,SITEID,VISCODE,VISCODE2,EXAMDATE,DXCHANGE,DXCURREN",
    "MRIMETA": "Phase,RID,SITEID,VISCODE,VISCODE2,EXAMDATE,FIELD_STRENGTH",
    "MRI3META": "Phase,RID,SITEID,VISCODE,VISCODE2,EXAMDATE,FIELD_STRENGTH",
    "VITALS": "Phase,RID,SITEID,VISCODE,VISCODE2,EXAMDATE,VSWEIGHT",
}
DEFAULT_DESCRIPTION = "MPR__GradWarp__B1_Correction__N3"
MONTHS = {"sc": 0, "scmri": 0, "bl": 0, "m03": 3, "m06": 6, "m12": 12, "m18": 18, "m24": 24}


@dataclass
class Archive:
    """An archive under construction; `write` makes the files."""

    rows: dict[str, list[dict]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    images: list[str] = field(default_factory=list)

    def merge(self, rid: int, dx_bl: str, **columns: str) -> None:
        """Add a row of ADNIMERGE."""
        row = {"RID": rid, "PTID": ptid(rid), "VISCODE": "bl", "SITE": SITE, "DX_bl": dx_bl}
        self.rows["ADNIMERGE"].append(row | columns)

    def diagnosis(self, rid: int, visit: str, code: int | str, phase: str = "ADNI1") -> None:
        """Add a row of DXSUM."""
        column = "DXCURREN" if phase == "ADNI1" else "DXCHANGE"
        row = {"Phase": phase, "RID": rid, "VISCODE": visit, "VISCODE2": visit, column: code}
        self.rows["DXSUM_PDXCONV_ADNIALL"].append(row)

    def exam(
        self,
        rid: int,
        visit: str,
        day: str,
        *,
        tesla: float = 1.5,
        phase: str = "ADNI1",
        description: str | None = DEFAULT_DESCRIPTION,
    ) -> None:
        """Add a row of MRIMETA or MRI3META and, with a description, the image of that day."""
        table = "MRIMETA" if tesla == 1.5 else "MRI3META"
        row = {"Phase": phase, "RID": rid, "VISCODE": visit, "VISCODE2": visit, "EXAMDATE": day}
        self.rows[table].append(row | {"FIELD_STRENGTH": tesla})
        if description:
            self.image(rid, day, description)

    def image(self, rid: int, day: str, description: str = DEFAULT_DESCRIPTION) -> str:
        """Add an image; returns its path relative to the folder of the subjects."""
        number = 10_000 + len(self.images)
        name = f"ADNI_{ptid(rid)}_MR_{description}_Br_20070217031857712_S{number}_I{number}.nii"
        path = f"{ptid(rid)}/{description}/{day}_10_22_33.0/S{number}/{name}"
        self.images.append(path)
        return path

    def write(self, images: Path, tables: Path, *, image_bytes: int = 0) -> None:
        """Write the tables, all fields quoted as ADNI does, and files of the given size."""
        tables.mkdir(parents=True, exist_ok=True)
        for name, columns in COLUMNS.items():
            # ADNI stamps some downloads with their date.
            dated = f"{name}_12Mar2020.csv" if name.startswith("DXSUM") else f"{name}.csv"
            with (tables / dated).open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns.split(","), restval="", quoting=csv.QUOTE_ALL)
                writer.writeheader()
                writer.writerows(self.rows[name])
        images.mkdir(parents=True, exist_ok=True)
        for relative in self.images:
            path = images / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(image_bytes)


def ptid(rid: int) -> str:
    """Subject name of ADNI."""
    return f"{SITE:03d}_S_{rid:04d}"


def write_adni_archive(
    images: Path, tables: Path, *, subjects: int, seed: int, image_bytes: int = 0
) -> Archive:
    """Write an archive of `subjects` subjects, of which about two fifths convert from MCI to AD.

    Two fifths convert at month 12 or later, and of the others a third each is MCI throughout, AD
    throughout and healthy. Every tenth subject belongs to each of the oddities: ADNI3, an exam
    without date, without image, at another field strength, in both tables, twice at one visit, and
    with several images; ADNI2 subjects have scmri and m03 visits.

    Parameters
    ----------
    images, tables
        Folders to make: the subjects' folders, and the CSV files.
    subjects
        Number of subjects.
    seed
        Of dates and field strengths.
    image_bytes
        Size of each image file; the files are sparse.

    Returns
    -------
    Archive
        What was written: `rows` by table and `images`.
    """
    rng = np.random.default_rng(seed)
    archive = Archive()
    for index in range(subjects):
        _add_subject(archive, index, rng)
    archive.write(images, tables, image_bytes=image_bytes)
    return archive


def _add_subject(archive: Archive, index: int, rng: np.random.Generator) -> None:
    rid = 2 * index + 2
    kind = ("converter", "mci", "ad", "converter", "cn")[index % 5]
    oddity = index // 5 % 10
    phase = "ADNI2" if index % 4 == 3 else "ADNI1"
    tesla = 3.0 if phase == "ADNI2" or rng.random() < 0.2 else 1.5
    start = date(2006, 1, 1) + timedelta(days=int(rng.integers(0, 1000)))
    onset = {"converter": int(rng.choice([12, 24])), "ad": 0}.get(kind, 1000)
    first = {"ADNI1": "sc", "ADNI2": "scmri"}[phase]
    healthy = 1 if kind == "cn" else 2
    archive.merge(rid, {"cn": "CN", "ad": "AD"}.get(kind, "LMCI"))
    for visit in (first, "m03" if phase == "ADNI2" else "m06", "m12", "m24"):
        day = str(start + timedelta(days=30 * MONTHS[visit]))
        archive.exam(
            rid,
            visit,
            "" if oddity == 1 and visit == "m06" else day,
            tesla=4.5 - tesla if oddity == 3 and visit == "m24" else tesla,
            phase="ADNI3" if oddity == 0 and visit == "m24" else phase,
            description=None,
        )
        if not (oddity == 2 and visit == "m12"):
            archive.image(rid, day)
        if oddity == 4 and visit == "m24":
            archive.exam(rid, visit, day, tesla=4.5 - tesla, phase=phase, description=None)
        if oddity == 5 and visit == "m24":
            again = str(start + timedelta(days=30 * MONTHS[visit] + 9))
            archive.exam(rid, visit, again, tesla=tesla, phase=phase)
        if oddity == 6:
            archive.image(rid, day, "MT1__GradWarp__N3m")
        if visit != "m03":
            code = 3 if MONTHS[visit] >= onset else healthy
            archive.diagnosis(rid, "bl" if visit == first else visit, code, phase)
