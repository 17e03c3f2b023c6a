"""Packing leaves out what failed, says so, and repeats."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from pipeline.chest.frame import Frame
from pipeline.chest.prepare import film_to_raw
from pipeline.chest.shards import film_key, shard_of
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.manifest import Cohort, as_manifest
from pipeline.dataset.longitudinal import pair_exclusion, pair_key
from pipeline.dataset.pack import pack_films, pack_volumes
from pipeline.dataset.packed import ARRAYS, GEOMETRY, PackedDataset
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import EXCLUSION_COLUMNS, exclusion_table
from pipeline.stage.files import write_csv, write_json
from pipeline.stage.rules import Rule
from pipeline.stage.sidecar import exclude_image, read_sidecar, sidecar_path, write_sidecar

SHAPE = (4, 6, 5)
GRID = np.array([[-2.0, 0, 0, 7], [0, 2, 0, -9], [0, 0, 2, 3], [0, 0, 0, 1]])
SHARDS = 3
FRAMES = {"s2": Frame(left=3, top=2, right=1, bottom=5)}
DARK = {"rule": Rule.NO_CONTENT, "reason": "dark"}
FAILED = {"rule": Rule.NOT_REGISTERED, "reason": "registration: failed"}
EMPTY = {"rule": Rule.BAD_BRAIN, "reason": "an empty brain", "steps": []}
DOUBT = "less alike after the registration than before"
NO_HEAD = {"rule": Rule.TOOL_FAILED, "reason": "no head", "steps": []}
GONE = {"rule": Rule.IMAGE_EXCLUDED, "reason": "baseline excluded", "steps": []}


def cohort() -> Cohort:
    """Training subjects t1 to t4; one subject with a pair for validation, two for test."""
    images = [(f"t{n}", "bl", n % 2, "train") for n in (4, 3, 2, 1)]
    pairs = [("v1", "validation"), ("s1", "test"), ("s2", "test")]
    for subject, split in pairs:
        images += [(subject, "bl", 0, split), (subject, "m12", 1, split)]
    manifest = pd.DataFrame(images, columns=["subject", "session", "label", "split"]).assign(
        diagnosis="", score=np.nan, field_strength=1.5, site="", day=0, date="", path=""
    )
    rows = [(subject, split, "bl", "m12") for subject, split in pairs]
    pairs = pd.DataFrame(rows, columns=["subject", "split", "baseline", "followup"])
    lost = {
        "stage": "ingest",
        "item": "exam",
        "subject": "x1",
        "rule": Rule.NO_DATE,
        "reason": "no date",
    }
    return Cohort(as_manifest(manifest), exclusion_table([lost]), pairs)


def number(subject: str, session: str) -> float:
    """Value that an image is filled with, so that it is known again."""
    return float(int(subject[1:]) + 10 * "tvs".index(subject[0]) + 100 * (session == "m12"))


def to_scan(value: float) -> np.ndarray:
    """Template mm to the mm of the scan that has this number."""
    matrix = np.diag([1.1, 1.1, 1.1, 1])
    matrix[:3, 3] = value
    return matrix


def save(value, path, dtype=np.float32, affine=GRID):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.full(SHAPE, value, dtype), affine), path)
    orient = {"stage": "orient", "shape": [100 + int(value), 90, 80]}
    template = {"stage": "template", "matrix": to_scan(value).tolist()}
    engine = {"engine": "tool", "version": "1"}
    write_sidecar(path, "", [orient | engine, template | engine])


@pytest.fixture
def volumes(tmp_path):
    """Results folder with the volumes and pairs of `cohort`."""
    who = cohort()
    write_cohort(who, tmp_path / "adni" / "ingest")
    for image in who.manifest.itertuples():
        name = (image.subject, image.session)
        save(number(*name), tmp_path / layout.volume("adni", "grid", *name))
    for pair in who.pairs.itertuples():
        for kind, value, dtype in (("difference", -0.5, np.float32), ("mask", 1, np.uint8)):
            save(value, pair_path(tmp_path, pair.subject, kind), dtype)
        registration = {"stage": "pairs", "warning": DOUBT if pair.subject == "s2" else ""}
        write_sidecar(pair_path(tmp_path, pair.subject, "difference"), "pairs", [registration])
    return tmp_path


def pack(results, name="packed", reviewed=(), **settings):
    """Pack the volumes; `reviewed` are the volumes that the quality control excluded."""
    rows = [(*volume, "excluded", "dropped", "on the drop list") for volume in reviewed]
    columns = ["subject", "session", "decision", "rule", "reason"]
    rows.append(("t1", "bl", "suspect", "", ""))  # suspects are used
    write_csv(pd.DataFrame(rows, columns=columns), results / "qc.csv")
    exclusions = results / f"{name}.csv"
    files = (results / name, exclusions, results / "volumes.parquet")
    pack_volumes(results, "adni", *files, qc=results / "qc.csv", **settings)
    return pd.read_csv(exclusions, dtype=str, keep_default_na=False)


def volume_path(results, subject, session):
    return results / layout.volume("adni", "grid", subject, session)


def pair_path(results, subject, kind):
    return results / layout.pair("adni", subject, "m12", "bl", f"{kind}.nii.gz")


@pytest.fixture
def films(tmp_path):
    """Results folder with the films and film pairs of `cohort`, t3 and the pair of s1 failed."""
    who = cohort()
    write_cohort(who, tmp_path / "copd" / "ingest")
    shards = {n: ({}, [], {}, []) for n in range(SHARDS)}
    for image in who.manifest.itertuples():
        ready, failed, _, _ = shards[shard_of(image.subject, SHARDS)]
        name = (image.subject, image.session)
        if image.subject == "t3":
            row = dict(zip(("subject", "session"), name, strict=True))
            failed.append({"stage": "film", "item": "film", **DARK, **row})
        else:
            key = film_key(*name)
            ready[key] = np.full((8, 8), number(*name), np.float32)
            ready[f"{key}/raw_shape"] = (20 + int(number(*name)), 40)
            ready[f"{key}/raw_mm"] = np.nan if image.subject == "v1" else 0.5
            ready[f"{key}/frame_px"] = FRAMES.get(image.subject, Frame())
    for pair in who.pairs.itertuples():
        _, _, ready, failed = shards[shard_of(pair.subject, SHARDS)]
        if pair.subject == "s1":
            failed.append(pair_exclusion("s1", "m12", "bl", **FAILED))
            continue
        for kind, dtype in (("image", np.float32), ("difference", np.float32), ("mask", bool)):
            ready[f"{pair_key(pair.subject, 'bl', 'm12')}/{kind}"] = np.ones((6, 6), dtype)
        doubt = DOUBT if pair.subject == "v1" else ""
        ready[f"{pair_key(pair.subject, 'bl', 'm12')}/warning"] = np.array(doubt)
    for shard, (images, bad_images, pairs, bad_pairs) in shards.items():
        for stage, arrays, bad in (("film", images, bad_images), ("pairs", pairs, bad_pairs)):
            path = tmp_path / "copd" / stage / f"shard-{shard}.npz"
            path.parent.mkdir(exist_ok=True)
            np.savez(path, **arrays)
            write_csv(exclusion_table(bad), path.with_suffix(".csv"))
    return tmp_path


def test_volumes_are_packed_in_order(volumes):
    pack(volumes)
    packed = PackedDataset.open(volumes / "packed")
    assert packed.train.shape == (4, *SHAPE)
    assert packed.train[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert packed.train_index.to_dict("list") == {
        "row": [0, 1, 2, 3],
        "subject": ["t1", "t2", "t3", "t4"],
        "session": ["bl"] * 4,
        "label": [1, 0, 1, 0],
    }
    # x1 of a pair is the follow-up.
    assert packed.pairs_image[:, 0, 0, 0].tolist() == [121, 122, 111]
    assert (packed.pairs_difference == -0.5).all()
    assert packed.pairs_mask.dtype == bool
    assert packed.pairs_mask.all()
    assert packed.pairs_index.to_dict("list") == {
        "row": [0, 1, 2],
        "subject": ["s1", "s2", "v1"],
        "split": ["test", "test", "validation"],
        "baseline": ["bl"] * 3,
        "followup": ["m12"] * 3,
        "warning": ["", DOUBT, ""],
    }


def test_geometry_of_volumes_is_packed(volumes):
    pack(volumes)
    packed = PackedDataset.open(volumes / "packed")
    where = packed.geometry
    np.testing.assert_array_equal(where.affine, GRID)
    numbers = [121, 122, 111]  # of the follow-ups, in the order of the pairs
    for matrix, value in zip(where.to_raw, numbers, strict=True):
        np.testing.assert_allclose(matrix, to_scan(value) @ GRID)
    assert where.raw_shape.tolist() == [[100 + value, 90, 80] for value in numbers]
    assert where.raw_mm.tolist() == [1, 1, 1]
    assert where.pixel_mm.tolist() == [2, 2, 2]


def test_volumes_on_different_grids_are_refused(volumes):
    save(number("s2", "m12"), volume_path(volumes, "s2", "m12"), affine=np.eye(4))
    with pytest.raises(ValueError, match="adni: the volumes lie on different grids"):
        pack(volumes)


def test_volumes_from_different_engines_are_refused_unless_allowed(volumes):
    path = sidecar_path(volume_path(volumes, "t3", "bl"))
    step = {"stage": "crop", "engine": "niimath -robustfov", "version": "1.0"}
    write_json({"status": "ok", "stage": "grid", "steps": [step]}, path)
    with pytest.raises(InputError, match="volumes come from different engines"):
        pack(volumes)
    assert not (volumes / "packed").exists()
    pack(volumes, mixed_engines=True)
    table = pd.read_parquet(volumes / "volumes.parquet")
    assert len(table) == len(cohort().manifest)
    assert table.set_index("subject").loc["t3", "crop_engine"] == "niimath -robustfov"


def test_packing_twice_gives_the_same_bytes(volumes):
    for name in ("first", "second"):
        pack(volumes, name)
    arrays = [f"{array}.npy" for array in ARRAYS]
    for name in [*arrays, "train.parquet", "pairs.parquet", GEOMETRY]:
        assert (volumes / "first" / name).read_bytes() == (volumes / "second" / name).read_bytes()


def test_excluded_volumes_and_pairs_are_left_out_and_listed(volumes):
    exclude_image(volume_path(volumes, "t3", "bl"), "skull", **EMPTY)
    exclude_image(volume_path(volumes, "s1", "bl"), "crop", **NO_HEAD)
    exclude_image(pair_path(volumes, "s1", "difference"), "pairs", **GONE)
    table = pack(volumes)
    packed = PackedDataset.open(volumes / "packed")
    assert packed.train_index["subject"].tolist() == ["t1", "t2", "t4"]
    assert packed.pairs_index["subject"].tolist() == ["s2", "v1"]
    assert list(table.columns) == EXCLUSION_COLUMNS
    assert table.drop(columns="source").to_numpy().tolist() == [
        ["ingest", "exam", "x1", "", "", "no_date", "no date"],
        ["crop", "image", "s1", "bl", "", "tool_failed", "no head"],
        ["skull", "image", "t3", "bl", "", "bad_brain", "an empty brain"],
        ["pairs", "pair", "s1", "m12", "bl", "image_excluded", "baseline excluded"],
    ]


def test_volumes_that_quality_control_excludes_are_left_out_with_their_pairs(volumes):
    # What a stage excluded keeps the stage's reason.
    exclude_image(volume_path(volumes, "t3", "bl"), "skull", **EMPTY)
    table = pack(volumes, reviewed=[("t3", "bl"), ("t2", "bl"), ("s1", "bl")])
    packed = PackedDataset.open(volumes / "packed")
    assert packed.train_index["subject"].tolist() == ["t1", "t4"]
    assert packed.pairs_index["subject"].tolist() == ["s2", "v1"]
    assert table.drop(columns="source").to_numpy().tolist() == [
        ["ingest", "exam", "x1", "", "", "no_date", "no date"],
        ["qc", "image", "s1", "bl", "", "dropped", "on the drop list"],
        ["qc", "image", "t2", "bl", "", "dropped", "on the drop list"],
        ["skull", "image", "t3", "bl", "", "bad_brain", "an empty brain"],
        [
            *("pairs", "pair", "s1", "m12", "bl", "image_excluded"),
            "baseline excluded (qc): on the drop list",
        ],
    ]


def test_films_are_packed(films):
    packed_path, exclusions = films / "copd" / "packed", films / "copd" / "exclusions.csv"
    pack_films(films, "copd", packed_path, exclusions, shards=SHARDS)
    packed = PackedDataset.open(packed_path)
    assert packed.train.shape == (3, 8, 8)
    assert packed.train[:, 0, 0].tolist() == [1, 2, 4]
    assert packed.pairs_image.shape == packed.pairs_mask.shape == (2, 6, 6)
    assert packed.pairs_index["subject"].tolist() == ["s2", "v1"]
    assert packed.pairs_index["warning"].tolist() == ["", DOUBT]
    table = pd.read_csv(exclusions, dtype=str, keep_default_na=False)
    assert table[["stage", "subject", "baseline", "rule", "reason"]].to_numpy().tolist() == [
        ["ingest", "x1", "", "no_date", "no date"],
        ["film", "t3", "", "no_content", "dark"],
        ["pairs", "s1", "bl", "not_registered", "registration: failed"],
    ]


def test_geometry_of_films_is_packed(films):
    packed_path = films / "copd" / "packed"
    pack_films(films, "copd", packed_path, films / "copd" / "exclusions.csv", shards=SHARDS)
    where = PackedDataset.open(packed_path).geometry
    np.testing.assert_array_equal(where.affine, np.eye(3))
    shapes = [(20 + 122, 40), (20 + 111, 40)]  # of s2 and v1
    assert where.raw_shape.tolist() == [list(shape) for shape in shapes]
    for matrix, shape, frame in zip(where.to_raw, shapes, (FRAMES["s2"], Frame()), strict=True):
        np.testing.assert_array_equal(matrix, film_to_raw(shape, frame, resize=8, crop=6))
    np.testing.assert_equal(where.raw_mm, [0.5, np.nan])
    np.testing.assert_equal(where.pixel_mm, [0.5 * (40 - 4) / 8, np.nan])


def test_nothing_left_to_train_on_is_an_error(volumes):
    for subject in ("t1", "t3"):
        exclude_image(volume_path(volumes, subject, "bl"), "skull", **EMPTY)
    with pytest.raises(InputError, match="class 1") as caught:
        pack(volumes)
    assert "What was found is no brain" in str(caught.value)
    assert not (volumes / "packed").exists()


def test_no_pair_left_is_an_error(volumes):
    exclude_image(pair_path(volumes, "v1", "difference"), "pairs", **FAILED, steps=[])
    with pytest.raises(InputError, match="no validation pair") as caught:
        pack(volumes)
    assert "The registration failed" in str(caught.value)


def test_film_that_vanished_without_a_reason_is_an_error(films):
    path = films / "copd" / "film" / f"shard-{shard_of('t3', SHARDS)}.csv"
    write_csv(exclusion_table([]), path)
    with pytest.raises(ValueError, match="2 images and pairs are missing, 1 listed"):
        pack_films(films, "copd", films / "packed", films / "exclusions.csv", shards=SHARDS)


def show(results, content, *images):
    """Let raw volumes have the same voxels."""
    for subject, session in images:
        path = volume_path(results, subject, session)
        orient, *others = read_sidecar(path)["steps"]
        write_sidecar(path, "grid", [orient | {"content": content}, *others])


def test_training_and_test_never_share_a_volume(volumes):
    show(volumes, "x", ("t1", "bl"), ("s2", "m12"), ("v1", "m12"))
    show(volumes, "y", ("s1", "bl"), ("s1", "m12"))
    show(volumes, "z", ("t3", "bl"))
    with pytest.raises(InputError, match="no validation pair"):
        pack(volumes, mixed_engines=True)
    show(volumes, "", ("v1", "m12"))
    show(volumes, "", ("s1", "m12"))
    table = pack(volumes, mixed_engines=True)
    packed = PackedDataset.open(volumes / "packed")
    assert packed.train_index["subject"].tolist() == ["t2", "t3", "t4"]
    assert packed.pairs_index["subject"].tolist() == ["s1", "v1"]
    assert table.drop(columns="source").to_numpy().tolist()[1:] == [
        ["pack", "image", "s2", "m12", "", "shared_content", "the same image as sub-t1 ses-bl"],
        ["pack", "image", "t1", "bl", "", "shared_content", "the same image as sub-s2 ses-m12"],
        [
            *("pairs", "pair", "s2", "m12", "bl", "image_excluded"),
            "follow-up excluded (pack): the same image as sub-t1 ses-bl",
        ],
    ]
    volume = pd.read_parquet(volumes / "volumes.parquet").set_index(["subject", "session"])
    assert volume.loc[("t1", "bl"), "content"] == "x"


def test_user_tells_of_which_subject_a_volume_is(volumes):
    show(volumes, "x", ("t1", "bl"), ("s2", "m12"))
    table = pack(volumes, reviewed=[("s2", "m12")], mixed_engines=True)
    assert "t1" in set(PackedDataset.open(volumes / "packed").train_index["subject"])
    assert table["rule"].tolist() == ["no_date", "dropped", "image_excluded"]


def test_of_a_subjects_copies_one_is_used(volumes):
    show(volumes, "x", ("s1", "bl"), ("s1", "m12"))
    table = pack(volumes, mixed_engines=True)
    assert table.drop(columns="source").to_numpy().tolist()[1:] == [
        ["pack", "image", "s1", "m12", "", "copy", "the same image as sub-s1 ses-bl"],
        [
            *("pairs", "pair", "s1", "m12", "bl", "image_excluded"),
            "follow-up excluded (pack): the same image as sub-s1 ses-bl",
        ],
    ]


def show_film(results, subject, session, value):
    """Let a film be of one grey value."""
    path = results / "copd/film" / f"shard-{shard_of(subject, SHARDS)}.npz"
    with np.load(path) as shard:
        arrays = {**shard, film_key(subject, session): np.full((8, 8), value, np.float32)}
    np.savez(path, **arrays)


def test_training_and_test_never_share_a_film(films):
    exclusions = films / "exclusions.csv"
    show_film(films, "t2", "bl", number("s1", "bl"))
    pack_films(films, "copd", films / "packed", exclusions, shards=SHARDS)
    packed = PackedDataset.open(films / "packed")
    assert packed.train_index["subject"].tolist() == ["t1", "t4"]
    assert packed.pairs_index["subject"].tolist() == ["s2", "v1"]
    table = pd.read_csv(exclusions, dtype=str, keep_default_na=False)
    assert table[["stage", "item", "subject", "session", "rule"]].to_numpy().tolist()[1:] == [
        ["film", "film", "t3", "bl", "no_content"],
        ["pairs", "pair", "s1", "m12", "not_registered"],
        ["pack", "film", "s1", "bl", "shared_content"],
        ["pack", "film", "t2", "bl", "shared_content"],
    ]
    show_film(films, "t2", "bl", number("s2", "m12"))
    with pytest.raises(InputError, match="no test pair") as caught:
        pack_films(films, "copd", films / "packed", exclusions, shards=SHARDS)
    assert "1  pair: An image of the pair is excluded" in str(caught.value)
