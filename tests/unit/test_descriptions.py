"""Data sets of other diseases get their own names in every table, picture and page."""

import json
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.film_files import make_dicom, ramp_film
from helpers.workflow import ROOT, run_snakemake
from matplotlib.text import Text

from pipeline.biomarkers.measure import make_biomarker_table
from pipeline.cohort.flow_page import write_cohort_page
from pipeline.cohort.ingest import write_cohort
from pipeline.cohort.manifest import MANIFEST_COLUMNS, Cohort, as_manifest
from pipeline.dataset.packed import Geometry
from pipeline.figures.explanation import draw_explanation
from pipeline.figures.overview import draw_overview
from pipeline.figures.pair_figures import draw_pair
from pipeline.method.explain import explain_prepared, load_model, save_model
from pipeline.method.generator import Generator
from pipeline.method.training.sweep import summarise_sweep
from pipeline.qc.review import COLUMNS
from pipeline.qc.review_page import write_page
from pipeline.record.methods_text import methods_text
from pipeline.record.ro_crate import describe_crate
from pipeline.report.page import make_report
from pipeline.score.model import score_model
from pipeline.score.table import make_table
from pipeline.stage import layout
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import write_json
from pipeline.study.config import parse_config

ABOUT = {
    "mine": {
        "title": "Memory clinic",
        "modality": "brain",
        "disease": {"name": "frontotemporal dementia", "healthy": "carriers", "diseased": "FTD"},
    },
    "films": {
        "title": "Ward 7",
        "modality": "chest",
        "disease": {"name": "pneumonia", "healthy": "clear", "diseased": "consolidated"},
    },
}
SHAPES = {"mine": (16, 16, 16), "films": (16, 24)}
ENGINES = {"mine": {"orient": {"fsl 6": 3}, "grid": {"scipy 1": 3}}, "films": {}}
METHODS = ("va-gan", "defi-gan")
OTHERS = re.compile(r"\b(ADNI|COPD|Alzheimer|MCI|AD)\b")


def names_of(name):
    """Title, disease and groups of a data set."""
    return [ABOUT[name]["title"], *ABOUT[name]["disease"].values()]


def assert_named(text, name, *, wanted=None):
    for word in wanted or names_of(name):
        assert word in text, word
    assert not OTHERS.search(text), OTHERS.search(text)


def model_file(results, name, method, file="generator.safetensors"):
    return results / layout.model(name, method, 0, file)


def described(kind="real"):
    return {name: about | {"data": kind} for name, about in ABOUT.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Cohorts, packed pairs, untrained models and their scores of both data sets."""
    results = tmp_path_factory.mktemp("study") / "results"
    film = make_dicom(results / "raw.dcm", ramp_film(40, 40))
    for name, shape in SHAPES.items():
        rows = {"subject": ["a", "a", "b"], "session": ["bl", "m12", "bl"], "label": [0, 1, 0]}
        rows |= {"split": ["test", "test", "train"], "path": str(film), "diagnosis": ""}
        manifest = as_manifest(pd.DataFrame(dict.fromkeys(MANIFEST_COLUMNS, 0) | rows))
        pairs = pd.DataFrame({"subject": ["a"], "split": "test", "baseline": "bl"})
        pairs["followup"] = "m12"
        exclusions = exclusion_table([])
        cohort = Cohort(manifest=manifest, exclusions=exclusions, pairs=pairs)
        write_cohort(cohort, results / name / "ingest")
        exclusions.to_csv(results / name / "exclusions.csv", index=False)
        packed = results / name / "packed"
        packed.mkdir()
        image = np.random.default_rng(0).uniform(-1, 1, (1, *shape)).astype(np.float32)
        for array in ("train", "pairs_image", "pairs_difference"):
            np.save(packed / f"{array}.npy", image)
        np.save(packed / "pairs_mask.npy", image > -2)
        manifest.tail(1)[["subject", "session", "label"]].assign(row=0).to_parquet(
            packed / "train.parquet"
        )
        pairs.assign(row=0, warning="").to_parquet(packed / "pairs.parquet")
        made = Geometry.of_made_images(1, shape)
        replace(made, pixel_mm=np.array([4.0])).write(packed)
        facts = {"images": 3, "pairs": 1, "subjects": 2}
        write_json(facts, results / name / "cohort.json")
        for method in METHODS:
            torch.manual_seed(0)
            sizes = {"dimensions": len(shape), "base_filters": 2, "poolings": 2}
            architecture = sizes | {"method": method}
            file = model_file(results, name, method)
            save_model(architecture, Generator(**architecture).state_dict(), file)
            names = {"dataset": name, "method": method, "seed": 0, "device": "cpu"}
            score_model(packed, file, file.with_name("scores.parquet"), **names)
            history = pd.DataFrame({"epoch": [1, 2], "validation_ncc": [0.1, 0.2]})
            history.to_parquet(file.with_name("history.parquet"))
    return results


@pytest.fixture
def pictures(monkeypatch):
    """Words of the figures that are closed."""
    words = []

    def close(figure):
        words.append("\n".join(text.get_text() for text in figure.findobj(Text)))

    monkeypatch.setattr(plt, "close", close)
    return words


def test_table(results, tmp_path):
    scores = [model_file(results, n, m, "scores.parquet") for n in ABOUT for m in METHODS]
    datasets = {name: about | {"published": None} for name, about in described().items()}
    make_table(scores, tmp_path / "t.csv", tmp_path / "t.md", datasets)
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    for name in ABOUT:
        assert_named(text, name, wanted=[f"| {ABOUT[name]['title']} |"])
    assert set(pd.read_csv(tmp_path / "t.csv")["dataset"]) == set(ABOUT)


def test_biomarkers(tmp_path):
    """The paper's findings are those of its own diseases."""
    rows = [
        {
            **{"dataset": name, "method": "observed", "seed": -1, "subject": subject},
            **{"structure": structure, "measure": measure, "unit": "%", "value": value},
        }
        for name, structure, measure in (
            ("mine", "hippocampi", "volume change"),
            ("films", "heart width", "change"),
        )
        # Ten subjects have an interval.
        for subject, value in zip("abcdefghij", np.linspace(-6, -5, 10), strict=True)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "b.parquet")
    make_biomarker_table([tmp_path / "b.parquet"], described(), tmp_path / "b.csv")
    table = pd.read_csv(tmp_path / "b.csv", keep_default_na=False).set_index("dataset")
    assert table["disease"].to_dict() == {"mine": "frontotemporal dementia", "films": "pneumonia"}
    assert table.loc["mine", "finding"] == "hippocampi smaller in FTD"
    assert table.loc["films", "finding"] == "heart width smaller in consolidated"
    assert (table["paper"] == "").all()


@pytest.mark.parametrize("name", ABOUT)
def test_figures_of_a_pair(results, tmp_path, pictures, name):
    detail = {"box": [0.2, 0.2, 0.8, 0.8], "arrows": 2} | (
        {"plane": "axial"} if name == "mine" else {}
    )
    settings = {"colours": "paper", "details": {"part": detail}, **described()[name]}
    generators = {method: model_file(results, name, method) for method in METHODS}
    scores = model_file(results, name, "defi-gan", "scores.parquet")
    paths = (results / name / "packed", "best", generators, scores, settings, tmp_path / "best")
    draw_pair(*paths, dataset=name)
    assert len(pictures) == len(layout.FIGURES)
    for words in pictures:
        assert_named(words, name)
    assert any(f"larger in {ABOUT[name]['disease']['diseased']})" in words for words in pictures)


def test_overview_and_sweep(results, tmp_path, pictures):
    models = {
        name: (
            results / name / "packed",
            model_file(results, name, "defi-gan"),
            model_file(results, name, "defi-gan", "scores.parquet"),
        )
        for name in ABOUT
    }
    draw_overview(models, described(), tmp_path / "overview.png")
    trainings = []
    for name in ABOUT:
        trainings.append(tmp_path / f"{name}.json")
        told = {"settings": {"method": "defi-gan", "lambda": 1}, "validation_ncc": 0.1}
        trainings[-1].write_text(json.dumps(told | {"best_epoch": 1}))
    titles = {name: about["title"] for name, about in ABOUT.items()}
    summarise_sweep(list(ABOUT), trainings, titles, tmp_path / "s.csv", tmp_path / "s.png")
    overview, sweep = pictures
    for name, about in ABOUT.items():
        assert_named(overview, name, wanted=[about["title"], about["disease"]["name"]])
        assert_named(sweep, name, wanted=[about["title"]])


@pytest.mark.parametrize("name", ABOUT)
def test_figure_of_a_new_image(results, tmp_path, pictures, name):
    model = load_model(model_file(results, name, "va-gan"))
    image = np.load(results / name / "packed/pairs_image.npy")[0]
    explanation = explain_prepared(model, image)
    draw_explanation(explanation, "va-gan", ABOUT[name], "notice", tmp_path / "f.png")
    assert_named(pictures[0], name, wanted=[ABOUT[name]["title"], ABOUT[name]["disease"]["name"]])


@pytest.mark.parametrize("name", ABOUT)
def test_pages_of_cohort_and_quality_control(results, tmp_path, name):
    page = tmp_path / "cohort.html"
    about = described()[name]
    files = (results / name / "ingest", results / name / "exclusions.csv", page)
    write_cohort_page(*files, source="manifest", about=about)
    assert_named(page.read_text(encoding="utf-8"), name)
    volumes = pd.DataFrame(columns=COLUMNS)
    write_page(volumes, name, page, about)
    assert_named(page.read_text(encoding="utf-8"), name)


def test_report(results):
    files = {"generator": "generator.safetensors", "scores": "scores.parquet"}
    files |= {"history": "history.parquet"}
    datasets = {
        name: about
        | {
            "packed": str(results / name / "packed"),
            "cohort": str(results / name / "cohort.json"),
            "exclusions": str(results / name / "exclusions.csv"),
            "models": [
                {"method": method, "seed": 0}
                | {key: str(model_file(results, name, method, file)) for key, file in files.items()}
                for method in METHODS
            ],
        }
        for name, about in described().items()
    }
    make_report(results / "report/index.html", datasets, {}, 0)
    text = (results / "report/index.html").read_text(encoding="utf-8")
    own = text[: text.index('<section id="licences"')]
    data = re.search(r'id="explorer-data">(.*?)</script>', text, re.DOTALL).group(1)
    entries = {entry["name"]: entry for entry in json.loads(data)["datasets"]}
    for name, about in ABOUT.items():
        assert_named(own, name)
        assert entries[name]["title"] == about["title"]
        assert entries[name]["disease"] == about["disease"]
        assert f"<td>training, {about['disease']['healthy']}</td>" in own
        assert f"Training curves, {about['title']}:" in own


def test_methods_text_and_crate(config_of):
    run = {
        **{"created": "2026-01-01", "seeds": [0], "models": {}, "config": config_of},
        "software": {
            **{"pipeline": "1", "commit": None, "dirty": None, "python": "3.11"},
            "packages": dict.fromkeys(("snakemake", "torch", "numpy", "scipy", "simpleitk"), "1"),
        },
    }
    run["datasets"] = {
        name: {
            **{key: config_of["datasets"][name][key] for key in ("title", "disease")},
            **{"simulated": False, "pairs": {"test": 1}, "excluded": {}},
            "training_images": {"healthy": 2, "diseased": 1},
            "cohort": {"images": 3, "subjects": 2, "engines": ENGINES[name]},
        }
        for name in ABOUT
    }
    for name in ABOUT:
        assert_named(methods_text(run), name)
        run["datasets"][name]["simulated"] = True
    crate = json.dumps(describe_crate(run, ROOT, []))
    assert "not patients: Memory clinic, Ward 7." in crate


@pytest.fixture
def config_of(tmp_path):
    """A configuration of both data sets, read from plain manifests."""
    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
    like = {"mine": "adni", "films": "copd"}
    tables, images = tmp_path / "tables", tmp_path / "raw"
    for folder in (tables, images):
        folder.mkdir()
    datasets = {}
    for name, about in ABOUT.items():
        values = {"healthy": about["disease"]["healthy"], "diseased": about["disease"]["diseased"]}
        rows = [
            {
                "subject": f"s{n}",
                "session": s,
                "path": f"{n}{s}",
                "day": day,
                "group": group,
            }
            for n in range(6)
            for s, day, group in (("a", 0, values["healthy"]), ("b", 90, values["diseased"]))
        ]
        for row in rows:
            (images / row["path"]).write_text(row["path"])  # a dry run reads none of them
        pd.DataFrame(rows).to_csv(tables / f"{name}.csv", index=False)
        datasets[name] = config["datasets"][like[name]] | about
        datasets[name] |= {
            "source": "manifest",
            "archive": {"table": str(tables / f"{name}.csv"), "images": str(images)},
            "columns": None,
            "labels": {"column": "group"} | {key: [value] for key, value in values.items()},
            "splits": {"seed": 0, "fractions": {"train": 0.2, "validation": 0.4, "test": 0.4}},
            "published": None,
        }
    del datasets["mine"]["series"]  # of ADNI alone
    datasets["mine"]["qc"]["drop"] = datasets["mine"]["brain"]["template"] = None
    return config | {"datasets": datasets}


def test_every_job_is_told_the_names(config_of, tmp_path):
    for name, dataset in parse_config(config_of).datasets.items():
        assert dataset.describe() == ABOUT[name] | {"data": "real"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config_of))
    arguments = ("--configfile", tmp_path / "study.yaml", "--dry-run", "--printshellcmds")
    rules = ("describe_cohort", "review_volumes", "draw_figures", "make_table", "make_report")
    done = run_snakemake(tmp_path, *arguments, "all", "results/sweep.csv")
    commands = {
        rule: [part for part in done.stdout.split("\nrule ")[1:] if part.startswith(f"{rule}:")]
        for rule in rules
    }
    for rule, jobs in commands.items():
        assert jobs, rule
        said = "\n".join(jobs)
        for name, about in ABOUT.items():
            if rule == "review_volumes" and about["modality"] != "brain":
                continue
            assert_named(said, name)
