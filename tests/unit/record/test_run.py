"""The record of a run, on a small made-up results folder."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import yaml
from helpers.workflow import ROOT
from rocrate_validator import models, services
from rocrate_validator.utils import document_loader
from rocrate_validator.utils.http import HttpRequester

from pipeline.brain.engines_used import volume_table
from pipeline.cohort.facts import cohort_facts
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.manifest import Cohort
from pipeline.dataset.packed import ARRAYS
from pipeline.record.methods_text import methods_text
from pipeline.record.provenance import record_model, software
from pipeline.record.ro_crate import SPECIFICATION
from pipeline.record.run import record_run
from pipeline.stage.files import read_json, write_json
from pipeline.study.config import parse_config

# The terms of our crate as the published context defines them: the validator asks the web for it.
SCHEMA = "http://schema.org/"
PLAIN = (
    "about contentSize CreateAction CreativeWork Dataset datePublished description encodingFormat"
    " endTime hasPart instrument license mentions name result SoftwareApplication softwareVersion"
    " url version"
)
CONTEXT = {name: SCHEMA + name for name in PLAIN.split()} | {
    "File": SCHEMA + "MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A results folder with one brain data set, one model, and what a run leaves."""
    monkeypatch.chdir(tmp_path)
    demonstration = yaml.safe_load((ROOT / "config.yaml").read_text())
    adni = demonstration["datasets"]["adni"]
    adni["training"]["methods"] = {"defi-gan": adni["training"]["methods"]["defi-gan"]}
    parsed = parse_config({"seeds": [3], "datasets": {"adni": adni}})
    config = parsed.effective()
    results = tmp_path / "results"
    (tmp_path / "demo/adni/tables").mkdir(parents=True)
    (tmp_path / "demo/adni/tables/ADNIMERGE.csv").write_text("RID\n1\n")
    rows, sidecars = [], []
    for subject, label in (("A", 0), ("B", 1), ("C", 0)):
        raw = tmp_path / f"demo/adni/{subject}.nii"
        raw.write_bytes(b"12345")
        rows.append({"subject": subject, "session": "bl", "label": label, "path": str(raw)})
        steps = [
            {"stage": "skull", "engine": "ROBEX", "version": "1.2"},
            {"stage": "grid", "engine": "scipy", "version": "1.15"},
        ]
        sidecars.append((subject, "bl", {"status": "ok", "steps": steps}))
    manifest = pd.DataFrame(rows).assign(
        diagnosis="MCI", score=np.nan, field_strength=1.5, site="1", day=0, date="", split="train"
    )
    pairs = pd.DataFrame(
        {"subject": ["C"], "split": ["test"], "baseline": ["bl"], "followup": ["m12"]}
    )
    exclusions = pd.DataFrame({"stage": ["ingest"], "subject": ["D"], "rule": ["no_image"]})
    write_cohort(
        Cohort(manifest=manifest, exclusions=exclusions, pairs=pairs), results / "adni/ingest"
    )
    exclusions.to_csv(results / "adni/exclusions.csv", index=False)
    packed = results / "adni/packed"
    packed.mkdir()
    volume_table(sidecars).to_parquet(results / "adni/volumes.parquet")
    manifest.head(2).assign(row=[0, 1]).to_parquet(packed / "train.parquet")
    pairs.assign(row=0).to_parquet(packed / "pairs.parquet")
    for name in ARRAYS:
        np.save(packed / f"{name}.npy", np.zeros(2))
    model = results / "adni/models/defi-gan/seed-3"
    training = {"settings": {"seed": 3}, "device": "cpu", "best_epoch": 2}
    write_json(training, model / "training.json")
    (model / "generator.safetensors").write_bytes(b"weights")
    (results / "table1.csv").write_text("dataset\nadni\n")
    record_model(
        packed,
        model / "training.json",
        model / "generator.safetensors",
        model / "provenance.json",
        parsed.of_model("adni", "defi-gan"),
        results / "adni/volumes.parquet",
    )
    facts = cohort_facts(results / "adni/ingest", [Path("demo/adni/tables")])
    write_json(facts, results / "adni/cohort.json")
    # The record needs neither archive nor ingest.
    shutil.rmtree(tmp_path / "demo")
    shutil.rmtree(results / "adni/ingest")
    record_run(
        config,
        results,
        [model / "provenance.json"],
        [results / "table1.csv", results / "adni/exclusions.csv"],
    )
    return config, results


def test_versions_and_commit_are_told():
    told = software()
    assert told["packages"]["numpy"] == np.__version__
    if (ROOT / ".git").exists():
        assert len(told["commit"]) == 40
        assert told["dirty"] in (True, False)
    assert "pytest" not in told["packages"]  # what only tests need


def test_model_knows_its_data_and_weights(study):
    _, results = study
    record = read_json(results / "adni/models/defi-gan/seed-3/provenance.json")
    assert record["training"]["settings"]["seed"] == 3
    assert record["engines"] == {"skull": {"ROBEX 1.2": 3}, "grid": {"scipy 1.15": 3}}
    assert record["config"]["brain"]["voxel_mm"] == 4.8
    assert list(record["config"]["training"]["methods"]) == ["defi-gan"]
    assert "figures" not in record["config"]  # they do not change a model
    weights = record["outputs_sha256"]["generator.safetensors"]
    assert weights == hashlib.sha256(b"weights").hexdigest()
    array = (results / "adni/packed/train.npy").read_bytes()
    assert record["inputs_sha256"]["train.npy"] == hashlib.sha256(array).hexdigest()


def test_run_tells_configuration_inputs_engines_and_tables(study):
    config, results = study
    run = read_json(results / "provenance.json")
    assert run["config"] == config
    assert run["seeds"] == [3]
    adni = run["datasets"]["adni"]
    cohort = adni["cohort"]
    assert cohort["engines"] == {"skull": {"ROBEX 1.2": 3}, "grid": {"scipy 1.15": 3}}
    assert adni["training_images"] == {"healthy": 1, "diseased": 1}
    assert adni["pairs"] == {"test": 1}
    assert adni["excluded"] == {"ingest": 1}
    assert cohort["archive"]["images"] == 3
    assert cohort["archive"]["image_bytes"] == 15
    table = hashlib.sha256(b"RID\n1\n").hexdigest()
    assert cohort["archive"]["tables_sha256"] == {"demo/adni/tables/ADNIMERGE.csv": table}
    assert run["models"]["adni/models/defi-gan/seed-3"]["device"] == "cpu"
    table = hashlib.sha256((results / "table1.csv").read_bytes()).hexdigest()
    assert run["files_sha256"]["table1.csv"] == table


def test_methods_are_told_with_counts_versions_and_references(study):
    _, results = study
    text = (results / "methods.md").read_text()
    for part in (
        "ADNI (simulated)",
        "3 images of 3 subjects",
        "its reason in `exclusions.csv` (images, exams and pairs: 1).",
        "The disease is Alzheimer's disease.",
        "1 image without it (MCI) and 1 with it (AD)",
        "skull-stripped (ROBEX 1.2) and resampled",
        "1 seed (3)",
        "on ADNI for 3 epochs of 100 updates",
        "with batches of 2 images of each class (DeFI-GAN λ = 2)",
        "Snakemake 9.",
        f"NumPy {np.__version__}",
        "10.1007/978-3-030-59713-9_71",
        "10.1109/TMI.2011.2138152",
    ):
        assert part in text
    assert "10.1109/CVPR.2018.00867" not in text  # VA-GAN was not trained


def test_methods_omit_a_stage_that_was_left_out(study):
    _, results = study
    run = read_json(results / "provenance.json")
    engines = run["datasets"]["adni"]["cohort"]["engines"]
    engines |= {"skull_refine": {"FSL bet 6.0": 3}}
    assert "skull-stripped again (FSL bet 6.0)" in methods_text(run)
    assert "doi:10.1002/hbm.10062" in methods_text(run)
    del engines["skull_refine"]
    text = methods_text(run)
    assert "again" not in text
    assert "none" not in text
    assert "doi:10.1002/hbm.10062" not in text


def test_methods_tell_the_schedule_that_a_method_has_of_its_own(study):
    _, results = study
    run = read_json(results / "provenance.json")
    training = run["config"]["datasets"]["adni"]["training"]
    own = {"epochs": 150, "updates_per_epoch": 10, "epoch_counts": "generator_updates"}
    own |= {"accumulated_batches": 6, "batch_size": 1, "lambda": 100}
    training["methods"]["va-gan"] = training["methods"]["defi-gan"] | own
    text = methods_text(run)
    assert (
        "of 2 images of each class (DeFI-GAN λ = 2) and for 150 epochs of 10 updates of the" in text
    )
    assert "1 image of each class and gradients averaged over 6 of them (VA-GAN λ = 100)" in text


@pytest.fixture
def offline(monkeypatch):
    """The published context without the web."""

    def get(self, url, **options):
        assert url.startswith(SPECIFICATION)
        answer = requests.Response()
        answer.status_code = 200
        answer.headers["Content-Type"] = "application/ld+json"
        answer._content = json.dumps({"@context": CONTEXT}).encode()
        return answer

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)
    monkeypatch.setattr(document_loader, "_fetch_json_ld", lambda source: {"@context": CONTEXT})


def problems(results, profile):
    settings = models.ValidationSettings(
        rocrate_uri=str(results),
        profile_identifier=profile,
        requirement_severity=models.Severity.REQUIRED,
    )
    return [issue.message for issue in services.validate(settings).get_issues()]


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate-0.5"])
def test_crate_passes_the_published_validator(study, offline, profile):
    _, results = study
    assert problems(results, profile) == []


def test_validator_finds_a_missing_file(study, offline):
    _, results = study
    (results / "table1.csv").unlink()
    assert any("table1.csv" in message for message in problems(results, "ro-crate-1.1"))
