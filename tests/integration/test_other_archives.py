"""BIDS datasets and plain manifests, to the table.

The films of the manifest run through every stage. Of the BIDS dataset's volumes the stages up to
BET are made up here, for ROBEX alone takes minutes for each; ingest, grid, quality control, pairs,
training, scores and table are real.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.made_up_bids import write_bids_dataset
from helpers.workflow import ROOT, planned_jobs, run_snakemake
from scipy.ndimage import gaussian_filter, zoom

from pipeline.brain.packaged_heads import TEMPLATE_HEAD, load_head
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


@pytest.fixture(scope="module")
def films_archive(tmp_path_factory):
    """A folder with films and their manifest, which is also returned."""
    folder = tmp_path_factory.mktemp("archive")
    demo = MINIATURE["datasets"]["copd"]["demo"] | {"faulty": 0}
    films, tests, key = (folder / name for name in ("films", "tests.csv", "key"))
    settings = {name: value for name, value in demo.items() if name != "truth"}
    make_demo_copd(films, tests, folder / "truth", key, **settings)
    splits = MINIATURE["datasets"]["copd"]["splits"]
    known = ingest_copd(films, tests, splits=splits, pseudonym_key=key).manifest
    known["file"] = [Path(path).relative_to(films).as_posix() for path in known["path"]]
    columns = ["subject", "session", "file", "day", "diagnosis"]
    known[columns].to_csv(folder / "manifest.csv", index=False)
    return folder, known


def configure_films(folder, archive):
    return configure(
        folder,
        "mine",
        "copd",
        source="manifest",
        archive={"table": f"{archive}/manifest.csv", "images": f"{archive}/films"},
        columns={"path": "file"},
        labels={"column": "diagnosis", "healthy": ["normal"], "diseased": ["COPD"]},
    )


@pytest.fixture(scope="module")
def films_study(films_archive, tmp_path_factory):
    """Folder in which the manifest of films has run to the table."""
    folder = tmp_path_factory.mktemp("films")
    config = configure_films(folder, films_archive[0])
    run_snakemake(folder, *TABLE, "results/mine/cohort.html", *config, cores=2)
    return folder


def test_manifest_of_films(films_archive, films_study):
    demo, (_, known) = MINIATURE["datasets"]["copd"]["demo"], films_archive
    assert_scored(films_study, "mine")
    assert f"{len(known)} images, {known['subject'].nunique()} subjects" in (
        films_study / "results/mine/cohort.html"
    ).read_text(encoding="utf-8")
    packed = PackedDataset.open(films_study / "results/mine/packed")
    assert packed.pairs_index["subject"].nunique() == demo["paired"]
    assert len(packed.train_index) == demo["normal"] + demo["copd"]


def processes_in(folder):
    """Command of each process that works in a folder, by its number."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if (process / "cwd").readlink() == folder:
                found[int(process.name)] = (process / "cmdline").read_bytes()
    return found


def test_same_table_in_a_hard_place_and_after_kills(films_archive, films_study, tmp_path):
    """A job is killed, then Snakemake itself, and the same command goes on.

    The folder's name has blanks, quotes, brackets and an umlaut, the locale is C, temporary files
    lie on another file system, and the archive behind a link, where it cannot be written.
    """
    folder, archive = tmp_path / "study \"ü's [x]", films_archive[0]
    folder.mkdir()
    (folder / "data").symlink_to(archive)
    protect = (
        'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 1; '
        'touch "$0/x" 2>/dev/null && exit 1; exec "$@"'
    )
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c", protect, str(archive)]
    if subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this system lets nobody mount a file system of one's own")
    options = ["--snakefile", ROOT / "Snakefile", "--cores", 2, *configure_films(folder, "data")]
    environment = {name: os.environ[name] for name in os.environ.keys() - {"LANG", "PYTHONUTF8"}}
    environment["LC_ALL"] = "C"
    said = tmp_path / "said"

    def start(*targets):
        command = [*alone, "snakemake", *targets, *map(str, options)]
        with said.open("w") as file:
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)

    with TemporaryDirectory(dir="/dev/shm") as environment["TMPDIR"]:
        main = start(*TABLE)
        while not (jobs := [n for n, job in processes_in(folder).items() if b"\0train\0" in job]):
            assert main.poll() is None, said.read_text()
            time.sleep(0.05)
        os.kill(jobs[0], signal.SIGKILL)
        main.kill()
        main.wait()
        while processes_in(folder):  # jobs that it left behind
            time.sleep(0.1)
        assert not (folder / TABLE[0]).exists()
        film = folder / "results/mine/film/shard-0.npz"
        finished = film.stat().st_mtime_ns

        for targets in (["--unlock"], TABLE):
            assert start(*targets).wait() == 0, said.read_text()
    assert film.stat().st_mtime_ns == finished
    assert (folder / TABLE[0]).read_bytes() == (films_study / TABLE[0]).read_bytes()


@pytest.fixture(scope="module")
def coarse_head():
    """Head and brain of the packaged template at 4 mm, and their affine."""
    images = load_head(TEMPLATE_HEAD)
    volumes = [
        zoom(gaussian_filter(np.asarray(image.dataobj, np.float32), 1.5), 0.25, order=1)
        for image in images
    ]
    affine = images[0].affine @ np.diag([4.0, 4.0, 4.0, 1.0])
    return volumes[0], volumes[1] > 0.5, affine


def test_bids_dataset(tmp_path, coarse_head):
    head, brain, affine = coarse_head
    rng = np.random.default_rng(0)
    template = tmp_path / "template.nii.gz"
    save_volume(head, affine, template)

    made = {"engine": "made up", "version": "1"}
    lies = {"matrix": np.eye(4).tolist(), "correlation": 0.95, "alignment": ""}
    steps = [
        {"stage": "orient", "shape": list(head.shape), **made},
        {"stage": "template", **lies, **made},
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
    assert (review["correlation"] == 0.95).all()
    assert (review["overlap"] == 1).all()
