"""The estimate of what a study costs. Jobs are compared with Snakemake's in tests/workflow."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.made_up_adni import write_adni_archive

from pipeline import cli
from pipeline.cohort.ingest import ingest_dataset, write_cohort
from pipeline.method.registry import METHODS
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.study.config import Config, parse_config
from pipeline.study.costs import ASSUMED_GPU, gpu_speed
from pipeline.study.counts import Counts, count_cohort
from pipeline.study.plan import _notes, plan_text
from pipeline.study.plan import plan_study as plan

ROOT = Path(__file__).parents[3]


def measured_demonstration():
    """The demonstration, its trainings as when the shipped costs of trainings were measured.

    Without baselines, which cost next to nothing and would blur the means.
    """
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"seeds": [0, 1]}
    config["datasets"]["adni"]["training"]["epochs"] = 18
    for dataset in config["datasets"].values():
        methods = dataset["training"]["methods"]
        dataset["training"]["methods"] = {
            n: o for n, o in methods.items() if not METHODS[n].baseline
        }
    return config


@pytest.fixture
def config():
    return measured_demonstration() | {"device": "cpu"}


def plan_study(config, folder):
    made = plan(parse_config(config), folder)
    return made.table, made.notes


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
    # 86 volumes in the finished demonstration; its settings tell the average.
    assert row(table, "adni", "orient_volume")["jobs"] == pytest.approx(86, abs=6)
    assert row(table, "copd", "prepare_films")["jobs"] == 8
    training = row(table, "adni", "train_model")
    assert training["jobs"] == 4
    # As measured: the shipped seconds are of these very settings.
    assert training["cpu_hours"] == pytest.approx(4 * 248.24 / 3600, rel=1e-3)
    assert training["gpu_hours"] == 0
    assert any("estimate" in note for note in notes)
    text = plan_text(plan(parse_config(config), tmp_path))
    assert "- hours are an estimate" in text


def test_baselines_are_more_jobs_and_hardly_more_hours(config, tmp_path):
    before = row(plan_study(config, tmp_path)[0], "adni", "train_model")
    baselines = {name: {} for name, method in METHODS.items() if method.baseline}
    config["datasets"]["adni"]["training"]["methods"] |= baselines
    after = row(plan_study(config, tmp_path)[0], "adni", "train_model")
    # Only the random field needs every seed.
    assert after["jobs"] == before["jobs"] + len(config["seeds"]) + 2
    assert after["cpu_hours"] == pytest.approx(before["cpu_hours"], rel=0.03)


def test_an_engine_costs_what_it_was_measured_to_cost(config, tmp_path):
    engines = config["datasets"]["adni"]["brain"]["engines"]

    def hours(**other):
        config["datasets"]["adni"]["brain"]["engines"] = engines | other
        table, _ = plan_study(config, tmp_path)
        rules = ["strip_skull"] + ["refine_skull"] * (other["skull_refine"] != "none")
        return sum(row(table, "adni", rule)["cpu_hours"] for rule in rules)

    fast = hours(skull="deepbet", skull_refine="none")
    assert hours(skull="embedded", skull_refine="embedded") > 5 * fast
    assert hours(skull="robex", skull_refine="embedded") > 5 * fast


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
    hours = row(table, "adni", "train_model")["cpu_hours"]
    assert hours == pytest.approx(4 * (2 + 10800) / 3600, rel=1e-3)


def test_run_that_hardly_did_more_than_start_tells_nothing_of_a_larger_one(config, tmp_path):
    for job in ("train/defi-gan_seed-0", "score/defi-gan_seed-0"):
        write_benchmark(tmp_path / f"benchmarks/adni/{job}.tsv", 6.0)
    tiny = yaml.safe_load(yaml.safe_dump(config))
    tiny["datasets"]["adni"]["training"] |= {"epochs": 1, "updates_per_epoch": 4}
    tiny["datasets"]["adni"]["brain"] |= {"shape": [24, 24, 24]}
    write_json({"config": tiny}, tmp_path / "results/provenance.json")
    table, notes = plan_study(config, tmp_path)
    training = row(table, "adni", "train_model")
    assert training["cpu_hours"] == pytest.approx(4 * 248.24 / 3600, rel=1e-3)
    assert training["measured"] == "demonstration"
    assert any("too small to tell" in note and "train_model of adni" in note for note in notes)
    # Where the shipped job did little but start, too, that of this machine counts.
    assert row(table, "adni", "score_model")["measured"] == "earlier run"
    # Of its own size, or a little more, it tells most.
    tiny["datasets"]["adni"]["training"]["epochs"] = 2
    table, notes = plan_study(tiny, tmp_path)
    assert row(table, "adni", "train_model")["measured"] == "earlier run"
    assert not any("too small" in note for note in notes)


def test_earlier_run_is_scaled_from_the_images_that_it_had(config, tmp_path):
    set_ready_archive(config, tmp_path)
    cohort = ingest_dataset(parse_config(config).datasets["adni"].ingest_settings())
    few = replace(cohort, manifest=cohort.manifest.head(5))
    write_cohort(few, tmp_path / "results/adni/ingest")
    write_benchmark(tmp_path / "benchmarks/adni/review.tsv", 100.4)
    table, _ = plan_study(config, tmp_path)
    hours = row(table, "adni", "review_volumes")["cpu_hours"]
    assert hours == pytest.approx((0.4 + 100 * len(cohort.manifest) / 5) / 3600)


def test_job_too_short_for_a_processor_time_counts_by_the_clock(config, tmp_path):
    write_benchmark(tmp_path / "benchmarks/table1.tsv", 0.0)
    text = (tmp_path / "benchmarks/table1.tsv").read_text().replace("0.0\t100.0", "1.8\t100.0")
    (tmp_path / "benchmarks/table1.tsv").write_text(text)
    table, _ = plan_study(config, tmp_path)
    assert row(table, "", "make_table")["cpu_hours"] == pytest.approx(1.8 / 3600)


def set_ready_archive(config, folder):
    """Have a data set read an archive that is there, in place of a simulated one."""
    images, tables = folder / "ADNI", folder / "tables"
    write_adni_archive(images, tables, subjects=40, seed=1)
    dataset = config["datasets"]["adni"]
    dataset |= {"demo": None, "archive": {"images": str(images), "tables": str(tables)}}
    dataset["splits"] = {"seed": 1, "fractions": {"train": 0.0, "validation": 0.4, "test": 0.6}}


def hours_of_training(config, folder, dataset="adni"):
    table, _ = plan_study(config, folder)
    training = row(table, dataset, "train_model")
    return training["cpu_hours"] + training["gpu_hours"]


@pytest.mark.parametrize(("key", "value", "factor"), [("epochs", 36, 2), ("batch_size", 6, 3)])
def test_training_grows_with_its_work(config, tmp_path, key, value, factor):
    before = hours_of_training(config, tmp_path)
    config["datasets"]["adni"]["training"][key] = value
    # A start does not grow, nor does the part of an update that goes with no image.
    assert hours_of_training(config, tmp_path) == pytest.approx(factor * before, rel=0.15)


def test_wider_networks_take_longer_with_the_square_of_their_width(config, tmp_path):
    before = hours_of_training(config, tmp_path)
    networks = config["datasets"]["adni"]["training"]["networks"]
    networks |= {"base_filters": 16, "critic_base_filters": 16}
    assert 3 < hours_of_training(config, tmp_path) / before < 4


def test_gpu_has_its_own_hours_by_a_speed_that_is_said_to_be_assumed(tmp_path):
    config = measured_demonstration() | {"device": "cuda"}
    table, notes = plan_study(config, tmp_path)
    training = row(table, "adni", "train_model")
    assert training["cpu_hours"] == 0
    assert training["measured"] == row(table, "adni", "score_attributions")["measured"] == "assumed"
    # 1800 updates of 7.5e9 operations: a GPU waits for their start most of the time.
    least = 1800 * ASSUMED_GPU.update_seconds
    assert least < training["gpu_hours"] / 4 * 3600 < 1.5 * least
    assert row(table, "adni", "strip_skull")["gpu_hours"] == 0
    assert any("assumed" in note for note in notes)


def test_without_a_gpu_the_plan_tells_what_one_would_do(config, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "gpus_per_training", lambda self: 0)
    _, notes = plan_study(config | {"device": "auto"}, tmp_path)
    assert any("no GPU is seen here" in note and "GPU hours" in note for note in notes)
    _, notes = plan_study(config, tmp_path)
    assert not any("GPU" in note for note in notes)


def write_training(results, device):
    write_json({"device": device}, results / "adni/models/defi-gan/seed-0/training.json")


def test_earlier_training_on_a_gpu_counts_by_the_clock(config, tmp_path):
    write_benchmark(tmp_path / "benchmarks/adni/train/defi-gan_seed-0.tsv", 1800.0)
    write_training(tmp_path / "results", "NVIDIA A100")
    table, _ = plan_study(config | {"device": "cuda"}, tmp_path)
    # The clock said 3600 s, the processor that fed the GPU half of them.
    assert row(table, "adni", "train_model")["gpu_hours"] == pytest.approx(4)
    assert row(table, "adni", "train_model")["measured"] == "earlier run"
    assert row(table, "copd", "train_model")["measured"] == "assumed"


@pytest.mark.parametrize(("then", "now"), [("cpu", "cuda"), ("NVIDIA A100", "cpu")])
def test_earlier_training_on_another_device_says_nothing(config, tmp_path, then, now):
    write_benchmark(tmp_path / "benchmarks/adni/train/defi-gan_seed-0.tsv", 1e6)
    write_training(tmp_path / "results", then)
    assert hours_of_training(config | {"device": now}, tmp_path) < 1


def write_gpu_benchmark(folder, gpu="NVIDIA A100", **other):
    """Two sizes of volumes: 0.01 s an update, and 1e13 operations a second besides."""
    measured = {"updates": "pipeline", "precision": "float32", "trainings": 1, "images": "device"}
    rows = [
        measured
        | {"shape": [size] * 3, "critic_operations": work, "generator_operations": work}
        | {"critic_s": 0.005 + work / 1e13, "generator_s": 0.015 + work / 1e13}
        for size, work in ((32, 1e10), (128, 2e12))
    ]
    rows += [rows[1] | {"precision": "bf16", "critic_s": 1e-3}, rows[1] | {"trainings": 2}]
    rows += [measured | {"shape": [224, 224], "failed": "OutOfMemoryError"}]
    write_json({"machine": {"gpu": gpu}, "measurements": rows} | other, folder / "gpu.json")


def test_a_gpu_is_as_fast_as_the_benchmark_says(tmp_path):
    write_gpu_benchmark(tmp_path / "benchmarks")
    config = measured_demonstration() | {"device": "cuda"}
    table, notes = plan_study(config, tmp_path)
    training = row(table, "adni", "train_model")
    # 1800 updates of 7.5e9 operations.
    assert training["gpu_hours"] / 4 * 3600 == pytest.approx(1800 * (0.01 + 7.5e9 / 1e13), rel=0.15)
    assert training["measured"] == "measured"
    assert row(table, "copd", "train_model")["measured"] == "assumed"
    assert any("as measured on NVIDIA A100" in note for note in notes)


def test_speed_of_a_gpu_from_two_sizes_or_one(tmp_path):
    assert gpu_speed(tmp_path, 3, "float32") == ASSUMED_GPU
    write_gpu_benchmark(tmp_path)
    speed = gpu_speed(tmp_path, 3, "float32")
    assert speed.operations == pytest.approx(1e13)
    assert speed.update_seconds == pytest.approx(0.01)
    rounded = gpu_speed(tmp_path, 3, "bf16")
    assert rounded.operations > 1.5e13
    assert rounded.update_seconds == 0
    assert gpu_speed(tmp_path, 2, "float32") == ASSUMED_GPU  # it failed
    write_gpu_benchmark(tmp_path, gpu=None)  # a rehearsal
    assert gpu_speed(tmp_path, 3, "float32") == ASSUMED_GPU


def test_unreadable_benchmark_is_named(tmp_path):
    (tmp_path / "gpu.json").write_text('{"machine": {}}')
    with pytest.raises(InputError, match=r"gpu\.json cannot be read.*benchmark gpu"):
        gpu_speed(tmp_path, 3, "float32")


def test_longest_job_is_told(config, tmp_path):
    write_benchmark(tmp_path / "benchmarks/adni/train/defi-gan_seed-0.tsv", 36000.0)
    _, notes = plan_study(config, tmp_path)
    assert any("longest job: train_model of adni, about 10.0 hours" in note for note in notes)


@pytest.mark.parametrize(("seconds", "told"), [(1.0, "a minute or less"), (1500.0, "25 minutes")])
def test_short_jobs_are_told_in_minutes(seconds, told):
    costs = {"dataset": "a", "rule": "train_model", "jobs": 1, "gpu_hours": 0.0, "measured": "no"}
    table = pd.DataFrame([costs | {"cpu_hours": seconds / 3600}])
    notes = _notes("auto", table, 0.01, ASSUMED_GPU.place)
    assert any(f"longest job: train_model of a, about {told}" in note for note in notes)
    # A GPU that saves a minute is not worth three lines.
    assert not any("GPU" in note for note in notes)
    assert not any("cluster" in note for note in notes)


def test_removed_intermediates_take_no_room(config, tmp_path):
    kept, _ = plan_study(config, tmp_path)
    table, _ = plan_study(config | {"keep_intermediates": False}, tmp_path)
    assert row(kept, "adni", "register_template")["gigabytes"] > 0.1
    assert row(table, "adni", "register_template")["gigabytes"] == 0
    assert row(table, "adni", "resample_grid")["gigabytes"] > 0


def test_ready_archive_is_counted(config, tmp_path):
    set_ready_archive(config, tmp_path)
    ready = parse_config(config).datasets["adni"]
    counts = count_cohort(ready, tmp_path / "results/adni", tmp_path / "cohorts")
    assert counts.images > 10
    assert counts.source == "the archive"
    # Kept where the workflow looks for it.
    assert len(list(tmp_path.glob("cohorts/*/manifest.parquet"))) == 1
    text = plan_text(plan(parse_config(config), tmp_path))
    assert f"- adni: {counts.images} images, by the archive\n" in text
    assert "- adni: pairs of a healthy and a diseased image: " in text


def test_toy_data_are_counted_by_their_settings(tmp_path):
    config = parse_config(yaml.safe_load((ROOT / "config/toy-small.yaml").read_text()))
    counted = count_cohort(config.datasets["toy"], tmp_path, tmp_path)
    assert counted == Counts(images=4000 + 2 * 260, pairs=260)


def test_films_of_a_server_are_unknown_until_fetched(config, tmp_path):
    dataset = config["datasets"]["copd"]
    dataset["demo"] = None
    dataset["archive"]["orthanc"] = {
        "url": "https://orthanc.example.org",
        "query": {"Modality": "CR"},
        "patients": "patients.csv",
    }
    with pytest.raises(InputError, match=r"datasets\.copd.*ingest_all"):
        plan_study(config, tmp_path)


def test_rules_without_a_measurement_are_named(config, tmp_path):
    config["datasets"]["copd"]["training"]["networks"]["critic_weights"] = "imagenet"
    planned = plan(parse_config(config), tmp_path)
    unknown = planned.table[planned.table["measured"] == "no"]
    assert unknown["rule"].tolist() == ["fetch_critic_weights"]  # how fast a network is
    assert unknown["cpu_hours"].isna().all()
    told = plan_text(planned).partition("not measured")[2]
    assert "fetch_critic_weights" in told


def test_command_prints_the_plan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cli.main(["plan", "--configfile", str(ROOT / "config.yaml")])
    said = capsys.readouterr().out
    assert "train_model" in said
    assert "in all: 804 jobs" in said
    assert "GB of disk" in said


def test_unreadable_configuration_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["plan", "--configfile", str(tmp_path / "none.yaml")])
    assert end.value.code == 2
