"""Damaged tables end in an `InputError` or are read, whatever they hold."""

from contextlib import suppress

import numpy as np
import pytest

from pipeline.cohort.bids import ingest_bids
from pipeline.cohort.plain import ingest_manifest
from pipeline.cohort.spirometry import SpirometryColumns, read_spirometry
from pipeline.stage.errors import InputError

SPIROMETRY = "PatientID,TestDate,FEV1_FVC,FEV1_PctPred,Transplant\n" + "".join(
    f"00{n},2015-03-{n + 1:02d},0.{50 + n},8{n % 10},{n % 2}\n" for n in range(20)
)
GERMAN = SPIROMETRY.replace(",", ";").replace("0.", "0,").replace("2015-03-", "03/11/20")
MANIFEST = "subject,session,path,date,day,class,field_strength,score\n" + "".join(
    f"P{n},{visit},P{n}/{visit}.nii,2010-01-{n + 10},{n},{label},1.5,{n}\n"
    for n in range(5)
    for visit, label in (("a", 0), ("b", 1))
)
PARTICIPANTS = "participant_id\tsite\tgroup\n" + "".join(
    f"sub-P{n}\tA\t{'AD' if n else 'MCI'}\n" for n in range(5)
)
SPLITS = {"seed": 0, "fractions": {"train": 0.2, "validation": 0.4, "test": 0.4}}
PIECES = [
    *(b",", b";", b"\t", b'"', b"\n", b"\r", b"\0", b"\x85", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"inf", b"-1e308", b"9" * 400, b"1_000", b"1,234", b"%", b"NA", b"\xcc\x88", b"../../x"),
    *(b"99999", b"31/12/2010", b"12/31/2010", b"01/02/2010", b"0001-01-01", b"9999-12-31"),
    b"sep=;\n",
    b"p" * 300 + b"/",
]


def damage(rng, text):
    raw = bytearray(text.encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "cp1252"])))
    for _ in range(rng.integers(1, 7)):
        at = int(rng.integers(len(raw)))
        match rng.integers(4):
            case 0:
                raw[at] = rng.integers(256)
            case 1:
                del raw[at : at + int(rng.integers(1, 20))]
            case 2:
                raw[at:at] = raw[at : at + 60]
            case 3:
                raw[at:at] = PIECES[rng.integers(len(PIECES))]
    return bytes(raw)


@pytest.fixture
def readers(tmp_path):
    images = tmp_path / "bids"
    for n in range(5):
        for folder in (images / f"P{n}", images / f"sub-P{n}/ses-a/anat"):
            folder.mkdir(parents=True)
        (images / f"sub-P{n}/ses-a/anat/sub-P{n}_ses-a_T1w.nii").touch()
        for visit in "ab":
            (images / f"P{n}/{visit}.nii").touch()
    labels = {"column": "class", "healthy": [0], "diseased": [1]}
    groups = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
    table, people = tmp_path / "table.csv", images / "participants.tsv"
    return [
        *((table, text, lambda: read_spirometry(table, SpirometryColumns()))
          for text in (SPIROMETRY, GERMAN)),
        (table, MANIFEST, lambda: ingest_manifest(table, images, splits=SPLITS, labels=labels)),
        (people, PARTICIPANTS, lambda: ingest_bids(images, splits=SPLITS, labels=groups)),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_tables_are_refused_or_read(readers, seed):
    rng = np.random.default_rng(seed)
    for table, text, read in readers:
        for _ in range(50):
            table.write_bytes(damage(rng, text))
            with suppress(InputError):
                read()
