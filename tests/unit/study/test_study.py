"""What the rules ask of a study, without Snakemake."""

import json
import os
from types import SimpleNamespace

import pytest
from helpers.configurations import changed, effective, shipped
from helpers.paper_archives import write_paper_archives

from pipeline.chest.shards import shard_of
from pipeline.method.training.settings import TrainSettings
from pipeline.stage.errors import InputError
from pipeline.study.config import parse_config
from pipeline.study.job_settings import of_dataset
from pipeline.study.patterns import model, volume
from pipeline.study.study import Study

SERVER = {"url": "https://host:8042", "query": {"Modality": "CR"}, "patients": "patients.csv"}


def job(dataset, **wildcards):
    """Wildcards of a job."""
    return SimpleNamespace(dataset=dataset, **wildcards)


def not_done(name):
    raise LookupError(name)


def study_of(config, **options):
    return Study(parse_config(config), not_done, **options)


@pytest.fixture
def demo():
    return study_of(shipped("config.yaml"))


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    write_paper_archives(folder, subjects=80)
    return folder


@pytest.fixture
def paper(archives, monkeypatch):
    """The paper's study on made-up archives."""
    monkeypatch.chdir(archives)
    return study_of(shipped("config/paper.yaml"))


# ---- which data sets there are ----


def test_data_sets_by_what_is_done_with_them(demo, paper):
    assert list(demo.volumes) == ["adni"]
    assert list(demo.films) == ["copd"]
    assert demo.demos == demo.made == demo.known_fields == ["adni", "copd"]
    assert demo.ready == []
    assert paper.made == paper.demos == paper.known_fields == []
    assert paper.ready == paper.drawn == ["adni", "copd"]
    toy = study_of(shipped("config/toy.yaml"))
    assert list(toy.squares) == toy.with_fields == ["toy"]
    assert list(toy.cohorts) == toy.drawn == toy.made == []


def test_vagan_alone_has_no_fields():
    config = effective("config.yaml")
    training = config["datasets"]["adni"]["training"]
    training["methods"] = {"va-gan": training["methods"]["va-gan"]}
    study = study_of(config)
    assert study.with_fields == study.drawn == study.known_fields == ["copd"]


def test_simulations_by_the_archive_that_they_make(demo):
    assert list(demo.demos_of("adni")) == ["adni"]
    assert "truth" not in json.loads(demo.demo_settings("copd"))
    assert json.loads(demo.demo_settings("copd"))["paired"] == demo.cohorts["copd"].demo.paired


# ---- settings ----


def test_value_is_a_constant_where_all_data_sets_agree():
    assert of_dataset({"a": 1, "b": 1}) == 1
    assert of_dataset({}) is None
    assert of_dataset({"a": 1, "b": 2})(job("b")) == 2


def test_two_data_sets_of_volumes_have_settings_of_their_own():
    config = effective("config.yaml")
    other = config["datasets"]["adni"]
    own = {
        "brain.voxel_mm": 2.4,
        "brain.template": "head.nii",
        "brain.engines.skull_refine": "auto",
    }
    config["datasets"]["other"] = changed(other, own)
    study = study_of(config)
    assert study.brain("bet_fraction") == 0.25
    assert study.brain("voxel_mm")(job("other")) == 2.4
    assert study.template_file(job("adni")) == []
    assert study.template_option(job("other")) == ["--template", "head.nii"]
    assert study.engine("crop") == "niimath"


def test_no_template_is_no_input(demo):
    assert demo.template_file == []
    assert not study_of(shipped("config/toy.yaml")).template_file


ENGINE = "datasets.adni.brain.engines.skull_refine"
PREPARED = {"datasets.adni.demo": None, "datasets.adni.prepared": "grid", ENGINE: "fsl"}


@pytest.fixture
def prepared(archives):
    config = changed(effective("config.yaml"), PREPARED)
    paths = {"images": f"{archives}/data/adni/ADNI", "tables": f"{archives}/data/adni/tables"}
    config["datasets"]["adni"]["archive"] = paths
    return config


def test_prepared_volumes_ask_for_no_engine_of_a_stage_that_they_skip(prepared, monkeypatch):
    monkeypatch.setenv("PATH", "")
    study = study_of(prepared)
    assert study.engines["adni"] == {}
    assert study.through("crop") == [] and study.through("grid") == ["adni"]
    assert study.after("skull_refine") == volume("accept")


def test_raw_and_prepared_volumes_go_their_own_ways(prepared):
    config = changed(effective("config.yaml"), {ENGINE: "embedded"})
    config["datasets"]["other"] = prepared["datasets"]["adni"]
    study = study_of(config)
    wildcards = {"subject": "s1", "session": "bl"}
    for name, stage in (("adni", "skull_refine"), ("other", "accept")):
        found = study.after("skull_refine")(job(name, **wildcards))
        assert found == volume(stage).format(dataset=name, **wildcards)
    assert study.through("crop") == ["adni"] and study.through("accept") == ["other"]
    assert study.prepared(job("other")) == "grid"


def test_state_of_a_raw_volume_follows_its_file_and_its_mask(demo, tmp_path, monkeypatch):
    study, wildcards = demo, job("adni")
    image = tmp_path / "sub-1_desc-preproc_T1w.nii"
    image.touch()
    monkeypatch.setattr(study, "scan", lambda wildcards: str(image))
    states = [study.raw_state(wildcards)]
    os.utime(image, (1, 1))
    states += [study.raw_state(wildcards), study.raw_state(wildcards)]
    mask = image.with_name("sub-1_desc-brain_mask.nii.gz")
    mask.touch()
    states.append(study.raw_state(wildcards))
    os.utime(mask, (1, 1))
    states.append(study.raw_state(wildcards))
    assert states[1] == states[2] and len(set(states)) == 4
    monkeypatch.setattr(study, "scan", lambda wildcards: str(tmp_path))  # of a series
    assert study.raw_state(wildcards) == ""


def test_engine_that_is_missing_is_told_with_its_data_set(monkeypatch):
    for variable in ("FSLDIR", "ROBEX_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")
    config = changed(effective("config.yaml"), {ENGINE: "fsl"})
    with pytest.raises(InputError, match=r"^datasets\.adni\.brain\.engines: fsl is not found"):
        study_of(config)
    conda = study_of(config, conda=True)
    assert conda.engine("skull_refine") == "fsl"
    assert conda.engine_env("skull_refine", "envs/{}.yaml") == "envs/fsl.yaml"
    assert conda.engine_env("crop", "envs/{}.yaml") == "envs/python.yaml"


def test_stage_that_all_leave_out_has_a_place_and_no_job(demo):
    assert demo.engine("skull_refine") is None and demo.through("skull_refine") == []
    assert demo.after("skull_refine") == volume("skull")
    assert demo.engine_env("skull_refine", "envs/{}.yaml") == "envs/python.yaml"


def test_settings_of_trainings(demo):
    wildcards = {"dataset": "adni", "method": "defi-gan", "seed": "1", "factor": "0.5"}
    settings = json.loads(demo.train_settings(job(**wildcards)))
    assert TrainSettings.read(settings).seed == 1
    halved = json.loads(demo.sweep_settings(job(**wildcards)))
    assert halved["lambda"] == settings["lambda"] / 2
    assert halved["seed"] == demo.config.sweep.seed
    model = json.loads(demo.model_settings(job(**wildcards)))
    assert list(model["training"]["methods"]) == ["defi-gan"]
    training = demo.datasets["adni"].training
    half = training.epochs * training.updates_per_epoch // 2
    assert json.loads(demo.attribution_settings(job("adni")))["updates"] == half


def test_critics_start(demo, paper):
    assert demo.critic_weights(job("copd", method="defi-gan")) == []
    films = job("copd", method="defi-gan")
    assert paper.critic_weights(films) == "results/copd/critic_weights.safetensors"
    assert paper.critic_source(job("copd")) == ["imagenet"]
    own = {"datasets.copd.training.networks.critic_weights": {"file": "w", "sha256": "0" * 64}}
    study = study_of(changed(effective("config.yaml"), own))
    assert study.critic_source(job("copd")) == ["w", "--sha256", "0" * 64]


def test_lists_of_the_user_are_options_and_inputs(demo, paper):
    page = demo.page_settings(job("adni"))
    assert page[:3] == ["--source", "adni", "--about"]
    assert json.loads(page[3])["data"] == "demo"
    assert demo.review_settings(job("adni")) == [*page, "--exclude", "empty_planes"]
    assert paper.review_settings(job("adni"))[-2:] == ["--drop", "config/paper_drop.csv"]
    assert paper.reviewed_volumes(job("adni"))[-1] == "config/paper_drop.csv"


def test_films_of_a_server():
    config = changed(shipped("config/paper.yaml"), {"datasets.copd.archive.orthanc": SERVER})
    study = study_of(config)
    assert list(study.fetched) == study.made == ["copd"]
    assert study.fetched_option(job("copd")) == ["--fetched", "results/copd/fetched.csv"]
    assert study.fetched_option(job("adni")) == []
    assert json.loads(study.server_settings(job("copd"))) == {
        key: SERVER[key] for key in ("url", "query")
    }
    # What stays with the site is a path of its own, not among the settings that are shown.
    assert study.server_paths(job("copd")) == [
        *("data/copd/films", "--patients", "patients.csv"),
        *("--pseudonym-key", "data/copd/pseudonym.key"),
    ]


def test_truth_of_a_demonstration(demo, paper):
    assert demo.truth_folder(job("adni")) == "demo/adni/truth"
    assert demo.truth_option(job("adni")) == ["--truth", "demo/adni/truth"]
    assert paper.truth_folder(job("adni")) == paper.truth_option(job("adni")) == []


def test_tables_and_pictures_know_what_is_simulated(demo, paper):
    table = json.loads(demo.table_settings())
    assert table["adni"] == demo.datasets["adni"].describe() | {"published": None}
    assert table["adni"]["data"] == "demo"
    assert json.loads(paper.table_settings())["copd"]["published"]["va-gan"] == [0.174, 0.007]
    assert json.loads(demo.figure_settings(job("copd")))["data"] == "demo"
    toy = study_of(shipped("config/toy.yaml"))
    assert json.loads(toy.table_settings())["toy"]["data"] == "toy"
    assert json.loads(toy.toy_settings(job("toy")))["size"] == 224


# ---- files ----


def test_archive_of_a_job_is_not_known_before(demo):
    for files in (demo.packed_volumes, demo.raw_volume, demo.reviewed_volumes):
        with pytest.raises(LookupError):
            files(job("adni", subject="1", session="bl"))
    with pytest.raises(LookupError):
        demo.all_pairs(job("adni"))


def test_files_of_volumes(paper, archives):
    cohort = paper.cohort("adni")
    row = cohort.manifest.iloc[0]
    raw = paper.raw_volume(job("adni", subject=row["subject"], session=row["session"]))
    assert (archives / raw).is_file()
    volumes, pairs = len(cohort.manifest), len(cohort.pairs)
    assert volumes > 20
    assert len(paper.all_volumes(job(""))) == volumes
    packed = paper.packed_volumes(job("adni"))
    assert len(set(packed)) == len(packed) == volumes + 2 * pairs
    assert len(paper.reviewed_volumes(job("adni"))) == 2 * volumes + 1


def test_film_is_in_the_shard_of_its_subject(paper):
    manifest = paper.cohort("copd").manifest
    shards = paper.film_shards("copd", "film")
    films = []
    for path in shards:
        shard = path.partition("shard-")[2].removesuffix(".npz")
        found = paper.shard_films(job("copd", shard=shard))
        subjects = set(manifest.loc[manifest["path"].isin(found), "subject"])
        assert {shard_of(subject, 64) for subject in subjects} == {int(shard)}
        films += found
    assert sorted(films) == sorted(manifest["path"])
    pairs = paper.film_shards("copd", "pairs")
    assert len(pairs) <= len(shards)
    assert len(paper.packed_films(job("copd"))) == 2 * (len(shards) + len(pairs))
    assert paper.all_films(job("")) == shards
    assert set(pairs) < set(paper.all_pairs(job("")))


def test_models_methods_and_seeds_go_together(demo):
    wildcards = job("copd")
    models, methods, seeds = (
        demo.models(pattern)(wildcards)
        for pattern in (model("generator.safetensors"), "{method}", "{seed}")
    )
    told = zip(methods, seeds, strict=True)
    assert models == [
        f"results/copd/models/{method}/seed-{seed}/generator.safetensors" for method, seed in told
    ]
    per_seed, seeds = 3, len(demo.seeds)  # and two methods that are fitted once
    assert len(models) == len(set(models)) == per_seed * seeds + 2
    deforming = ["random-field"] * seeds + ["constant-field"] + ["defi-gan"] * seeds
    assert demo.models("{method}", deforming=True)(wildcards) == deforming
    assert len(demo.on_methods("{dataset} {method} {seed}")) == 2 * (per_seed * seeds + 2)
    assert demo.shown_methods(wildcards) == ["defi-gan", "va-gan"]
    assert len(demo.on_sweep("{dataset} {method} {factor}")) == 2 * 2 * 5


def test_pictures_of_chosen_subjects(paper):
    pairs = paper.cohort("adni").pairs
    subject = pairs.loc[pairs["split"] == "test", "subject"].iloc[0]
    config = effective("config/paper.yaml")
    config["datasets"]["adni"]["figures"]["subjects"] = [subject, "nobody"]
    study = study_of(config)
    assert study.cases("adni") == [f"sub-{subject}", "sub-nobody"]
    assert study.cases("copd") == ["best", "median", "worst"]
    assert len(study.figures()) == 2 * len(study.figures(["png"])) == 2 * 3 * (2 + 3)
    models = study.shown_models(job("adni", case=f"sub-{subject}"))
    assert models == paper.shown_models(job("adni", case="median"))
    with pytest.raises(InputError, match=r"adni\.figures\.subjects: nobody has no test pair"):
        study.shown_models(job("adni", case="sub-nobody"))


def test_results_of_a_study_of_people_and_of_toys(demo, paper):
    results = demo.results()
    assert {"results/truth.csv", "results/adni/qc.html", "results/config.yaml"} <= set(results)
    assert "results/copd/qc.html" not in results
    assert "results/truth.csv" not in paper.results()
    toy = study_of(shipped("config/toy.yaml")).results()
    assert not {"results/biomarkers.csv", "results/table1_extended.csv"} & set(toy)


def test_report_reads_all_that_it_shows(demo):
    sections = json.loads(demo.report_sections())
    shown = {path for files in sections.values() for path in files}
    assert shown <= set(demo.report_files())
    assert list(sections) == [
        *("Table 1", "Other explanations", "Known truth of the demonstration", "Credibility"),
        *("Claims of the paper", "Cohorts", "Quality control", "Explorer", "Figures"),
        *("Biomarkers", "Training", "Methods and provenance"),
    ]
    assert list(json.loads(study_of(shipped("config/toy.yaml")).report_sections())) == [
        *("Table 1", "Credibility", "Claims of the paper", "Explorer", "Figures", "Training"),
        "Methods and provenance",
    ]
    known = json.loads(demo.report_datasets())
    assert known["adni"]["title"] == "ADNI" and known["adni"]["data"] == "demo"
    assert known["copd"]["cohort"] == "results/copd/cohort.json"
    assert len(known["copd"]["models"]) == 3 * len(demo.seeds) + 2


def test_effective_configuration_keeps_its_order(demo):
    assert json.loads(demo.effective_config()) == demo.config.effective()
    assert list(json.loads(demo.effective_config())) == list(demo.config.effective())
