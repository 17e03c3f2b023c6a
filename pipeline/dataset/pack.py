"""Packing: the prepared images and pairs of a data set in memory-mapped arrays.

This is the last stage that sees files of images: what later ones need of an image's place in the
raw one, they find in `pipeline.dataset.packed.Geometry`.

What the stages excluded is left out and listed, beside what the ingest excluded, in one table.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from pipeline.brain.engines_used import check_engines, volume_table
from pipeline.chest.frame import Frame
from pipeline.chest.prepare import film_to_raw
from pipeline.chest.shards import film_key, shard_of
from pipeline.cohort.copies import Image, find_copies
from pipeline.cohort.ingest import read_cohort
from pipeline.cohort.manifest import Cohort
from pipeline.cohort.sufficiency import check_cohort
from pipeline.dataset.longitudinal import of_excluded_image, pair_exclusion, pair_key
from pipeline.dataset.packed import CONTENTS, Geometry, write_array
from pipeline.geometry.affine import voxel_sizes
from pipeline.geometry.scan_space import scan_affine
from pipeline.qc.review import read_review
from pipeline.stage import layout
from pipeline.stage.content import content_hash
from pipeline.stage.exclusions import exclusion_table, read_exclusions
from pipeline.stage.files import atomic_directory, write_csv, write_parquet
from pipeline.stage.progress import progress
from pipeline.stage.rules import Told
from pipeline.stage.sidecar import read_sidecar

STAGE = "pack"
PAIR_FILES = {"difference": "float32", "mask": "bool"}


def pack_volumes(
    results: Path,
    dataset: str,
    destination: Path,
    exclusions: Path,
    volumes: Path,
    *,
    qc: Path,
    mixed_engines: bool = False,
) -> None:
    """Pack the volumes and volume pairs of a data set.

    An image that stands for several subjects is left out wherever it stands, and of a subject's
    copies of an image all but one (`find_copies`).

    Parameters
    ----------
    results
        Results folder; images, pairs and their sidecars are found by `pipeline.stage.layout`.
    dataset
        Name of the data set.
    destination
        Folder written, as `pipeline.dataset.packed` describes it. Rows are sorted by split, subject
        and session.
    exclusions
        Table written (CSV, columns `EXCLUSION_COLUMNS`): what the ingest, every stage and the
        quality control excluded.
    volumes
        Table written (Parquet, `pipeline.brain.engines_used.volume_table`): status of every volume,
        engine and version of its stages.
    qc
        Table of the quality control, whose decisions hold.
    mixed_engines
        Volumes may come from different engines.

    Raises
    ------
    InputError
        If no training image of a class, or no validation or test pair, is left; if the volumes come
        from different engines.
    """

    def image_path(subject: str, session: str) -> Path:
        return results / layout.volume(dataset, "grid", subject, session)

    def pair_path(subject: str, baseline: str, followup: str, kind: str) -> Path:
        return results / layout.pair(dataset, subject, followup, baseline, f"{kind}.nii.gz")

    def load(path: Path) -> np.ndarray:
        return np.asarray(nib.load(path).dataobj)

    def load_pair(kind: str, subject: str, baseline: str, followup: str) -> np.ndarray:
        if kind == "image":
            return load(image_path(subject, followup))
        if kind == "warning":
            sidecar = read_sidecar(pair_path(subject, baseline, followup, "difference"))
            return np.array(sidecar["steps"][-1]["warning"])
        return load(pair_path(subject, baseline, followup, kind))

    def locate(pairs: pd.DataFrame) -> Geometry:
        followups = _followups(pairs)
        affines = np.stack([nib.load(image_path(*image)).affine for image in followups])
        if not np.allclose(affines, affines[0]):
            raise ValueError(f"{dataset}: the volumes lie on different grids")
        steps = [sidecars[image]["steps"] for image in followups]
        shapes = [next(s["shape"] for s in done if "shape" in s) for done in steps]
        return Geometry(
            affine=affines[0],
            to_raw=np.stack([scan_affine(*grid) for grid in zip(affines, steps, strict=True)]),
            raw_shape=np.array(shapes),
            raw_mm=np.ones(len(followups)),
            pixel_mm=np.full(len(followups), voxel_sizes(affines[0])[0]),
        )

    cohort = read_cohort(results / dataset / "ingest")
    reviewed = read_review(qc)
    images = cohort.manifest[["subject", "session"]].itertuples(index=False, name=None)
    sidecars = {image: read_sidecar(image_path(*image)) for image in images}
    table = volume_table((*image, sidecar) for image, sidecar in sidecars.items())
    if not mixed_engines:
        check_engines(table)
    gone = {
        image: {name: sidecar[name] for name in ("stage", "rule", "reason")}
        for image, sidecar in sidecars.items()
        if sidecar["status"] == "excluded"
    }
    gone = {image: {"stage": "qc", **told} for image, told in reviewed.items()} | gone
    contents = dict(zip(sidecars, table["content"], strict=True))
    copies = find_copies(cohort.manifest, contents, gone)
    gone = {image: {"stage": STAGE, **told} for image, told in copies.items()} | gone
    rows = []

    def usable_image(subject: str, session: str) -> bool:
        image = (subject, session)
        if image in gone:
            names = {"item": "image", "subject": subject, "session": session}
            rows.append({**names, **gone[image]})
        return image not in gone

    def usable_pair(subject: str, baseline: str, followup: str) -> bool:
        status = read_sidecar(pair_path(subject, baseline, followup, "difference"))
        if status["status"] == "excluded":
            told: Told | None = Told(rule=status["rule"], reason=status["reason"])
        else:
            told = lost_image(gone, subject, baseline, followup)
        if told:
            rows.append(pair_exclusion(subject, followup, baseline, **told))
        return not told

    kept = _select(cohort, usable_image, usable_pair)
    usable = _cohort(cohort, *kept, exclusion_table(rows), dataset)
    load_images = (lambda *image: load(image_path(*image)), load_pair)
    _pack(usable, contents, *load_images, locate, destination)
    write_parquet(table, volumes)
    write_csv(usable.exclusions, exclusions)


def pack_films(
    results: Path, dataset: str, destination: Path, exclusions: Path, *, shards: int
) -> None:
    """Pack the films and film pairs of a data set.

    Parameters and errors are those of `pack_volumes`; `shards` is the number of shards that the
    films were prepared in. Training films keep the size of the preparation, pairs are cropped.
    """
    cohort = read_cohort(results / dataset / "ingest")

    def shard_path(stage: str, subject: str) -> Path:
        return results / dataset / stage / f"shard-{shard_of(subject, shards)}.npz"

    def shard_paths(stage: str, subjects: pd.Series) -> list[Path]:
        return sorted({shard_path(stage, subject) for subject in subjects})

    films = shard_paths("film", cohort.manifest["subject"])
    pairs = shard_paths("pairs", cohort.pairs["subject"])
    excluded = [read_exclusions(path.with_suffix(".csv")) for path in [*films, *pairs]]
    with ExitStack() as stack:
        archives = {path: stack.enter_context(np.load(path)) for path in [*films, *pairs]}

        def is_prepared(subject: str, session: str) -> bool:
            return film_key(subject, session) in archives[shard_path("film", subject)]

        def load_image(subject: str, session: str) -> np.ndarray:
            return archives[shard_path("film", subject)][film_key(subject, session)]

        def load_pair(kind: str, subject: str, baseline: str, followup: str) -> np.ndarray:
            key = f"{pair_key(subject, baseline, followup)}/{kind}"
            return archives[shard_path("pairs", subject)][key]

        images = list(cohort.manifest[["subject", "session"]].itertuples(index=False, name=None))
        contents = {
            image: content_hash(load_image(*image)) for image in images if is_prepared(*image)
        }
        copies = {
            image: {"stage": STAGE, **told}
            for image, told in find_copies(cohort.manifest, contents, {}).items()
        }
        rows = [
            {"item": "film", "subject": subject, "session": session, **told}
            for (subject, session), told in copies.items()
        ]

        def usable_image(subject: str, session: str) -> bool:
            return is_prepared(subject, session) and (subject, session) not in copies

        def usable_pair(subject: str, baseline: str, followup: str) -> bool:
            key = f"{pair_key(subject, baseline, followup)}/image"
            if key not in archives[shard_path("pairs", subject)]:
                return False
            told = lost_image(copies, subject, baseline, followup)
            if told:
                rows.append(pair_exclusion(subject, followup, baseline, **told))
            return not told

        def raw(subject: str, session: str, what: str) -> np.ndarray:
            return archives[shard_path("film", subject)][f"{film_key(subject, session)}/{what}"]

        def locate(pairs: pd.DataFrame) -> Geometry:
            followups = _followups(pairs)
            shapes = np.stack([raw(*film, "raw_shape") for film in followups])
            mm = np.stack([raw(*film, "raw_mm") for film in followups])
            frames = [Frame(*raw(*film, "frame_px")) for film in followups]
            first = pairs.iloc[0]
            resize = len(load_image(first["subject"], first["followup"]))
            crop = len(load_pair("image", first["subject"], first["baseline"], first["followup"]))
            framed = list(zip(shapes, frames, strict=True))
            sides = [min(frame.shape_inside(shape)) for shape, frame in framed]
            return Geometry(
                affine=np.eye(3),
                to_raw=np.stack([film_to_raw(*film, resize, crop) for film in framed]),
                raw_shape=shapes,
                raw_mm=mm,
                pixel_mm=mm * sides / resize,
            )

        kept = _select(cohort, usable_image, usable_pair)
        excluded = pd.concat([*excluded, exclusion_table(rows)], ignore_index=True)
        usable = _cohort(cohort, *kept, excluded, dataset)
        _pack(usable, contents, load_image, load_pair, locate, destination)
    write_csv(usable.exclusions, exclusions)


def lost_image(
    gone: Mapping[Image, dict[str, str]], subject: str, baseline: str, followup: str
) -> Told | None:
    """Rule and reason for a pair of which an image was left out; None if both are there."""
    for name, session in (("baseline", baseline), ("follow-up", followup)):
        told = gone.get((subject, session))
        if told:
            return of_excluded_image(name, told["stage"], told["reason"])
    return None


def _followups(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    """Subject and session of the diseased image of each pair."""
    return list(pairs[["subject", "followup"]].itertuples(index=False, name=None))


def _select(
    cohort: Cohort,
    usable_image: Callable[[str, str], bool],
    usable_pair: Callable[[str, str, str], bool],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the manifest and of the pairs that came through every stage."""
    images = [usable_image(i.subject, i.session) for i in cohort.manifest.itertuples()]
    pairs = [usable_pair(p.subject, p.baseline, p.followup) for p in cohort.pairs.itertuples()]
    return cohort.manifest[images], cohort.pairs[pairs]


def _cohort(
    cohort: Cohort, manifest: pd.DataFrame, pairs: pd.DataFrame, excluded: pd.DataFrame, name: str
) -> Cohort:
    """What is left of a cohort, and all that is not; checks that it is enough."""
    missing = len(cohort.manifest) + len(cohort.pairs) - len(manifest) - len(pairs)
    if missing != len(excluded):
        raise ValueError(f"{name}: {missing} images and pairs are missing, {len(excluded)} listed")
    exclusions = pd.concat([cohort.exclusions, excluded], ignore_index=True)
    left = Cohort(manifest=manifest, exclusions=exclusions, pairs=pairs)
    check_cohort(left, name)
    return left


def _pack(
    cohort: Cohort,
    contents: Mapping[Image, str],
    load_image: Callable[[str, str], np.ndarray],
    load_pair: Callable[[str, str, str, str], np.ndarray],
    locate: Callable[[pd.DataFrame], Geometry],
    destination: Path,
) -> None:
    """Write the packed folder; one image is in memory at a time."""
    manifest = cohort.manifest
    train = manifest[manifest["split"] == "train"].sort_values(
        ["subject", "session"], ignore_index=True
    )
    pairs = cohort.pairs.sort_values(
        ["split", "subject", "followup", "baseline"], ignore_index=True
    )
    columns = ["subject", "baseline", "followup"]
    names = pairs[columns].itertuples(index=False, name=None)
    pairs = pairs.assign(warning=[str(load_pair("warning", *pair)) for pair in names])
    total = len(train) + len(pairs) * (1 + len(PAIR_FILES))
    with (
        atomic_directory(destination) as folder,
        progress(total=total, desc="packing", unit="image") as bar,
    ):

        def images(
            rows: pd.DataFrame, columns: list[str], load: Callable[..., np.ndarray]
        ) -> Iterator[np.ndarray]:
            for row in rows[columns].itertuples(index=False):
                yield load(*row)
                bar.update()

        write_array(
            folder / "train.npy",
            images(train, ["subject", "session"], load_image),
            len(train),
            "float32",
        )
        for kind, dtype in {"image": "float32", **PAIR_FILES}.items():
            write_array(
                folder / f"pairs_{kind}.npy",
                images(pairs, columns, partial(load_pair, kind)),
                len(pairs),
                dtype,
            )
        locate(pairs).write(folder)
        known = manifest[["subject", "session"]]
        hashes = [contents.get(image, "") for image in known.itertuples(index=False, name=None)]
        known.assign(content=hashes).to_parquet(folder / CONTENTS, index=False)
        for rows, kept, name in (
            (train, ["row", "subject", "session", "label"], "train"),
            (pairs, ["row", "subject", "split", "baseline", "followup", "warning"], "pairs"),
        ):
            rows.rename_axis("row").reset_index()[kept].to_parquet(
                folder / f"{name}.parquet", index=False
            )
