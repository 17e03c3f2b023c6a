"""The smallest configuration of a study, written from a look at its data, and what it will cost."""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from pipeline.brain.convert import convert_series
from pipeline.brain.kind import check_kind, check_skull
from pipeline.brain.orient import to_canonical
from pipeline.brain.scan import read_scan
from pipeline.brain.volume import check_values
from pipeline.cohort.ingest import planned_cohort
from pipeline.cohort.manifest import Cohort
from pipeline.cohort.names import as_label
from pipeline.cohort.scans import is_series
from pipeline.cohort.sufficiency import SHARED, TrainingError
from pipeline.geometry.affine import voxel_sizes
from pipeline.method.registry import METHODS, reference_method
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.exclusions import count_rules
from pipeline.stage.files import atomic_path
from pipeline.stage.wording import number_of
from pipeline.study.cohorts import CACHE
from pipeline.study.config import parse_config
from pipeline.study.config.datasets import CohortDataset, VolumeDataset
from pipeline.study.config.origins import yaml_value
from pipeline.study.counts import split_facts, too_few
from pipeline.study.init.look import Look
from pipeline.study.plan import Plan, listed, plan_study, plan_summary

SCANS = 10  # that are looked at
REFERENCE = reference_method().name
# What it must beat: one field for everybody, fitted once.
BASELINE = next(m.name for m in METHODS.values() if m.baseline and m.deforms and not m.seeded)
# A size for a first try: that of the demonstration, whose lambdas belong to it.
SMALL: dict[str, dict[str, Any]] = {
    "brain": {
        "brain": {
            **{"voxel_mm": 4.8, "shape": [32, 40, 32]},
            "engines": {"skull": "deepbet", "skull_refine": "none"},  # a tenth of ROBEX's time
        },
        "training": {
            **{"batch_size": 2, "epochs": 3, "updates_per_epoch": 100},
            "networks": {"base_filters": 8, "critic_base_filters": 8},
            "methods": {
                REFERENCE: {
                    **{"lambda": 2, "learning_rate": 0.001, "critic_updates": 2},
                    **{"initial_critic_updates": 20, "initial_generator_updates": 1},
                    "flow_scale": 5,
                },
                BASELINE: {},
            },
        },
    },
    "chest": {
        "chest": {"resize": 72, "crop": 64},
        "training": {
            **{"batch_size": 16, "epochs": 20, "updates_per_epoch": 100},
            "networks": {
                **{"base_filters": 8, "critic_base_filters": 16},
                "critic_weights": "random",
            },
            "methods": {
                REFERENCE: {
                    **{"lambda": 0.5, "learning_rate": 0.0005, "averaging": 0.985},
                    **{"critic_updates": 1, "initial_critic_updates": 20},
                    **{"initial_generator_updates": 1, "flow_scale": 10},
                },
                BASELINE: {},
            },
        },
    },
}


def begin_study(look: Look, output: Path, folder: Path = Path()) -> str:
    """Write the smallest configuration of a study.

    Parameters
    ----------
    look
        At its archive.
    output
        YAML file written; one that is there is never replaced.
    folder
        Of the workflow, which keeps the cohort that is read here.

    Returns
    -------
    str
        For a terminal: what is there, what is missing, and what a run takes.

    Raises
    ------
    InputError
        If `output` is there, or if a run would stop: then the file is written all the same, since
        the remedy may be a key of it.
    """
    if output.exists():
        raise InputError(f"{output} is there already; remove it, or give another with --output")
    name = as_label(look.name) or "study"
    try:
        look, dataset, cohort, plan = _look_inside(look, name, folder)
    except InputError as error:
        modality = parse_config({"datasets": {name: look.section}}).datasets[name].modality
        _write(look, name, modality, [], output)
        raise InputError(f"{output} is written, but a run would stop: {error}") from None
    scans = cohort.manifest["path"] if isinstance(dataset, VolumeDataset) else ()
    facts, odd = look_at_scans(scans)
    facts = [*_facts(cohort), *facts]
    _write(look, name, dataset.modality, facts, output)
    missing = [*look.missing, *_missing(cohort, isinstance(dataset, VolumeDataset)), *odd]
    small = parse_config({"datasets": {name: look.section | SMALL[dataset.modality]}})
    a_try = plan_study(small, folder)
    return "\n".join(
        [
            *(f"{output} is written:", *listed(facts)),
            *("", "missing, or worth a look:" if missing else "nothing is missing"),
            *listed(missing),
            *("", f"what it takes (python -m pipeline plan --configfile {output} tells more):"),
            *listed(
                [
                    f"a first try, at the size of the demonstration: {plan_summary(a_try)}; for it "
                    f"remove `# ` from the last two lines of {output}",
                    f"as it is, at the size of the paper: {plan_summary(plan)}",
                    *plan.notes,
                ]
            ),
        ]
    )


def _look_inside(look: Look, name: str, folder: Path) -> tuple[Look, CohortDataset, Cohort, Plan]:
    """The data set, who is studied, and the plan of a study.

    Where no subject is left to train on, as of films where all have a pair, they are shared.
    """
    config = parse_config({"datasets": {name: look.section}})
    dataset = config.datasets[name]
    if not isinstance(dataset, CohortDataset):
        raise TypeError(f"{dataset.source}: no archive of people")
    try:
        cohort = planned_cohort(dataset.ingest_settings(), folder / CACHE)
    except InputError as error:
        if isinstance(error, TrainingError) and "splits" not in look.section:
            shared = look._replace(
                section=look.section | {"splits": {"fractions": SHARED}},
                remarks=look.remarks | {"splits": ["too few others to train on: they are shared"]},
            )
            with suppress(InputError):
                return _look_inside(shared, name, folder)
        raise InputError(f"datasets.{name}: {error}") from None
    return look, dataset, cohort, plan_study(config, folder)


def _write(look: Look, name: str, modality: str, facts: Iterable[str], output: Path) -> None:
    lines = [f"# {fact}" for fact in facts]
    lines += [
        "# What is not said here is as in the paper; all values and where they come from:",
        f"# python -m pipeline config --configfile {output}",
        *("datasets:", f"  {name}:"),
    ]
    for key, value in look.section.items():
        lines += [f"    # {remark}" for remark in look.remarks.get(key, ())]
        lines.append(f"    {key}: {yaml_value(value)}")
    lines.append(
        "    # For a first try, at the size of the demonstration, remove `# ` from both lines:"
    )
    lines += [f"    # {key}: {yaml_value(value)}" for key, value in SMALL[modality].items()]
    with atomic_path(output) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _facts(cohort: Cohort) -> Iterator[str]:
    manifest = cohort.manifest
    sessions = manifest.groupby("subject").size()
    healthy = int((manifest["label"] == 0).sum())
    images = number_of(len(manifest), "image")
    yield (
        f"{images} listed, of {number_of(len(sessions), 'subject')}, {_range(sessions)} each: "
        f"{healthy} healthy, {len(manifest) - healthy} diseased"
    )
    yield from split_facts(cohort)


def _missing(cohort: Cohort, volumes: bool) -> Iterator[str]:
    for row in count_rules(cohort.exclusions).itertuples():
        yield f"left out: {row.count} ({row.item}): {row.title}"
    unknown = int(cohort.manifest["field_strength"].isna().sum())
    if volumes and unknown:
        yield (
            f"field strength of {number_of(unknown, 'image')} (MagneticFieldStrength in the JSON "
            "of BIDS, the column field_strength of a table), so pairs may be of different scanners"
        )
    yield from too_few(cohort)


def look_at_scans(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Sizes of the voxels of a few scans, and what is odd about which.

    Parameters
    ----------
    paths
        Of all scans; `SCANS` of them, evenly spread, are read.

    Returns
    -------
    facts, odd
        Sentences.
    """
    paths = list(paths)
    places = np.linspace(0, len(paths) - 1, min(len(paths), SCANS)).round().astype(int)
    chosen = [paths[place] for place in places]
    sizes, odd = [], defaultdict[str, list[str]](list)
    for path in chosen:
        try:
            scan = _read(Path(path))
            data = np.asarray(scan.dataobj)
            check_values(data)
            check_kind(data)
            check_skull(*to_canonical(data, scan.affine))
        except ImageError as error:
            odd[f"it will be left out: {error}"].append(path)
            continue
        sizes.append(voxel_sizes(scan.affine))
    scans = number_of(len(chosen), "scan")
    sentences = [
        f"{len(found)} of the {scans} looked at, such as {found[0]}: {why}"
        for why, found in odd.items()
    ]
    if not sizes:
        return [], sentences
    by_axis = pd.DataFrame(sizes).round(2)
    told = " x ".join(_range(by_axis[axis]) for axis in by_axis)
    return [
        f"voxels of {told} mm ({len(chosen)} of {number_of(len(paths), 'scan')} looked at)"
    ], sentences


def _read(path: Path) -> nib.Nifti1Image:
    """A scan; of a DICOM series the volume that is made of it."""
    if not is_series(path):
        return read_scan(path)
    with tempfile.TemporaryDirectory(prefix="look-") as folder:
        volume = Path(folder, "scan.nii.gz")
        convert_series(path, volume)
        return read_scan(volume)


def _range(numbers: pd.Series) -> str:
    least, most = numbers.min(), numbers.max()
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
