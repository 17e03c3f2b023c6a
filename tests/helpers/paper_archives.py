"""Made-up archives and lists where config/paper.yaml expects them."""

import shutil
from pathlib import Path

from helpers.made_up_adni import Archive, write_adni_archive
from helpers.made_up_copd import write_copd_archive

ROOT = Path(__file__).parents[2]
ADNI = "data/adni"
TEMPLATE = f"{ADNI}/mni_icbm152_t1_tal_nlin_asym_09a.nii"
LISTS = {
    "train": f"{ADNI}/train_rids.csv",
    "validation": f"{ADNI}/val_rids.csv",
    "test": f"{ADNI}/test_rids.csv",
}
# A subject in five of the made-up archive makes a turn: each turn has converters.
TURNS = ("train", "train", "validation", "test")


def write_paper_paths(folder: Path) -> None:
    """Make every path that config/paper.yaml names, empty but for its drop list."""
    for name in (f"{ADNI}/ADNI", f"{ADNI}/tables", "data/copd/films", "config"):
        (folder / name).mkdir(parents=True)
    for name in ("data/copd/spirometry.csv", TEMPLATE, *LISTS.values()):
        (folder / name).touch()
    shutil.copy(ROOT / "config/paper_drop.csv", folder / "config")


def write_paper_archives(folder: Path, *, subjects: int) -> Archive:
    """Make the archives of config/paper.yaml; returns what ADNI's holds.

    Parameters
    ----------
    folder
        Where the paths of the configuration begin.
    subjects
        Of ADNI, see `write_adni_archive`; the lists share them out by fives.
    """
    write_paper_paths(folder)
    made = write_adni_archive(
        folder / ADNI / "ADNI", folder / ADNI / "tables", subjects=subjects, seed=1
    )
    write_copd_archive(folder / "data/copd", single=12, paired=9)
    for split, path in LISTS.items():
        numbers = (n for n in range(subjects) if TURNS[n // 5 % len(TURNS)] == split)
        (folder / path).write_text("".join(f"{2 * n + 2}\n" for n in numbers))
    return made
