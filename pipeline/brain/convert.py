"""Before the first stage: a volume made of a DICOM series, by dcm2niix.

Headers of DICOM hold who the patient is. Their file names are not handed on, no JSON is written,
texts of the NIfTI header are emptied, and of what dcm2niix says only known lines get into the log.
"""

import gzip
import logging
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dcm2niix
import nibabel as nib

from pipeline.brain.engines import CONVERTER
from pipeline.brain.external import run_tool
from pipeline.dicom.series import find_series
from pipeline.dicom.slice_copies import copy_slices, tell_compression
from pipeline.stage.errors import ImageError
from pipeline.stage.rules import Rule

log = logging.getLogger(__name__)

NAME = "scan"  # of what dcm2niix writes; it adds letters to further volumes, and more
OPTIONS = [
    *("-g", "i"),  # no settings of the user's
    *("-b", "n"),  # no JSON
    *("-c", ""),  # no comment of the header
    *("-m", "y"),  # one volume, though echo or repetition time of its slices differ a little
    *("-x", "i"),  # neither cropped nor turned
    *("-z", "n"),
    *("-f", NAME),
]
TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")  # of a NIfTI header
# Lines of dcm2niix that quote nothing of a header but numbers.
TOLD = re.compile(
    r"Chris Rorden's dcm2niiX version|Found \d+ DICOM|Convert \d+ DICOM|Conversion required"
    r"|Warning: (Interslice distance varies|Missing images\?|Instance Number \(0020,0013\) order)"
)
RESAMPLED = re.compile("_(Eq|Tilt)")  # as it calls volumes on slices that it had to move
PHASE = re.compile("_ph")  # other additions, as of a trigger or an echo, tell of no change


def convert_series(source: Path, destination: Path) -> dict:
    """Make a volume of a DICOM series.

    Parameters
    ----------
    source
        Folder of the series, or one of its files; see `find_series`.
    destination
        ``.nii.gz``, the voxels as they are stored, in the orientation of the slices.

    Returns
    -------
    dict
        Engine, version and number of slices.

    Raises
    ------
    ImageError
        The files are no series of one volume (`find_series`), or dcm2niix did not make one of them.
    """
    files = find_series(Path(source))
    with tempfile.TemporaryDirectory(prefix="convert-") as place:
        volume = _make_volume(files, Path(place))
        _empty_texts(volume)
        with (
            volume.open("rb") as voxels,
            Path(destination).open("wb") as file,
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as compressed,
        ):
            shutil.copyfileobj(voxels, compressed)
    return {"engine": CONVERTER.title, "version": CONVERTER.probe(), "slices": len(files)}


def _make_volume(files: Sequence[Path], folder: Path) -> Path:
    """The volume that dcm2niix makes of slices, or of copies if it does not take them as they are.

    `find_series` found them to be one volume: whatever else parts them for dcm2niix is no reason.
    """
    try:
        return _run(files, folder / "slices")
    except ImageError as error:
        log.info("%s; tried once more with copies, inflated and of one study time", error)
        (folder / "copies").mkdir()
    try:
        return _run(copy_slices(files, folder / "copies"), folder / "alike")
    except ImageError as error:
        rule, told = error.exclusion["rule"], tell_compression(files[0])
        if not told or rule not in (Rule.TOOL_FAILED, Rule.EMPTY_RESULT):
            raise
        raise ImageError(rule, f"{error}; {told}") from error


def _run(files: Sequence[Path], folder: Path) -> Path:
    """The volume that dcm2niix makes of slices."""
    slices, volumes = folder / "slices", folder / "volumes"
    slices.mkdir(parents=True)
    volumes.mkdir()
    for number, file in enumerate(files, start=1):
        (slices / f"{number:05}.dcm").symlink_to(file.resolve())
    command = [dcm2niix.bin, *OPTIONS, "-o", volumes, slices]
    lines = run_tool(CONVERTER.title, command, folder=folder, private=True).splitlines()
    told = [line for line in lines if TOLD.match(line)]
    for line in told:
        log.info("%s", line)
    log.info("%d more lines are not shown: they may quote the header", len(lines) - len(told))
    made = sorted(volumes.iterdir())
    if not made:
        raise ImageError(Rule.EMPTY_RESULT, "dcm2niix made no volume of the series")
    if any(RESAMPLED.search(path.name) for path in made):
        reason = "the slices are not evenly spaced or tilted: dcm2niix had to resample them"
        raise ImageError(Rule.BAD_GEOMETRY, reason)
    if len(made) > 1:
        reason = f"dcm2niix made {len(made)} volumes of the series instead of one"
        raise ImageError(Rule.WRONG_KIND, reason)
    if PHASE.search(made[0].name):
        raise ImageError(Rule.WRONG_KIND, "an image of the phase, not of the magnitude")
    count = nib.load(made[0]).shape[2]
    if len(files) not in (1, count):
        reason = f"dcm2niix took {count} of the {len(files)} slices"
        raise ImageError(Rule.EMPTY_RESULT, reason)
    return made[0]


def _empty_texts(volume: Path) -> None:
    with volume.open("r+b") as file:
        header = nib.Nifti1Header.from_fileobj(file)
        for text in TEXTS:
            header[text] = b""
        file.seek(0)
        header.write_to(file)
