"""Made-up BIDS datasets: tables as the standard has them, images as the test wants them."""

import json
from collections.abc import Callable
from pathlib import Path

# Subject, its group at the first and at the last of its visits.
CONVERTERS = [(f"C{number}", "MCI", "AD") for number in range(4)]
STABLE = [("S0", "MCI", "MCI"), ("S1", "AD", "AD")]


def write_bids_dataset(
    folder: Path, write_image: Callable[[Path, str, str], None] = lambda path, *_: path.touch()
) -> None:
    """Write four converters and two stable subjects with the visits M00, M06 and M12.

    `write_image(path, subject, session)` makes an image. The sessions tables tell the dates of the
    visits but for those of C3 and the group; participants.tsv the sites. Beside these: a
    participant and a visit without image, a healthy subject, a second T1w of a visit, an image
    under another subject's name, and an image without diagnosis.
    """
    folder.mkdir(parents=True)
    (folder / "T1w.json").write_text(json.dumps({"MagneticFieldStrength": 3}))
    people = ["participant_id\tsite\tage\tsex"]
    for subject, first, last in [*CONVERTERS, *STABLE, ("H0", "CN", "CN")]:
        people.append(f"sub-{subject}\tA{len(people) % 2}\t{69 + len(people)}\tfemale")
        rows = ["session_id\tacq_time\tgroup"]
        for month, group in ((0, first), (6, first), (12, last)):
            day = "n/a" if subject == "C3" else f"2010-{month + 1:02d}-03T10:00:00"
            if month < 12:
                rows.append(f"ses-M{month:02d}\t{day}\t{group}")
            else:
                rows.append(f"ses-M{month}\t{'n/a' if subject == 'C3' else '2011-01-03'}\t{group}")
            _image(folder, subject, f"M{month:02d}", "", write_image)
        if subject == "S0":
            rows += ["ses-M24\t2012-01-03\tMCI", "ses-M36\t2013-01-03\tn/a"]
            _image(folder, subject, "M36", "", write_image)
        (folder / f"sub-{subject}/sub-{subject}_sessions.tsv").write_text("\n".join(rows) + "\n")
    people.append("sub-N0\tA1\t89+\tn/a")
    (folder / "participants.tsv").write_text("\n".join(people) + "\n")
    _image(folder, "S1", "M12", "_run-2", write_image)
    (folder / "sub-S1/ses-M12/anat/sub-S0_ses-M12_T1w.nii.gz").touch()
    # Of the old scanner.
    for month in ("M00", "M12"):
        beside = folder / f"sub-C2/ses-{month}/anat/sub-C2_ses-{month}_T1w.json"
        beside.write_text(json.dumps({"MagneticFieldStrength": 1.5}))


def _image(
    folder: Path, subject: str, session: str, entity: str, write: Callable[[Path, str, str], None]
) -> None:
    name = f"sub-{subject}_ses-{session}{entity}_T1w.nii.gz"
    path = folder / f"sub-{subject}/ses-{session}/anat/{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, subject, session)
