"""A further visit of a subject, as an ADNI archive that grows would have it."""

import csv
import shutil
from pathlib import Path

VISIT, DATE = "m60", "2012-02-10"


def add_visit(images: Path, tables: Path, subject: str) -> Path:
    """Copy a subject's last image to a later visit, at which the subject has the disease.

    Returns
    -------
    The folder that was added. The tables are changed in place.
    """
    folder = images / subject
    image = max(folder.glob("M*/*/*/*.nii"), key=lambda path: path.parts[-3])
    added = image.parents[1].with_name(f"{DATE}_10_00_00.0")
    name = image.name.replace(image.name.split("_")[-3], DATE.replace("-", "") + "100000000")
    (added / "S99999").mkdir(parents=True)
    name = name.replace(image.parent.name, "S99999").replace(image.stem.split("_")[-1], "I99999")
    shutil.copy(image, added / "S99999" / name)
    rid = str(int(subject.split("_")[-1]))
    for table in tables.glob("*.csv"):
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        own = [row for row in rows if row["RID"] == rid and row["VISCODE"].startswith("m")]
        if not own:
            continue
        visit = own[-1] | {"VISCODE": VISIT, "EXAMDATE": DATE}
        visit |= {"VISCODE2": VISIT} if "VISCODE2" in visit else {}
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows([*rows, visit])
    return added
