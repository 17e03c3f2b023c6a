"""Made-up film archives: real DICOM headers, pixels of no meaning."""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from helpers.film_files import make_dicom, ramp_film

FIRST_DAY = date(2014, 1, 1)


def write_copd_archive(folder: Path, *, single: int, paired: int) -> None:
    """Write ``films/`` and ``spirometry.csv``.

    Every third subject with a single film has COPD; paired subjects have a normal film and, a year
    later, one with COPD.
    """
    tests = []

    def study(patient: str, day: date, ratio: float) -> None:
        name = f"{patient}-{day:%Y%m%d}"
        make_dicom(
            folder / "films" / name / "film.dcm",
            ramp_film(),
            PatientID=patient,
            StudyDate=f"{day:%Y%m%d}",
        )
        tests.append({"PatientID": patient, "TestDate": day + timedelta(3), "FEV1_FVC": ratio})

    for number in range(single):
        study(f"S{number}", FIRST_DAY + timedelta(number), 0.5 if number % 3 == 0 else 0.8)
    for number in range(paired):
        study(f"P{number}", FIRST_DAY + timedelta(number), 0.8)
        study(f"P{number}", FIRST_DAY + timedelta(365 + number), 0.5)
    table = pd.DataFrame(tests).assign(FEV1=2.0, FVC=3.0, FEV1_PctPred=70, Transplant=0)
    table.to_csv(folder / "spirometry.csv", index=False)
