"""Damaged files for the readers of volumes, films and tables, to see what they do about them.

``python tests/helpers/fuzz.py film --minutes 10`` damages good files at random and reads them. Each
has to be read or refused by the reader's own error, within `SECONDS` and `MEMORY`. What is not is
kept in the folder that the program names.
"""

import argparse
import gzip
import io
import logging
import os
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from PIL import Image

from pipeline.brain.scan import read_scan
from pipeline.chest.prepare import prepare_film
from pipeline.cohort.bids import ingest_bids
from pipeline.cohort.plain import ingest_manifest
from pipeline.cohort.spirometry import SpirometryColumns, read_spirometry
from pipeline.dicom.film import film_format, pixel_mm, read_film, read_header
from pipeline.stage.errors import ImageError, InputError

MEMORY = 2 * 2**30  # bytes
SECONDS = 30.0  # of the processor
PNG = b"\x89PNG\r\n\x1a\n"
ORDERS = {"little": "<", "big": ">"}
NUMBERS = (0, 1, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
FLOATS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-30, 1e30)
TEXTS = [
    *(b",", b";", b"\t", b'"', b"\n", b"\r", b"\0", b"\x85", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"inf", b"-1e308", b"9" * 400, b"1_000", b"1,234", b"%", b"NA", b"\xcc\x88", b"../../x"),
    *(b"99999", b"31/12/2010", b"12/31/2010", b"01/02/2010", b"0001-01-01", b"9999-12-31"),
    b"sep=;\n",
    b"p" * 300 + b"/",
]


class Sample(NamedTuple):
    """A good file, and the calls that read it at its place."""

    name: str
    content: bytes
    place: Path
    calls: Sequence[Callable[[Path], object]]


@dataclass
class Record:
    """What came of damaged files."""

    outcomes: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def __str__(self) -> str:
        cases, read = self.outcomes.total(), self.outcomes["read"]
        return (
            f"{cases} cases: {read} read, {self.outcomes['refused']} refused, "
            f"{len(self.failures)} failures; slowest {self.slowest:.1f} s"
        )


# ---- good files ----


def volume_samples(folder: Path) -> list[Sample]:
    """NIfTI-1, NIfTI-2 and MGH, compressed or not, of several types of voxels."""
    voxels = np.random.default_rng(0).random((30, 32, 31)) * 1000
    affine = np.diag([-5.0, 5.0, 5.0, 1.0])
    samples = []
    for kind, dtype in (
        (nib.Nifti1Image, np.int16),
        (nib.Nifti1Image, np.float32),
        (nib.Nifti2Image, np.uint8),
        (nib.MGHImage, np.int16),
    ):
        image = kind((voxels / 4).astype(dtype), affine)
        for end, content in (("", image.to_bytes()), (".gz", gzip.compress(image.to_bytes(), 1))):
            name = f"{kind.__name__}-{np.dtype(dtype).name}{end}"
            samples.append(Sample(name, content, folder / "volume", [read_scan]))
    return samples


def film_samples(folder: Path) -> list[Sample]:
    """DICOM of each transfer syntax, PNG and JPEG of each mode."""
    from helpers.film_files import compress_dicom, compressed_film, make_dicom, ramp_film
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    def header(path: Path) -> None:
        if film_format(path) == "dicom":
            read_header(path)

    def prepared(path: Path) -> None:
        prepare_film(read_film(path), 24)

    place, calls = folder / "film", [header, pixel_mm, prepared]
    pixels, table = ramp_film(), Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4096, 0, 16], "US"
    table.LUTData = np.arange(4096, dtype="<u2").tobytes()
    table["LUTData"].VR = "OW"
    plain = {
        "plain": {},
        "inverted": {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "-2"},
        "padded": {"PixelPaddingValue": 200, "PixelPaddingRangeLimit": 100},
        "left": {"BitsStored": 12, "HighBit": 15, "PixelData": (pixels << 4).tobytes()},
        "table": {"ModalityLUTSequence": Items([table])},
        "spaced": {"PixelSpacing": [0.2, 0.2], "ImageType": ["DERIVED", "SECONDARY"]},
    }
    files = {name: make_dicom(place, pixels, **tags).read_bytes() for name, tags in plain.items()}
    files["no preamble"] = files["plain"][132:]
    for syntax in (
        *("JPEGBaseline8Bit", "JPEGExtended12Bit", "JPEGLosslessSV1", "JPEGLSLossless"),
        *("JPEGLSNearLossless", "JPEG2000Lossless", "JPEG2000"),
    ):
        files[syntax] = compressed_film(place, syntax).read_bytes()
    files["RLE"] = compress_dicom(make_dicom(place, pixels), place, "RLELossless").read_bytes()
    eight = Image.fromarray((pixels // 16).astype(np.uint8))
    pictures = {mode: eight.convert(mode) for mode in ("L", "RGB", "RGBA", "LA", "P", "1")}
    pictures["I;16"] = Image.fromarray(pixels)
    for mode, picture in pictures.items():
        for kind in ("PNG", "JPEG") if mode in ("L", "RGB") else ("PNG",):
            file = io.BytesIO()
            picture.save(file, kind)
            files[f"{kind} {mode}"] = file.getvalue()
    return [Sample(name, content, place, calls) for name, content in files.items()]


def table_samples(folder: Path) -> list[Sample]:
    """A table of spirometry in two spellings, a manifest, and participants of a BIDS dataset."""
    spirometry = "PatientID,TestDate,FEV1_FVC,FEV1_PctPred,Transplant\n" + "".join(
        f"00{n},2015-03-{n + 1:02d},0.{50 + n},8{n % 10},{n % 2}\n" for n in range(20)
    )
    german = spirometry.replace(",", ";").replace("0.", "0,").replace("2015-03-", "03/11/20")
    manifest = "subject,session,path,date,day,class,field_strength,score\n" + "".join(
        f"P{n},{visit},P{n}/{visit}.nii,2010-01-{n + 10},{n},{label},1.5,{n}\n"
        for n in range(5)
        for visit, label in (("a", 0), ("b", 1))
    )
    participants = "participant_id\tsite\tgroup\n" + "".join(
        f"sub-P{n}\tA\t{'AD' if n else 'MCI'}\n" for n in range(5)
    )
    images = folder / "images"
    for n in range(5):
        for path in (f"P{n}/a.nii", f"P{n}/b.nii", f"sub-P{n}/ses-a/anat/sub-P{n}_ses-a_T1w.nii"):
            (images / path).parent.mkdir(parents=True, exist_ok=True)
            (images / path).touch()
    splits = {"seed": 0, "fractions": {"train": 0.2, "validation": 0.4, "test": 0.4}}
    labels = {"column": "class", "healthy": [0], "diseased": [1]}
    groups = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}

    def tests(table: Path) -> None:
        read_spirometry(table, SpirometryColumns())

    def listed(table: Path) -> None:
        ingest_manifest(table, images, splits=splits, labels=labels)

    def people(table: Path) -> None:
        ingest_bids(table.parent, splits=splits, labels=groups)

    table, participant_table = folder / "table.csv", images / "participants.tsv"
    return [
        Sample(f"{name} {encoding}", text.encode(encoding), place, [call])
        for name, text, place, call in (
            ("spirometry", spirometry, table, tests),
            ("German spirometry", german, table, tests),
            ("manifest", manifest, table, listed),
            ("participants", participants, participant_table, people),
        )
        for encoding in ("utf-8", "utf-16", "cp1252")
    ]


# What makes the good files, and the errors that their readers declare.
READERS = {
    "volume": (volume_samples, ImageError),
    "film": (film_samples, ImageError),
    "table": (table_samples, InputError),
}


# ---- damage ----


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """The file with up to six faults, half of them near its begin, where headers are.

    Of compressed files what is compressed is damaged half of the time, so that no checksum tells.
    """
    if rng.random() < 0.5:
        if content.startswith(b"\x1f\x8b"):
            return gzip.compress(damage(gzip.decompress(content), rng), 1)
        if content.startswith(PNG):
            return _with_checksums(_damaged(content, rng))
    return _damaged(content, rng)


def _damaged(content: bytes, rng: np.random.Generator) -> bytes:
    raw = bytearray(content)
    for _ in range(rng.integers(1, 7)):
        raw = raw or bytearray(1)
        at = int(rng.integers(len(raw) if rng.random() < 0.5 else min(len(raw), 600)))
        order = list(ORDERS)[rng.integers(2)]
        match rng.integers(8):
            case 0:
                raw[at] ^= 1 << int(rng.integers(8))
            case 1:
                raw[at] = rng.integers(256)
            case 2:
                number, size = NUMBERS[rng.integers(len(NUMBERS))], 2 ** int(rng.integers(4))
                digits = (number % 256**size).to_bytes(size, order)
                raw[at : at + size] = digits
            case 3:
                value = FLOATS[rng.integers(len(FLOATS))]
                raw[at : at + 4] = struct.pack(f"{ORDERS[order]}f", value)
            case 4:
                del raw[at : at + int(rng.integers(1, 20))]
            case 5:
                raw[at:at] = raw[at : at + 60]
            case 6:
                raw[at:at] = TEXTS[rng.integers(len(TEXTS))]
            case 7:
                if rng.random() < 0.2:
                    del raw[at:]
    return bytes(raw)


def _with_checksums(png: bytes) -> bytes:
    """The chunks of a PNG, as far as they can be told apart, with checksums that are right."""
    chunks, at = [png[: len(PNG)]], len(PNG)
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4])
        body = png[at + 4 : end]
        chunks.append(png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at = end + 4
    return b"".join(chunks)


# ---- reading ----


def fuzz(reader: str, folder: Path, seed: int, more: Iterator[object]) -> Record:
    """Read damaged files, one for each of `more`; failures are kept in `folder`."""
    make, declared = READERS[reader]
    samples, rng, record = make(folder), np.random.default_rng(seed), Record()
    for number, _ in enumerate(more):
        sample = samples[rng.integers(len(samples))]
        sample.place.write_bytes(damage(sample.content, rng))
        started = _processor()
        outcome = "read"
        for call in sample.calls:
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    call(sample.place)
            except declared:
                outcome = "refused"
            except Exception:
                outcome = "failed"
                record.failures.append(f"{number} ({sample.name}): {traceback.format_exc()}")
        seconds = _processor() - started
        if seconds > SECONDS:
            outcome = "failed"
            record.failures.append(f"{number} ({sample.name}): took {seconds:.0f} s")
        if outcome == "failed":
            (folder / f"failure-{number}").write_bytes(sample.place.read_bytes())
        record.outcomes[outcome] += 1
        record.slowest = max(record.slowest, seconds)
    return record


def _processor() -> float:
    """Seconds of the processor that this process and its children took."""
    return sum(os.times()[:4])


def _until(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield


def main() -> None:
    """Fuzz a reader for a while; ends with 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{args.reader}-"))
    print(f"damaged files and failures: {folder}", flush=True)
    record = fuzz(args.reader, folder, args.seed, _until(time.monotonic() + 60 * args.minutes))
    users = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak = max(resource.getrusage(user).ru_maxrss for user in users) / 2**20
    print(*record.failures, f"{args.reader}: {record}; {peak:.2f} GiB at most", sep="\n")
    sys.exit(bool(record.failures))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # for the other helpers
    main()
