"""The demonstration's chest-film archive: DICOM files, a spirometry table and the true fields.

Everything is simulated from one real radiograph (see `demo_chest`); every name, number and date is
invented. The archive has the faults that real ones have: lateral and antero-posterior views, films
without a view position, transplants, missing, late and doubly matching tests, two films in one
study, a truncated file and files that are no DICOM at all.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from pipeline.cohort.pseudonyms import film_session, pseudonym
from pipeline.demo.chest_disease import (
    FIELD_STEP,
    Pose,
    State,
    Subject,
    expose,
    load_radiograph,
    random_pose,
)
from pipeline.demo.film_writer import (
    Patient,
    common_identifiers,
    invent_patient,
    make_uid,
    write_film,
)
from pipeline.stage.files import atomic_directory, atomic_path, write_csv
from pipeline.stage.layout import true_field
from pipeline.stage.progress import progress

README = """\
SIMULATED DEMONSTRATION, NOT PATIENT DATA

All films in this folder were made by warping one public radiograph, RG1_UNCR.dcm of the package
pydicom-data (MIT licence; it shows masses in the lungs, so every film does). "COPD" is a made-up
deformation. Names, numbers, dates and institutions are invented. Not for any medical use.
"""
# Why subjects have no usable film, or fewer than they seem to have.
FAULTS = (
    "normal only",  # two normal films: no pair
    "shared test",  # two films, one test: one film goes without
    "transplant",
    "late test",  # every test is 30 days or more from the film
    "no test",
    "missing ratio",  # a test without its results
    "AP only",
    "LL only",
    "two PA",  # two postero-anterior films in one study
    "truncated",  # the file ends before its pixels do
)
FIRST_DAY = dt.date(2012, 1, 9)
LONGEST_GAP = 28  # days between film and test; fewer than 30 count


@dataclass
class Visit:
    """One study: day, state of the subject, views taken, days of the tests around it, and whether
    its files break off."""

    day: int
    state: State
    views: list[str] = field(default_factory=lambda: ["PA"])
    test_days: list[int] = field(default_factory=list)
    truncated: bool = False


def make_demo_copd(
    films: Path,
    spirometry: Path,
    truth: Path,
    pseudonym_key: Path,
    *,
    seed: int,
    normal: int = 120,
    copd: int = 80,
    paired: int = 48,
    faulty: int = 2,
    height: int = 320,
    severity: tuple[float, float] = (0.5, 1.0),
) -> None:
    """Write the archive of the demonstration.

    Parameters
    ----------
    films
        Folder of the DICOM files, ``{study UID}/{SOP instance UID}.dcm``.
    spirometry
        CSV table of the lung function tests.
    truth
        Folder of the true displacement fields, under the names that the ingest gives subjects and
        sessions, and of ``identifiers.txt``: the invented names, numbers and birth dates that must
        not appear in any result.
    pseudonym_key
        Key of the subjects' pseudonyms. Made from the seed, since there is nobody to protect and
        subjects, and with them splits and results, are to be the same on every machine.
    seed
        Seed of everything random.
    normal, copd
        Subjects with one usable film, without and with the disease.
    paired
        Subjects with at least one normal and one later COPD film.
    faulty
        Subjects for each of `FAULTS`.
    height
        Rows of a film.
    severity
        Range of the severity of COPD; what it changes, each subject draws.
    """
    radiograph = load_radiograph(height)
    rng = np.random.default_rng([seed, 0])
    kinds = ["normal"] * normal + ["COPD"] * copd + ["paired"] * paired + [*FAULTS] * faulty
    rng.shuffle(kinds)
    numbers = rng.choice(9_000_000, len(kinds), replace=False) + 1_000_000

    tests: list[dict] = []
    identifiers = common_identifiers()
    key = hashlib.sha256(f"demo {seed}".encode())
    with (
        atomic_directory(films) as films_folder,
        atomic_directory(truth) as truth_folder,
        progress(total=len(kinds), desc="simulating films", unit="subject") as bar,
    ):
        for index, (kind, number) in enumerate(zip(kinds, numbers, strict=True)):
            # A stream per subject: no subject depends on how many random numbers others took.
            rng = np.random.default_rng([seed, 1, index])
            patient = invent_patient(f"MRN{number}", rng)
            identifiers |= patient.identifiers
            visits = _plan_visits(kind, rng, severity)
            subject = Subject(radiograph, rng)
            poses = [_write_study(films_folder, subject, patient, visit, rng) for visit in visits]
            tests += _tests(kind, patient, visits, rng)
            if kind == "paired":
                name = pseudonym(key.digest(), patient.number)
                _write_truth(truth_folder, name, subject, visits, poses)
            bar.update()
        (films_folder / "README.txt").write_text(README, encoding="utf-8")
        stray = films_folder / make_uid("stray") / "notes.dcm"
        stray.parent.mkdir()
        stray.write_text("A text file that somebody named like a film.\n", encoding="utf-8")
        lines = "".join(f"{line}\n" for line in sorted(identifiers))
        (truth_folder / "identifiers.txt").write_text(lines, encoding="utf-8")
        table = pd.DataFrame(tests).sort_values(["PatientID", "TestDate"], kind="stable")
        write_csv(table, spirometry)
    with atomic_path(pseudonym_key) as temporary:
        temporary.write_text(f"{key.hexdigest()}\n")


def _plan_visits(kind: str, rng: np.random.Generator, severity: tuple[float, float]) -> list[Visit]:
    """Draw the studies of a subject."""
    start = int(rng.integers(0, 700))
    age = rng.uniform(0, 1)
    ill = kind == "COPD" or (kind in FAULTS and kind != "normal only" and rng.random() < 0.4)
    visits = [Visit(start, State(age, rng.uniform(*severity) if ill else 0.0))]

    def later(days: int, new_severity: float) -> None:
        last = visits[-1]
        visits.append(Visit(last.day + days, State(last.state.decades + days / 3652, new_severity)))

    if kind == "shared test":
        later(12, visits[0].state.severity)
    elif kind == "normal only":
        later(int(rng.integers(300, 900)), 0.0)
    elif kind == "paired":
        course = rng.choice(["one of each", "two normal", "two COPD"], p=[0.6, 0.2, 0.2])
        if course == "two normal":
            later(int(rng.integers(200, 500)), 0.0)
        later(int(rng.integers(400, 1200)), rng.uniform(*severity))
        if course == "two COPD":
            later(int(rng.integers(200, 500)), min(1.1 * visits[-1].state.severity, severity[1]))

    for visit in visits:
        visit.truncated = kind == "truncated"
        _plan_views(kind, visit, rng)
        _plan_tests(kind, visit, rng)
    if kind == "shared test":
        visits[0].test_days = [visits[0].day - 3]
    return visits


def _plan_views(kind: str, visit: Visit, rng: np.random.Generator) -> None:
    if kind in ("AP only", "LL only"):
        visit.views = [kind.removesuffix(" only")]
    elif kind == "two PA":
        visit.views = ["PA", "PA"]
    elif kind not in FAULTS:
        # Without a view position, only the series description says what the film is.
        visit.views = [str(rng.choice(["PA", ""], p=[0.9, 0.1]))]
        visit.views += ["LL"] * (rng.random() < 0.2) + ["AP"] * (rng.random() < 0.05)


def _plan_tests(kind: str, visit: Visit, rng: np.random.Generator) -> None:
    gap = int(rng.integers(1, LONGEST_GAP + 1)) * int(rng.choice([-1, 1]))
    late = int(rng.integers(45, 90))
    if kind == "late test":
        visit.test_days = [visit.day + late]
    elif kind not in ("no test", "shared test"):
        visit.test_days = [visit.day + gap]
        if kind not in FAULTS and rng.random() < 0.1:
            visit.test_days.append(visit.day - gap)
        if kind not in FAULTS and rng.random() < 0.1:
            visit.test_days.append(visit.day + late)


def _tests(
    kind: str, patient: Patient, visits: list[Visit], rng: np.random.Generator
) -> list[dict]:
    """Rows of the spirometry table."""
    rows = []
    for visit in visits:
        for day in visit.test_days:
            severity = visit.state.severity
            if severity:
                ratio = min(0.66 - 0.25 * severity + rng.normal(0, 0.03), 0.69)
            else:
                ratio = rng.uniform(0.72, 0.85)
            capacity = rng.normal(3.4, 0.4)
            row = {
                "PatientID": patient.number,
                "TestDate": (FIRST_DAY + dt.timedelta(days=day)).isoformat(),
                "FEV1": round(ratio * capacity, 2),
                "FVC": round(capacity, 2),
                "FEV1_FVC": round(ratio, 3),
                "FEV1_PctPred": round(rng.normal(98, 8) - 55 * severity, 1),
                "Transplant": int(kind == "transplant"),
            }
            if kind == "missing ratio":
                row |= dict.fromkeys(("FEV1", "FVC", "FEV1_FVC", "FEV1_PctPred"), np.nan)
            rows.append(row)
    return rows


def _write_study(
    folder: Path, subject: Subject, patient: Patient, visit: Visit, rng: np.random.Generator
) -> Pose:
    """Write the films of a visit; return the pose of the first."""
    poses = []
    for number, view in enumerate(visit.views, start=1):
        zoom, width = {"LL": (1.0, 0.6), "AP": (1.15, 1.0)}.get(view, (1.05, 1.0))
        pose = random_pose(subject.shape, rng, zoom=zoom, width=width)
        film = subject.film(visit.state, pose)
        if view == "LL":
            # Not a lateral thorax, but like one in what counts: narrow, the lungs superimposed.
            film = (film + film[:, ::-1]) / 2
        path = write_film(
            folder,
            expose(film, rng),
            patient=patient,
            date=FIRST_DAY + dt.timedelta(days=visit.day),
            view=view,
            number=number,
            rng=rng,
        )
        if visit.truncated:
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        poses.append(pose)
    return poses[0]


def _write_truth(
    folder: Path, name: str, subject: Subject, visits: list[Visit], poses: list[Pose]
) -> None:
    """Write the fields that undo the disease alone, and everything since the first visit."""
    for visit, pose in zip(visits, poses, strict=True):
        if not visit.state.severity:
            continue
        counterparts = {"total": visits[0].state, "disease": visit.state._replace(severity=0.0)}
        for kind, counterpart in counterparts.items():
            session = film_session(visit.day - visits[0].day)
            path = true_field(folder, name, session, kind)
            path.parent.mkdir(exist_ok=True)
            nib.save(field_image(subject.displacement(visit.state, counterpart, pose)), path)


def field_image(displacement: np.ndarray) -> nib.Nifti1Image:
    """Displacement field of a film as a NIfTI vector image.

    Parameters
    ----------
    displacement
        Field (2, rows, columns), components to the right and downwards in film pixels, at every
        `FIELD_STEP`-th pixel.

    Returns
    -------
    nibabel.Nifti1Image
        Image (columns, rows, 1, 1, 2); its affine maps grid index to film pixel (column, row).
    """
    vectors = displacement.transpose(2, 1, 0)[:, :, None, None]
    image = nib.Nifti1Image(vectors, np.diag([FIELD_STEP, FIELD_STEP, 1.0, 1.0]))
    image.header.set_intent("vector")
    return image
