"""A third method costs its own module, a line of the registry and one of a configuration."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.contributing import copy_pipeline, follow, run
from helpers.studies import ADNI, TOY
from helpers.uniform_shift import UniformShift
from helpers.workflow import ROOT
from matplotlib.text import Text

from pipeline.figures.overview import draw_overview
from pipeline.figures.pair_figures import draw_pair
from pipeline.method.fit import fit_model
from pipeline.method.registry import METHODS
from pipeline.report.explorer import explorer_data
from pipeline.report.page import make_report
from pipeline.score.classifier import score_attributions
from pipeline.score.model import score_model
from pipeline.score.table import make_table
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import exclusion_table

OPTIONS = {"length": 1.5}


@pytest.fixture
def config():
    """The small toy data with a third method; its networks are tiny."""
    config = yaml.safe_load((ROOT / "config/toy-small.yaml").read_text(encoding="utf-8"))
    config["seeds"] = [0]
    training = config["datasets"]["toy"]["training"]
    methods = {n: o for n, o in training["methods"].items() if not METHODS[n].baseline}
    training["methods"] = {**methods, "uniform-shift": OPTIONS}
    training |= {"epochs": 2, "updates_per_epoch": 3, "batch_size": 2}
    training["networks"] |= {"base_filters": 2, "poolings": 2, "critic_base_filters": 2}
    return config


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(METHODS, UniformShift.name, UniformShift())


def settings_of(config, method):
    """As `pipeline.study.config.Config.training_settings` gives them."""
    training = config["datasets"]["toy"]["training"]
    shared = {key: value for key, value in training.items() if key not in ("networks", "methods")}
    own = METHODS[method].options.read(training["methods"][method]).to_dict()
    return METHODS[method].settings(shared | training["networks"], own, 0)


def model_file(results, method, name):
    return results / layout.model("toy", method, 0, name)


@pytest.fixture
def results(config, make_packed, registered, tmp_path):
    """Models and scores of every method on a packed data set of three pairs."""
    results = tmp_path / "results"
    packed = results / "toy/packed"
    shutil.move(make_packed((16, 16, 16)), packed)
    pairs = pd.read_parquet(packed / "pairs.parquet")
    pairs["split"] = ["validation", "test", "test"]
    pairs.to_parquet(packed / "pairs.parquet")
    for name in config["datasets"]["toy"]["training"]["methods"]:
        model = model_file(results, name, "generator.safetensors")
        settings = settings_of(config, name)
        fit_model(packed, model.parent, settings, device="cpu", threads=1)
        names = {"dataset": "toy", "method": name, "seed": 0}
        score_model(packed, model, model.with_name("scores.parquet"), device="cpu", **names)
    return results


def test_its_fit_leaves_what_every_fit_leaves(results):
    folder = model_file(results, "uniform-shift", "generator.safetensors").parent
    made = {path.name for path in folder.iterdir()}
    assert {"generator.safetensors", "history.parquet", "training.json", "tensorboard"} <= made
    training = json.loads((folder / "training.json").read_text())
    # Neither epochs nor networks are among the settings on which it depends.
    assert training["settings"] == {"method": "uniform-shift", "seed": 0, **OPTIONS}


def test_it_is_in_both_tables(results, tmp_path):
    methods = ["va-gan", "defi-gan", "uniform-shift"]
    scores = [model_file(results, method, "scores.parquet") for method in methods]
    attributions = tmp_path / "attributions.parquet"
    options = {"base_filters": 2, "batch_size": 2, "updates": 1, "device": "cpu"}
    score_attributions(results / "toy/packed", attributions, dataset="toy", seed=0, **options)
    datasets = {"toy": {**TOY, "data": "toy", "published": None}}
    for name, files in (("table1", scores), ("table1_extended", [*scores, attributions])):
        csv, text = tmp_path / f"{name}.csv", tmp_path / f"{name}.md"
        make_table(files, csv, text, datasets)
        table = pd.read_csv(csv).set_index("method")
        assert table.index[-3:].tolist() == methods
        assert np.isfinite(table.loc["uniform-shift", ["ncc_mean", "gain"]].astype(float)).all()
        assert "| Uniform shift |" in text.read_text(encoding="utf-8").splitlines()[0]
        assert ": DeFI-GAN minus Uniform shift " in text.read_text(encoding="utf-8")


def test_score_of_a_method_that_nobody_registered_is_an_error(results, tmp_path, monkeypatch):
    monkeypatch.delitem(METHODS, "uniform-shift")
    methods = ("va-gan", "defi-gan", "uniform-shift")
    scores = [model_file(results, method, "scores.parquet") for method in methods]
    datasets = {"toy": {**TOY, "data": "toy", "published": None}}
    with pytest.raises(InputError, match="uniform-shift, which nobody registered; known: true"):
        make_table(scores, tmp_path / "t.csv", tmp_path / "t.md", datasets)


def test_it_is_in_the_pictures(config, results, monkeypatch):
    methods = list(config["datasets"]["toy"]["training"]["methods"])
    generators = {m: model_file(results, m, "generator.safetensors") for m in methods}
    scores = model_file(results, "defi-gan", "scores.parquet")
    details = {"edge": {"plane": "axial", "box": [0, 0, 0.5, 0.5], "arrows": 2}}
    settings = {"colours": "paper", "details": details, "data": "demo", **ADNI}
    prefix = results / "figures/toy/best"
    paths = (results / "toy/packed", "best", generators, scores, settings, prefix)
    draw_pair(*paths, dataset="toy")
    drawing = (results / layout.figure("toy", "best", "explanation", "svg")).read_text()
    # Both fields; the first configured method that deforms is drawn large.
    assert drawing.count("<!-- displacement field -->") == 2
    assert "<!-- Uniform shift: -->" in drawing
    drawing = (results / layout.figure("toy", "best", "deformation", "svg")).read_text()
    assert "DeFI-GAN: deformed grid" in drawing
    only = {"toy": (results / "toy/packed", generators["uniform-shift"], scores)}
    kept = []
    monkeypatch.setattr("pipeline.figures.overview.plt.close", kept.append)
    draw_overview(only, {"toy": {**TOY, "data": "toy"}}, results / "overview.png")
    assert any("Uniform shift, seed 0: NCC" in text.get_text() for text in kept[0].findobj(Text))


def test_it_is_in_explorer_and_report(config, results):
    methods = list(config["datasets"]["toy"]["training"]["methods"])
    files = {"generator": "generator.safetensors", "scores": "scores.parquet"}
    files |= {"history": "history.parquet"}
    models = [
        {"method": method, "seed": 0}
        | {key: str(model_file(results, method, file)) for key, file in files.items()}
        for method in methods
    ]
    exclusions = results / "toy/exclusions.csv"
    exclusion_table([]).to_csv(exclusions, index=False)
    reads = {"packed": str(results / "toy/packed"), "cohort": None, "exclusions": str(exclusions)}
    datasets = {"toy": {**TOY, "data": "toy", **reads, "models": models}}
    (entry,) = explorer_data(datasets, 0)["datasets"]
    assert entry["methods"]["uniform-shift"] == "Uniform shift"
    assert set(entry["pairs"][0]["changes"]["uniform-shift"]) == {"field"}
    assert next(iter(entry["methods"])) == "defi-gan"  # shown first, its scores rank the pairs
    make_report(results / "report/index.html", datasets, {}, 0)
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert "VA-GAN and DeFI-GAN and Uniform shift explain diseased images" in page


def copy_with_the_method(folder, config):
    """A copy of the pipeline with the method: its module, the registry, a configuration."""
    copy_pipeline(folder)
    follow("Add a method", folder)
    shutil.copy(ROOT / "tests/helpers/uniform_shift.py", folder / "pipeline/method")
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def test_a_copy_of_the_pipeline_takes_it_in_three_files(config, results, tmp_path):
    """Its models are planned, followed, recorded and told as any other's."""
    copy = tmp_path / "copy"
    copy_with_the_method(copy, config)
    snakemake = ("snakemake", "--cores", "1", "--configfile", "study.yaml", "--dry-run", "all")
    done = run(copy, *snakemake, "--printshellcmds")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for part in ("generator.safetensors", "scores.parquet", "provenance.json"):
        assert f"results/toy/models/uniform-shift/seed-0/{part}" in said
    assert '"length": 1.5, "method": "uniform-shift"' in said

    python = (sys.executable, "-m", "pipeline")
    plan = run(copy, *python, "plan", "--configfile", "study.yaml")
    assert plan.returncode == 0, plan.stderr
    (trainings,) = (line for line in plan.stdout.splitlines() if "train_model" in line)
    assert trainings.split()[2] == "3"

    shutil.copytree(results, copy / "results")
    status = run(copy, *python, "status", "--configfile", "study.yaml")
    (told,) = (line for line in status.stdout.splitlines() if "uniform-shift" in line)
    assert "done" in told

    exclusion_table([]).to_csv(copy / "results/toy/exclusions.csv", index=False)
    told = run(copy, sys.executable, "-c", TELL)
    assert told.returncode == 0, told.stderr
    assert "Uniform shift moves the whole diseased image one way." in told.stdout
    assert "and by two trials (Uniform shift of 1.5 voxels)" in told.stdout
    assert "- Nobody: Where All Points Go. 2026." in told.stdout


TELL = """
from pathlib import Path
import yaml
from pipeline.record.methods_text import methods_text
from pipeline.record.provenance import describe_run, record_model
from pipeline.study.config import parse_config
config = parse_config(yaml.safe_load(Path("study.yaml").read_text()))
results, models = Path("results"), []
for method in config.datasets["toy"].training.methods:
    folder = results / "toy/models" / method / "seed-0"
    files = [folder / "training.json", folder / "generator.safetensors"]
    models.append(folder / "provenance.json")
    record_model(results / "toy/packed", *files, models[-1], config.of_model("toy", method))
print(methods_text(describe_run(config.effective(), results, models, [])))
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lenght": 1.5}, "unknown key 'lenght'; did you mean 'length'?"),
        ({"length": 0}, "uniform-shift.length: expected number, above 0, found 0"),
    ],
)
def test_its_mistakes_are_named(config, tmp_path, options, said):
    config["datasets"]["toy"]["training"]["methods"]["uniform-shift"] = options
    copy_with_the_method(tmp_path / "copy", config)
    command = (sys.executable, "-m", "pipeline", "plan", "--configfile", "study.yaml")
    assert said in run(tmp_path / "copy", *command).stderr
