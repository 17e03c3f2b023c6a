"""Writer of an archive as ADNI hands it out: LONI folders and the five tables."""

import csv
import datetime
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

VISIT_COLUMNS = ["Phase", "RID", "SITEID", "VISCODE", "VISCODE2", "EXAMDATE"]
TABLES = {
    "ADNIMERGE": [
        *("RID", "PTID", "VISCODE", "SITE", "COLPROT", "ORIGPROT", "EXAMDATE"),
        *("DX_bl", "AGE", "PTGENDER", "DX"),
    ],
    "DXSUM_PDXCONV_ADNIALL": [*VISIT_COLUMNS, "DXCHANGE", "DXCURREN"],
    "MRIMETA": [*VISIT_COLUMNS, "FIELD_STRENGTH"],
    "MRI3META": [*VISIT_COLUMNS, "FIELD_STRENGTH"],
    "VITALS": [*VISIT_COLUMNS, "VSWEIGHT", "VSBPSYS", "VSBPDIA", "VSPULSE"],
}
MRI_TABLES = {1.5: "MRIMETA", 3.0: "MRI3META"}
DXCURREN = {"CN": 1, "MCI": 2, "AD": 3}
DXCHANGE = {
    **{("CN", "CN"): 1, ("MCI", "MCI"): 2, ("AD", "AD"): 3},
    **{("CN", "MCI"): 4, ("MCI", "AD"): 5, ("CN", "AD"): 6},
}
# Code of the scan at the start of each protocol.
SCREENING = {"ADNI1": "sc", "ADNIGO": "sc", "ADNI2": "scmri", "ADNI3": "sc"}


@dataclass
class DemoArchive:
    """Collects the rows of the tables and writes the image files.

    Attributes
    ----------
    images
        The folder that ADNI calls ``ADNI``.
    rows
        Rows so far, by table.
    files
        Number of images so far; numbers the series and images.
    """

    images: Path
    rows: dict[str, list[dict]] = field(default_factory=lambda: defaultdict(list))
    files: int = 0

    def add_visit(
        self,
        person: "Person",
        months: int,
        date: datetime.date,
        diagnosis: str,
        *,
        previous: str = "",
        diagnosed: bool = True,
    ) -> None:
        """Enter a visit in ADNIMERGE, VITALS and, if it is `diagnosed`, DXSUM."""
        code = "bl" if months == 0 else f"m{months:02d}"
        visit = person.visit_columns(code, code, date)
        self.rows["ADNIMERGE"].append(
            {
                "RID": person.rid,
                "PTID": person.ptid,
                "VISCODE": code,
                "SITE": person.site,
                "COLPROT": person.phase,
                "ORIGPROT": person.phase,
                "EXAMDATE": date.isoformat(),
                "DX_bl": person.diagnosis_at_baseline,
                "AGE": person.age,
                "PTGENDER": person.sex,
                "DX": {"AD": "Dementia"}.get(diagnosis, diagnosis) if diagnosed else "",
            }
        )
        rng = np.random.default_rng([person.rid, months])
        vitals = {
            "VSWEIGHT": round(rng.normal(74, 12)),
            "VSBPSYS": round(rng.normal(134, 12)),
            "VSBPDIA": round(rng.normal(75, 8)),
            "VSPULSE": round(rng.normal(65, 7)),
        }
        self.rows["VITALS"].append(visit | vitals)
        if diagnosed:
            first = person.phase == "ADNI1"
            code = DXCURREN[diagnosis] if first else DXCHANGE[previous or diagnosis, diagnosis]
            self.rows["DXSUM_PDXCONV_ADNIALL"].append(
                visit | {"DXCURREN" if first else "DXCHANGE": code}
            )

    def add_exam(
        self, person: "Person", months: int, date: datetime.date | None, tesla: float
    ) -> None:
        """Enter an exam in MRIMETA or MRI3META; scans at the start carry the screening's code."""
        code = SCREENING[person.phase] if months == 0 else f"m{months:02d}"
        row = person.visit_columns(code, code, date) | {"FIELD_STRENGTH": tesla}
        self.rows[MRI_TABLES[tesla]].append(row)

    def image_path(self, person: "Person", description: str, date: datetime.date) -> Path:
        """Path of a new image; its folder is made."""
        self.files += 1
        time = f"{8 + self.files % 9:02d}_{self.files * 7 % 60:02d}_{self.files * 13 % 60:02d}"
        stamp = f"{date:%Y%m%d}{time.replace('_', '')}000"
        series, image = f"S{10000 + self.files}", f"I{50000 + self.files}"
        folder = self.images / person.ptid / description / f"{date.isoformat()}_{time}.0" / series
        folder.mkdir(parents=True)
        return folder / f"ADNI_{person.ptid}_MR_{description}_Br_{stamp}_{series}_{image}.nii"

    def add_small_image(
        self, person: "Person", description: str, date: datetime.date, *, truncated: bool = False
    ) -> None:
        """Write a small volume of noise, for images that are not to be used."""
        path = self.image_path(person, description, date)
        noise = np.random.default_rng([person.rid, self.files]).integers(0, 200, (24, 24, 20))
        nib.save(nib.Nifti1Image(noise.astype(np.int16), np.diag([8.0, 8, 8, 1])), path)
        if truncated:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])

    def write_tables(self, folder: Path) -> None:
        """Write the tables as ADNI does, every field in quotes."""
        for name, columns in TABLES.items():
            # As objects, so that a code stays a whole number beside a missing one.
            frame = pd.DataFrame(self.rows[name], columns=columns, dtype=object)
            frame.to_csv(folder / f"{name}.csv", index=False, quoting=csv.QUOTE_ALL)


@dataclass(frozen=True)
class Person:
    """What the tables tell of a subject.

    Attributes
    ----------
    rid
        Number of the subject, below 10000.
    phase
        Protocol: ADNI1, ADNIGO, ADNI2 or ADNI3.
    baseline
        Date of the first visit.
    diagnosis_at_baseline
        As ADNIMERGE writes it in DX_bl: CN, EMCI, LMCI or AD.
    """

    rid: int
    phase: str
    baseline: datetime.date
    diagnosis_at_baseline: str

    @property
    def site(self) -> int:
        """Number of the site."""
        return 2 + self.rid % 40

    @property
    def ptid(self) -> str:
        """Identifier in folder names and in ADNIMERGE."""
        return f"{self.site:03d}_S_{self.rid:04d}"

    @property
    def age(self) -> float:
        """Age at the first visit, in years."""
        return 62 + self.rid * 7 % 25 + 0.5

    @property
    def sex(self) -> str:
        """As ADNIMERGE writes it."""
        return "Female" if self.rid % 2 else "Male"

    def visit_columns(self, code: str, code2: str, date: datetime.date | None) -> dict:
        """Columns that the tables of visits share."""
        values = (self.phase, self.rid, self.site, code, code2, date.isoformat() if date else "")
        return dict(zip(VISIT_COLUMNS, values, strict=True))
