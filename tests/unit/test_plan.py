"""The estimate of what a study costs. Jobs are compared with Snakemake's in tests/workflow."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.made_up_adni import write_adni_archive

from pipeline import cli
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.plan import Counts, count_cohort, plan_study, plan_text, training_work

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | {"device": "cpu"}


def write_benchmark(path, seconds, *more):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"s": 2 * s, "max_rss": 100.0, "cpu_time": s} for s in (seconds, *more)]
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)


def row(table, dataset, rule):
    rows = table[(table["dataset"] == dataset) & (table["rule"] == rule)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_demonstration_is_planned_before_its_archive_is_made(config, tmp_path):
    table, notes = plan_study(config, tmp_path)
    # 25 volumes and 316 films in the finished demonstration; its settings tell the average.
    assert row(table, "adni", "orient_volume")["jobs"] == pytest.approx(25, abs=3)
    assert row(table, "copd", "prepare_films")["jobs"] == 8
    training = row(table, "adni", "train_model")
    assert training["jobs"] == 4
    # As measured: the shipped seconds are of these very settings.
    assert training["cpu_hours"] == pytest.approx(4 * 248.24 / 3600)
    assert training["gpu_hours"] == 0
    assert any("estimate" in note for note in notes)
    assert "estimate" in plan_text(table, notes)


def test_earlier_runs_count_more_than_the_shipped_costs(config, tmp_path):
    folder = tmp_path / "benchmarks/adni"
    write_benchmark(folder / "orient/sub-1_ses-bl.tsv", 30.0)
    write_benchmark(folder / "orient/sub-2_ses-bl.tsv", 42.0)
    write_benchmark(folder / "train/defi-gan_seed-0.tsv", 7200.0)
    table, _ = plan_study(config, tmp_path)
    volumes = row(table, "adni", "orient_volume")
    assert volumes["cpu_hours"] == pytest.approx(volumes["jobs"] * 36 / 3600)
    assert volumes["measured"] == "earlier run"
    assert row(table, "adni", "train_model")["cpu_hours"] == pytest.approx(4 * 2)
    assert row(table, "copd", "train_model")["measured"] == "demonstration"


def test_earlier_training_is_scaled_from_the_size_that_was_recorded(config, tmp_path):
    write_benchmark(tmp_path / "benchmarks/adni/train/va-gan_seed-0.tsv", 3602.0)
    write_json({"config": config}, tmp_path / "results/provenance.json")
    larger = yaml.safe_load(yaml.safe_dump(config))
    larger["datasets"]["adni"]["training"]["epochs"] *= 3
    table, _ = plan_study(larger, tmp_path)
    # Two seconds of a training are its start.
    assert row(table, "adni", "train_model")["cpu_hours"] == pytest.approx(4 * (2 + 10800) / 3600)


def test_job_too_short_for_a_processor_time_counts_by_the_clock(config, tmp_path):
    write_benchmark(tmp_path / "benchmarks/table1.tsv", 0.0)
    text = (tmp_path / "benchmarks/table1.tsv").read_text().replace("0.0\t100.0", "1.8\t100.0")
    (tmp_path / "benchmarks/table1.tsv").write_text(text)
    table, _ = plan_study(config, tmp_path)
    assert row(table, "", "make_table")["cpu_hours"] == pytest.approx(1.8 / 3600)


@pytest.mark.parametrize(
    ("key", "value", "factor"),
    [
        ("epochs", 36, 2),
        ("updates_per_epoch", 25, 0.25),
        ("batch_size", 6, 3),
        ("accumulated_batches", 2, 2),
    ],
)
def test_training_grows_with_its_work(config, key, value, factor):
    before = training_work(config, "adni", "defi-gan")
    assert before == 1800 * 32 * 40 * 32 * 2 * 8
    config["datasets"]["adni"]["training"][key] = value
    assert training_work(config, "adni", "defi-gan") == factor * before


def test_epochs_of_generator_updates_hold_the_critics_updates_too(config):
    training = config["datasets"]["adni"]["training"]
    training |= {"epochs": 1, "updates_per_epoch": 10, "epoch_counts": "generator_updates"}
    # Twenty updates of the critic before the first of the generator, two before the others.
    assert training_work(config, "adni", "va-gan") == (21 + 9 * 3) * 32 * 40 * 32 * 2 * 8


def test_gpu_has_its_own_hours(config, tmp_path):
    table, notes = plan_study(config | {"device": "cuda"}, tmp_path)
    training = row(table, "adni", "train_model")
    assert training["cpu_hours"] == 0
    assert training["gpu_hours"] > 0
    assert row(table, "adni", "strip_skull_bet")["gpu_hours"] == 0
    assert any("upper bound" in note for note in notes)


def test_removed_intermediates_take_no_room(config, tmp_path):
    kept, _ = plan_study(config, tmp_path)
    table, _ = plan_study(config | {"keep_intermediates": False}, tmp_path)
    assert row(kept, "adni", "register_template")["gigabytes"] > 0.1
    assert row(table, "adni", "register_template")["gigabytes"] == 0
    assert row(table, "adni", "resample_grid")["gigabytes"] > 0


def test_ready_archive_is_counted(config, tmp_path):
    images, tables = tmp_path / "ADNI", tmp_path / "tables"
    write_adni_archive(images, tables, subjects=40, seed=1)
    dataset = config["datasets"]["adni"]
    dataset |= {"demo": None, "archive": {"images": str(images), "tables": str(tables)}}
    counts = count_cohort(dataset, tmp_path / "results/adni", tmp_path / "cohorts")
    assert counts.images > 10
    assert counts.source == "the archive"
    # Kept where the workflow looks for it.
    assert len(list(tmp_path.glob("cohorts/*/manifest.parquet"))) == 1


def test_toy_data_have_no_cohort(tmp_path):
    config = yaml.safe_load((ROOT / "config/toy-small.yaml").read_text())
    assert count_cohort(config["datasets"]["toy"], tmp_path, tmp_path) == Counts()


def test_films_of_a_server_are_unknown_until_fetched(config, tmp_path):
    dataset = config["datasets"]["copd"]
    dataset["demo"] = None
    dataset["archive"]["orthanc"] = {"url": "https://orthanc.example.org", "query": {}}
    with pytest.raises(InputError, match=r"datasets\.copd.*ingest_all"):
        plan_study(config, tmp_path)


def test_rules_without_a_measurement_are_named(config, tmp_path):
    table, notes = plan_study(config, tmp_path)
    unknown = table[table["measured"] == "no"]
    assert unknown["cpu_hours"].isna().all()
    text = plan_text(table, notes)
    assert all(rule in text.splitlines()[-1] for rule in unknown["rule"])


def test_command_prints_the_plan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cli.main(["plan", "--configfile", str(ROOT / "config.yaml")])
    said = capsys.readouterr().out
    assert "train_model" in said
    assert "gigabytes" in said


def test_unreadable_configuration_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["plan", "--configfile", str(tmp_path / "none.yaml")])
    assert end.value.code == 2
