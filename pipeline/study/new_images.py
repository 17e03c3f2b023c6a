"""A folder of new images, explained in one go."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.cohort.scans import is_series
from pipeline.stage.errors import PLACE_ERRORS, InputError
from pipeline.stage.files import write_csv
from pipeline.stage.progress import progress
from pipeline.study.config.datasets import Dataset
from pipeline.study.new_image import MODALITIES, NewImages

log = logging.getLogger(__name__)

TABLE = "explained.csv"
INDEX = "DICOMDIR"  # of a medium: a DICOM file, but no slice


def explain_folder(
    source: Path, images: Mapping[str, str], generator: Path, destination: Path, dataset: Dataset
) -> pd.DataFrame:
    """Explain every image below a folder; one that cannot be used stops no other.

    Parameters
    ----------
    source, images
        Folder, and what `find_images` found there.
    generator, dataset
        As of `NewImages`.
    destination
        Folder written: a folder an image, as `NewImages.explain` writes it, and ``explained.csv``.

    Returns
    -------
    DataFrame
        The same table: a row an image, ``image`` and ``folder`` (relative to `source` and
        `destination`) and ``refused``, why it could not be used, ``""`` if it was.

    Raises
    ------
    InputError
        If the folder holds no image, none could be used, or the model does not suit.
    """
    if not images:
        _, wanted, _ = MODALITIES[dataset.modality]
        raise InputError(f"{source}: there is no image in this folder; give {wanted}")
    model = NewImages(generator, dataset)
    rows = []
    with progress(total=len(images), desc="explaining", unit="image") as bar:
        for image, folder in images.items():
            refused = ""
            try:
                model.explain(source / image, destination / folder)
            except (InputError, PermissionError) as error:
                refused = str(error)
                log.warning("%s", error)
            except OSError as error:
                if error.errno in PLACE_ERRORS:  # no other image would have a place either
                    raise
                refused = f"it cannot be read: {error.strerror}"
                log.warning("%s: %s", image, refused)
            except Exception as error:
                refused = f"it could not be explained: {type(error).__name__}"
                log.exception("%s: %s", image, refused)
            rows.append({"image": image, "folder": folder, "refused": refused})
            bar.update()
    table = pd.DataFrame(rows)
    write_csv(table, destination / TABLE)
    if (table["refused"] != "").all():
        raise InputError(f"no image of {source} could be explained; {destination / TABLE} says why")
    return table


def find_images(source: Path, destination: Path, modality: str) -> dict[str, str]:
    """Images below a folder, and for each the folder that is named after it, without suffixes.

    Folders are searched, too; hidden files and `destination` are left alone. Images that differ by
    their suffixes alone keep them. A folder of DICOM slices is one scan, also `source` itself,
    which is ``.``.
    """
    _, _, suffixes = MODALITIES[modality]
    found: set[Path] = set()
    for path in sorted(source.rglob("*")):
        within = path.relative_to(source)
        if (
            not path.is_file()
            or any(part.startswith(".") for part in within.parts)
            or destination.resolve() in path.resolve().parents
        ):
            continue
        if path.name.lower().endswith(suffixes):
            found.add(within)
        elif modality == "brain" and within.parent not in found and _is_slice(path):
            found.add(within.parent)
    bare = {path: _bare(path) for path in sorted(found)}
    times = Counter(bare.values())
    # Explanations of a folder's images lie below its name: a file beside it keeps its suffix.
    times.update({parent for path in found for parent in path.parents})
    named = {str(path): str(name if times[name] == 1 else path) for path, name in bare.items()}
    return named | ({".": source.resolve().name} if "." in named else {})


def _is_slice(path: Path) -> bool:
    return path.name != INDEX and is_series(path)


def _bare(path: Path) -> Path:
    if not path.name:
        return path
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return path.with_name(Path(name).stem)
