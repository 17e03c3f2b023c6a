"""Every model of a configuration has a status."""

import subprocess
import sys

import pandas as pd
import pytest

from pipeline.method.fit import fit_model
from pipeline.method.training.state import locked, state_folder
from pipeline.study.config import parse_config
from pipeline.study.status import STATUS_COLUMNS, training_status


@pytest.fixture
def config(make_settings):
    options = make_settings(epochs=1, updates_per_epoch=2).to_dict()
    shared = ("batch_size", "accumulated_batches", "epochs", "updates_per_epoch", "epoch_counts")
    shared += ("precision", "gradient_penalty")
    networks = ("base_filters", "poolings", "critic_base_filters", "critic_weights")
    method = {k: v for k, v in options.items() if k not in (*shared, *networks)}
    method = {k: v for k, v in method.items() if k not in ("method", "seed")}
    training = {key: options[key] for key in shared}
    training["networks"] = {key: options[key] for key in networks}
    training["methods"] = {"va-gan": dict(method), "defi-gan": dict(method)}
    toy = {"source": "toy", "squares": {"size": 32}, "training": training}
    return {"seeds": [0, 1], "datasets": {"toy": toy}}


def train(packed, config, method, seed, results, **options):
    settings = parse_config(config).training_settings("toy", method, seed)
    model = results / f"toy/models/{method}/seed-{seed}"
    fit_model(packed, model, settings, device="cpu", threads=1)
    return model


def row(config, results, method, seed):
    table = training_status(parse_config(config), results)
    assert table.columns.tolist() == STATUS_COLUMNS
    chosen = table[(table["method"] == method) & (table["seed"] == seed)]
    return chosen.iloc[0]


def test_status_from_queued_to_done(config, make_packed, tmp_path):
    packed = make_packed((32, 32))
    assert set(training_status(parse_config(config), tmp_path)["status"]) == {"queued"}
    model = train(packed, config, "va-gan", 0, tmp_path)
    done = row(config, tmp_path, "va-gan", 0)
    assert (done["status"], done["epoch"]) == ("done", "1/1")
    history = pd.read_parquet(model / "history.parquet")
    assert done["best_ncc"] == history["validation_ncc"].max()
    assert row(config, tmp_path, "va-gan", 1)["status"] == "queued"
    config["datasets"]["toy"]["training"]["methods"]["va-gan"]["lambda"] = 7
    assert row(config, tmp_path, "va-gan", 0)["note"] == "an older model has other settings"


def test_status_of_a_failed_a_stopped_and_a_running_job(config, make_packed, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.method.training.epochs.DIVERGED", 1e-9)
    with pytest.raises(RuntimeError, match="at update 1"):
        train(make_packed((32, 32)), config, "defi-gan", 1, tmp_path)
    failed = row(config, tmp_path, "defi-gan", 1)
    assert failed["status"] == "failed"
    assert "critic_loss is" in failed["note"]
    folder = state_folder(tmp_path / "toy/models/defi-gan/seed-1")
    with locked(folder):
        assert row(config, tmp_path, "defi-gan", 1)["status"] == "running"
    text = (folder / "progress.json").read_text()
    broken = text[text.index('"failed": ') :]
    (folder / "progress.json").write_text(text.replace(broken, '"failed": null}'))
    assert row(config, tmp_path, "defi-gan", 1)["status"] == "stopped"


def test_status_on_the_command_line(tmp_path):
    from helpers.workflow import ROOT

    command = [sys.executable, "-m", "pipeline", "status", "--config", ROOT / "config/toy.yaml"]
    done = subprocess.run(
        [*map(str, command), "--results", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"configuration: {ROOT / 'config/toy.yaml'}"
    assert lines[2].split() == STATUS_COLUMNS
    assert "None" not in done.stdout
    assert len(lines) == 3 + 5 * 3 + 2  # two methods are fitted once
