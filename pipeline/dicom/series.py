"""Series of DICOM slices: which files of a folder are one volume of MRI.

Nothing of a header gets into a message: the reasons raised here end up in tables and logs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from pipeline.dicom.attributes import SLICE
from pipeline.dicom.quiet import (
    DICOM_PREFIX,
    PREAMBLE,
    pass_on_system_error,
    quiet_pydicom,
)
from pipeline.stage.content import NOT_HERE
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule, Told

log = logging.getLogger(__name__)

IMAGES = (MRImageStorage, EnhancedMRImageStorage)  # kinds of files
SUFFIXES = (".dcm", ".ima")  # how files of slices are named, if they are
SAME_AXES = 1e-3  # by which direction cosines of one volume may differ
SAME_PLACE_MM = 0.01
# Of the distance of slices, its median: what differs by more is uneven, from here on a slice lacks.
UNEVEN, GAP = 0.05, 1.5
LARGEST_TILT = 0.01  # a cosine; as of the axes of any scan
FEW = 10  # files
SAME_ECHO = 0.1  # relative, by which the times of one echo may differ; a second is far later
AXES, POSITION = "ImageOrientationPatient", "ImagePositionPatient"
# What is no scan at all is passed over beside one that is; what is damaged may be the one.
NO_SCAN = (Rule.WRONG_KIND, Rule.OTHER_SERIES)


@dataclass(frozen=True)
class _Slice:
    """A file or a frame of one, and its header's ``axes`` and ``position`` (LPS mm) or ()."""

    file: Path
    series: str
    fault: Told | None  # that needs no other slice
    size: tuple[int, int]
    derived: bool  # from other images
    echo_ms: float | None
    axes: tuple[float, ...]
    position: tuple[float, ...]

    @property
    def is_placed(self) -> bool:
        """Whether the header tells where it lies."""
        told = len(self.axes) == 6 and len(self.position) == 3
        return told and bool(np.isfinite([*self.axes, *self.position]).all())


def find_series(path: Path) -> list[Path]:
    """The slices of one volume of MRI.

    Parameters
    ----------
    path
        Folder of DICOM files, those of folders below it do not count; or one of them, which names
        its series. Localizers, several volumes in one series and all that is not MRI are passed
        over if a folder holds one other series; so are images derived from others, if it holds
        originals.

    Returns
    -------
    list of Path
        In the order in which they lie; a single one that holds all slices of the volume.

    Raises
    ------
    ImageError
        There is no such series, there are several, slices are damaged, missing or misplaced, or a
        file of the folder cannot be read: it may be one of them.
    OSError
        A file cannot be opened.
    """
    # A file of many slices lacks none, whatever damaged files lie beside it.
    complete = not path.is_dir() and len(_read(path) or ()) > 1
    series: dict[str, list[_Slice]] = {}
    for one in _read_all(_files(path if path.is_dir() else path.parent), strict=not complete):
        series.setdefault(one.series, []).append(one)
    if not path.is_dir():
        series = {uid: held for uid, held in series.items() if path in [one.file for one in held]}
    if not series:
        raise ImageError(Rule.NO_FILE, "there is no DICOM image")
    faults = {uid: _fault(found) for uid, found in series.items()}
    scans = [uid for uid, fault in faults.items() if not fault or fault["rule"] not in NO_SCAN]
    scans = [uid for uid in scans if not any(one.derived for one in series[uid])] or scans
    if len(scans) > 1:
        raise ImageError(
            Rule.SEVERAL_SERIES,
            f"the folder holds {len(scans)} series that may be the scan; name one by a file of it",
        )
    uid = scans[0] if scans else next(iter(series))
    fault = faults[uid]
    if fault and len(series) > 1 and not scans:
        reasons = dict.fromkeys(told["reason"] for told in faults.values() if told)
        reason = f"none of the {len(series)} series in the folder is a scan: {'; '.join(reasons)}"
        raise ImageError(fault["rule"], reason)
    if fault:
        raise ImageError(**fault)
    return [*dict.fromkeys(one.file for one in _in_order(series[uid]))]


def check_series(path: Path, *, originals: bool = False) -> None:
    """Look at a series as an ingest does: at the slice that names it, or at three of a folder.

    Only where those three are no slices of one scan the others are read, too; what is damaged or
    missing elsewhere `find_series` tells when the volume is made.

    Parameters
    ----------
    path
        As of `find_series`.
    originals
        Refuse a series that is derived from other images; the user named it where this is not set.

    Raises
    ------
    ImageError, OSError
        As of `find_series`.
    """
    read = [_read(file) for file in (_sample(_files(path)) if path.is_dir() else [path])]
    seen = [one for found in read for one in found or ()]
    alike = {(one.series, one.size, tuple(np.round(one.axes, 2))) for one in seen}
    if None in read or (path.is_dir() and (len(alike) != 1 or any(one.fault for one in seen))):
        find_series(path)
    elif not seen:
        raise ImageError(Rule.WRONG_KIND, "not a DICOM image")
    elif seen[0].fault:
        raise ImageError(**seen[0].fault)
    if originals and any(one.derived for one in seen):
        raise ImageError(Rule.OTHER_SERIES, "derived from other images, no original")


def _sample(files: Sequence[Path]) -> list[Path]:
    """The first, the middle and the last; none of a few, as an unmarked localizer has them."""
    return [files[0], files[len(files) // 2], files[-1]] if len(files) > FEW else []


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if any(path.is_symlink() and not path.exists() for path in files):
        raise ImageError(Rule.NO_FILE, f"a link: {NOT_HERE}")
    return [path for path in files if path.is_file()]


def _read_all(files: Sequence[Path], *, strict: bool) -> list[_Slice]:
    """The slices of all files; `ImageError` where one of them cannot be read, if `strict`."""
    read = [_read(file) for file in files]
    lost = [number for number, found in enumerate(read, start=1) if found is None]
    if lost and strict:
        # Their names may tell of the patient.
        told = (f"{number} ({files[number - 1].stat().st_size} bytes)" for number in lost)
        log.warning("unreadable of the %d files by name: number %s", len(files), ", ".join(told))
        count = sum(found != [] for found in read)
        reason = f"{len(lost)} of {count} DICOM files cannot be read; copy the series again"
        raise ImageError(Rule.UNREADABLE, reason)
    return [one for found in read for one in found or ()]


def _read(file: Path) -> list[_Slice] | None:
    """The slices of a file by its header, whose pixels are not read.

    None are in a file that is no image; ``None`` if it is one that cannot be read.
    """
    with file.open("rb") as stream, quiet_pydicom():
        start = stream.read(PREAMBLE + len(DICOM_PREFIX))
        if start[PREAMBLE:] != DICOM_PREFIX:
            return None if _was_dicom(file, start) else []
        stream.seek(0)
        try:
            header = dcmread(stream, stop_before_pixels=True, specific_tags=SLICE)
            if not header.get("Rows"):
                kind = header.file_meta.get("MediaStorageSOPClassUID")
                return None if kind is None or kind in IMAGES else []
            series = str(header.get("SeriesInstanceUID") or "")
            fault = _fault_of_header(header, file.stat().st_size - stream.tell())
            size = int(header.Rows), int(header.Columns)
            derived = "DERIVED" in str(header.get("ImageType")).upper()
            echo = float(header.get("EchoTime") or 0) or None
            placed = partial(_Slice, file, series, fault, size, derived, echo)
            return [placed(*place) for place in _places(header)]
        except Exception as error:  # a malformed header can make pydicom raise nearly anything
            pass_on_system_error(error)
            return None


def _was_dicom(file: Path, start: bytes) -> bool:
    """Whether a file that does not begin as DICOM is called so, or lost what it held.

    Slices are often called by numbers; then only what is empty is no longer one.
    """
    suffix = file.suffix.lower()
    return suffix in SUFFIXES or (not start.strip(b"\0") and not suffix.strip(".0123456789"))


def _places(header: FileDataset) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Axes and position of the slice, or of each frame by its functional groups (PS3.3, C.7.6.16).

    Without such groups nothing tells where several frames lie.
    """
    frames = int(header.get("NumberOfFrames") or 1)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        axes, position = (_numbers(header, keyword) for keyword in (AXES, POSITION))
        return [(axes, position if frames == 1 else ())] * frames
    if len(groups) != frames:
        raise ValueError("as many groups as frames")
    shared = [*header.get("SharedFunctionalGroupsSequence", ())]
    return [
        (
            _of_groups([frame, *shared], "PlaneOrientationSequence", AXES),
            _of_groups([frame, *shared], "PlanePositionSequence", POSITION),
        )
        for frame in groups
    ]


def _of_groups(groups: Sequence[Dataset], group: str, keyword: str) -> tuple[float, ...]:
    """Numbers of the first of some functional groups that tells them."""
    told = (
        numbers
        for held in groups
        for item in held.get(group, ())
        if (numbers := _numbers(item, keyword))
    )
    return next(told, ())


def _numbers(header: Dataset, keyword: str) -> tuple[float, ...]:
    return tuple(float(number) for number in header.get(keyword) or ())


def _fault_of_header(header: FileDataset, bytes_left: int) -> Told | None:
    if header.get("Modality") != "MR":
        return Told(rule=Rule.WRONG_KIND, reason="not MRI by the modality of its header")
    if "LOCALIZER" in str(header.get("ImageType")).upper():
        return Told(rule=Rule.OTHER_SERIES, reason="a localizer")
    samples = int(header.get("SamplesPerPixel") or 1)
    if samples != 1:
        return Told(rule=Rule.WRONG_KIND, reason="the voxels are colours, not grey values")
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_compressed or syntax.is_deflated:
        return None
    pixels = int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames") or 1)
    if bytes_left < pixels * int(header.BitsAllocated) // 8:
        return Told(rule=Rule.UNREADABLE, reason="a slice is cut off in the middle; copy it again")
    return None


def _fault(slices: Sequence[_Slice]) -> Told | None:
    """Why the files of one series are not one volume, if they are not."""
    fault = next((one.fault for one in slices if one.fault), None)
    if fault:
        return fault
    files = len({one.file for one in slices})
    if 1 < files < len(slices):
        reason = f"several volumes: {files} files of many slices each"
        return Told(rule=Rule.WRONG_KIND, reason=reason)
    if len(slices) == 1:
        return Told(rule=Rule.OTHER_SERIES, reason="a single slice, no volume")
    if len({one.size for one in slices}) > 1:
        return Told(rule=Rule.WRONG_KIND, reason="the slices are of several sizes")
    if not all(one.is_placed for one in slices):
        return Told(rule=Rule.BAD_GEOMETRY, reason="a slice does not tell where it lies")
    echoes = _echoes(slices)
    if len(echoes) > 1:
        reason = f"{len(echoes)} echoes ({', '.join(echoes)} ms); give one of them"
        return Told(rule=Rule.WRONG_KIND, reason=reason)
    axes = np.array([one.axes for one in slices])
    if np.ptp(axes, axis=0).max() > SAME_AXES:
        reason = "the slices lie in several directions, as those of a localizer"
        return Told(rule=Rule.OTHER_SERIES, reason=reason)
    return _misplaced(*_along_normal(slices))


def _echoes(slices: Sequence[_Slice]) -> list[str]:
    """Echo times in ms, the shortest of each echo; none where headers tell none."""
    found: list[float] = []
    for echo in sorted({one.echo_ms for one in slices if one.echo_ms}):
        if not found or echo > found[-1] * (1 + SAME_ECHO):
            found.append(echo)
    return [f"{echo:g}" for echo in found]


def _along_normal(slices: Sequence[_Slice]) -> tuple[np.ndarray, np.ndarray]:
    """Places along the slices' normal, and sideways from the first slice; mm."""
    normal = np.cross(slices[0].axes[:3], slices[0].axes[3:])
    positions = np.array([one.position for one in slices])
    places = positions @ normal
    offsets = positions - positions[0] - np.outer(places - places[0], normal)
    return places, np.linalg.norm(offsets, axis=1)


def _misplaced(places: np.ndarray, sideways: np.ndarray) -> Told | None:
    """What is wrong with the places of slices."""
    steps = np.diff(np.sort(places))
    distinct = 1 + int(np.sum(steps > SAME_PLACE_MM))
    if distinct < len(places):
        told = f"{len(places)} slices at {distinct} places"
        if len(places) % distinct:
            reason = f"{told}: some are there twice, or others are missing"
            return Told(rule=Rule.BAD_GEOMETRY, reason=reason)
        return Told(rule=Rule.WRONG_KIND, reason=f"{told}: several volumes; give one of them")
    usual = np.median(steps)
    if steps.max() > GAP * usual:
        missing = int(np.sum(np.round(steps / usual) - 1))
        reason = f"slices are missing: {missing} of {len(places) + missing}"
        return Told(rule=Rule.BAD_GEOMETRY, reason=reason)
    if np.abs(steps - usual).max() > UNEVEN * usual:
        return Told(rule=Rule.BAD_GEOMETRY, reason="the slices are not evenly spaced")
    if sideways.max() > LARGEST_TILT * np.ptp(places):
        return Told(rule=Rule.BAD_GEOMETRY, reason="each slice is displaced sideways (a tilt)")
    return None


def _in_order(slices: Sequence[_Slice]) -> list[_Slice]:
    if len(slices) == 1:
        return [*slices]
    places, _ = _along_normal(slices)
    return [slices[number] for number in np.argsort(places)]
