"""What a configuration says, and what it need not say."""

import json
import os
import re

import pytest
import yaml
from helpers.configurations import ROOT, changed, effective, shipped
from helpers.paper_archives import LISTS, TEMPLATE, write_paper_paths
from snakemake.utils import update_config

from pipeline.method.registry import find_method
from pipeline.method.training.settings import TrainSettings
from pipeline.stage.errors import InputError
from pipeline.study.config import parse_config, read_config

SHIPPED = ("config.yaml", "config/paper.yaml", "config/toy.yaml", "config/toy-small.yaml")


@pytest.mark.parametrize("said", ["%d/%m/%y", "%Y-%m-%d", "%d %b %Y", "%B %d, %Y", "serial"])
def test_date_format(said):
    config = changed(effective("config.yaml"), {"datasets.copd.date_format": said})
    dataset = parse_config(config).datasets["copd"]
    assert dataset.ingest_settings()["date_format"] == said


@pytest.fixture
def paper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_paper_paths(tmp_path)
    return shipped("config/paper.yaml")


def test_shipped_configurations_are_right(paper):
    for name in SHIPPED:
        read_config(shipped(name))


@pytest.mark.parametrize("name", SHIPPED)
def test_effective_configuration_says_all_and_the_same(name):
    config = parse_config(shipped(name))
    text = yaml.safe_dump(config.effective(), sort_keys=False)
    assert parse_config(yaml.safe_load(text)) == config
    assert parse_config(yaml.safe_load(text)).effective() == config.effective()


def test_further_methods_are_laid_over_the_demonstration():
    """As Snakemake lays one configuration file over another: further methods, fewer seeds."""
    demo, both = shipped("config.yaml"), shipped("config.yaml")
    update_config(both, shipped("config/methods.yaml"))
    read, before = parse_config(both).effective(), parse_config(demo).effective()
    for name, dataset in read["datasets"].items():
        methods = dataset["training"].pop("methods")
        usual = before["datasets"][name]["training"].pop("methods")
        assert usual.items() < methods.items()
        assert methods.keys() - usual.keys() == {"defi-gan-diffeo", "ddim", "latent-shift"}
    assert set(read.pop("seeds")) < set(before.pop("seeds"))  # whose models are used again
    assert read == before


def test_numbers_stay_as_they_were_written():
    """What a job depends on is compared as text."""
    change = {"datasets.adni.training.methods.defi-gan.lambda": 15}
    settings = parse_config(changed(effective("config.yaml"), change)).training_settings(
        "adni", "defi-gan", 0
    )
    assert json.dumps(settings["lambda"]) == "15"


PARTICULAR = {  # of the paper's study, and of nobody else's
    "adni": {
        "source": "adni",
        "archive": {"images": "data/adni/ADNI", "tables": "data/adni/tables"},
        "splits": {"lists": LISTS},
        "brain": {"template": TEMPLATE},
        "qc": {"drop": "config/paper_drop.csv"},
        "published": {"va-gan": [0.332, 0.015], "defi-gan": [0.365, 0.014]},
    },
    "copd": {
        "source": "copd",
        "archive": {"films": "data/copd/films", "spirometry": "data/copd/spirometry.csv"},
        "labels": {"pseudonym_key": "data/copd/pseudonym.key"},
        "published": {"va-gan": [0.174, 0.007], "defi-gan": [0.204, 0.006]},
    },
}


def test_what_is_not_said_is_as_in_the_paper():
    assert parse_config({"datasets": PARTICULAR}).effective() == effective("config/paper.yaml")


def test_values_that_the_demonstration_explains_in_comments_are_those_of_the_paper():
    """Each ``# key: value`` of config.yaml, without its mark of a comment."""
    text = (ROOT / "config.yaml").read_text()
    said, count = re.subn(r"^( *)# ( *[a-z_][a-z_ ]*:( .*)?)$", r"\1\2", text, flags=re.MULTILINE)
    assert count > 40
    assert yaml.safe_load(said) != shipped("config.yaml")
    assert parse_config(yaml.safe_load(said)).effective() == effective("config.yaml")


def test_paper_says_every_value_itself():
    """It is what the authors ran, for everyone to read."""
    said, all_values = shipped("config/paper.yaml"), effective("config/paper.yaml")

    def compare(said, all_values, place):
        assert set(said) == set(all_values), place
        for key, value in said.items():
            if isinstance(value, dict):
                compare(value, all_values[key], f"{place}.{key}")

    compare(said, all_values, "")


def test_toy_data_are_those_of_the_authors():
    toy = {"source": "toy", "published": {"va-gan": [0.532, None], "defi-gan": [0.710, None]}}
    assert parse_config({"datasets": {"toy": toy}}).effective() == effective("config/toy.yaml")


LABELS = {"column": "group", "healthy": ["control"], "diseased": ["FTD"]}
OTHER = {
    "title": "Lund",
    "disease": {"name": "frontotemporal dementia", "healthy": "controls", "diseased": "FTD"},
    "labels": LABELS,
}


def other_source(folder, source, **more):
    archive = {{"bids": "dataset", "manifest": "images"}[source]: str(folder)}
    if source == "manifest":
        archive["table"] = str(folder / "table.csv")
        (folder / "table.csv").touch()
    return {"datasets": {"mine": {**OTHER, "source": source, "archive": archive, **more}}}


@pytest.mark.parametrize(
    ("source", "more", "like"),
    [
        ("bids", {}, "adni"),
        ("manifest", {"modality": "brain"}, "adni"),
        ("manifest", {"modality": "chest"}, "copd"),
    ],
)
def test_another_disease_has_the_papers_values_of_its_modality(tmp_path, source, more, like):
    mine = read_config(other_source(tmp_path, source, **more)).effective()["datasets"]["mine"]
    paper = effective("config/paper.yaml")["datasets"][like]
    assert mine["training"] == paper["training"]
    assert mine["figures"] == paper["figures"]
    preparation = paper["modality"]
    # The template is a file of the paper's study; others get the one that comes with a package.
    packaged = {"template": None} if preparation == "brain" else {}
    assert mine[preparation] == paper[preparation] | packaged
    assert mine["published"] is None
    assert mine["title"] == "Lund"


@pytest.mark.parametrize(
    ("source", "more", "said"),
    [
        ("bids", {"chest": {}}, "datasets.mine.chest: has no place here"),
        ("manifest", {}, "datasets.mine: missing key 'modality': expected one of brain, chest"),
        ("manifest", {"modality": "image"}, "datasets.mine.modality: expected one of brain, chest"),
        ("manifest", {"modality": "chest", "qc": {}}, "datasets.mine.qc: has no place here"),
        ("bids", {"demo": {"seed": 1}}, "datasets.mine.demo: expected null"),
        ("bids", {"labels": LABELS | {"healthy": []}}, "datasets.mine.labels.healthy: expected"),
        ("bids", {"labels": LABELS | {"healthy": [[]]}}, "mine.labels.healthy.0: expected string"),
    ],
)
def test_other_source_that_is_wrong(tmp_path, source, more, said):
    with pytest.raises(InputError) as refusal:
        read_config(other_source(tmp_path, source, **more))
    assert said in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 2


def test_lists_of_volumes_are_checked(tmp_path):
    table = tmp_path / "drop.csv"
    config = changed(effective("config.yaml"), {"datasets.adni.qc.drop": str(table)})
    with pytest.raises(InputError, match=r"datasets.adni.qc.drop: there is no"):
        read_config(config)
    table.write_text("subject,session\nnobody,bl\n")
    with pytest.raises(InputError, match=r"datasets.adni.qc: drop.csv:2: 'nobody' is no subject"):
        read_config(config)


def test_lists_of_subjects_take_the_place_of_chance(paper):
    lists = {"train": "a.txt", "validation": "b.txt", "test": "c.txt"}
    paper["datasets"]["adni"]["splits"] = {"lists": lists}
    adni = parse_config(paper).datasets["adni"]
    assert adni.ingest_settings()["splits"] == {"lists": lists}


def test_vagan_of_the_paper_is_its_authors_own_on_adni(paper):
    """1,500 generator updates; 100 critic updates before 25 + 14 of them, 5 before the others."""
    config = read_config(paper)
    settings = TrainSettings.read(config.training_settings("adni", "va-gan", 0))
    assert (settings.variant, settings.learning_rate, settings.lambda_) == ("original", 1e-3, 100)
    assert (settings.batch_size, settings.accumulated_batches) == (2, 6)
    assert settings.epochs * settings.updates_per_epoch == 1500
    assert settings.updates_per_epoch == 10
    assert settings.total_updates() == 1500 + 39 * 100 + 1461 * 5
    films = TrainSettings.read(config.training_settings("copd", "va-gan", 0))
    assert (films.variant, films.learning_rate, films.batch_size) == ("plain", 1e-4, 8)
    assert films.critic_boost_every == 0


def test_variant_of_vagan_decides_what_is_not_said(paper):
    methods = paper["datasets"]["adni"]["training"]["methods"]
    methods["va-gan"] = {"variant": "plain"}
    plain = read_config(paper).training_settings("adni", "va-gan", 0)
    assert (plain["learning_rate"], plain["critic_boost_every"]) == (0.0001, 0)
    assert (plain["batch_size"], plain["epochs"], plain["epoch_counts"]) == (4, 60, "updates")
    methods["va-gan"] = {"batch_size": 1}
    original = read_config(paper).training_settings("adni", "va-gan", 0)
    assert (original["variant"], original["batch_size"], original["epochs"]) == ("original", 1, 150)


@pytest.fixture
def nobody():
    """Makes the test that of a user who is not root, who may read everything."""
    before = os.geteuid()

    def become():
        if before == 0:
            os.seteuid(65534)

    yield become
    os.seteuid(before)


@pytest.mark.parametrize("closed", ["data/copd/films", "data/copd"])
def test_archive_that_is_closed_to_the_user_is_named(paper, tmp_path, nobody, closed):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # pytest's own are closed to others
    (tmp_path / closed).chmod(0o000)
    nobody()
    with pytest.raises(InputError, match=r"archive\.films: 'data/copd/films' cannot be read"):
        read_config(paper)


def test_training_settings_are_all_that_a_training_reads():
    for file in SHIPPED:
        config = parse_config(shipped(file))
        for dataset, options in config.datasets.items():
            for name in options.training.methods:
                settings = config.training_settings(dataset, name, 0)
                if find_method(name).baseline:
                    assert settings == {"method": name, "seed": 0}
                else:
                    TrainSettings.read(settings)


def test_training_settings_hold_what_defines_a_run(paper):
    settings = parse_config(paper).training_settings("adni", "va-gan", "3")
    assert settings["method"] == "va-gan"
    assert settings["seed"] == 3
    assert settings["lambda"] == 100
    assert settings["batch_size"] == 2
    assert settings["base_filters"] == 16


def test_critic_starts_from_the_file_that_a_job_made(paper):
    settings = parse_config(paper).training_settings("copd", "va-gan", 0)
    assert settings["critic_weights"] == "results/copd/critic_weights.safetensors"
    assert parse_config(paper).training_settings("adni", "va-gan", 0)["critic_weights"] == "random"


def test_words_and_pictures_change_no_model():
    config = parse_config(shipped("config.yaml"))
    said = config.of_model("adni", "defi-gan")
    assert list(said["training"]["methods"]) == ["defi-gan"]
    assert not {"title", "disease", "figures", "published"} & set(said)


def test_no_gpu_is_asked_for_on_the_processor():
    config = shipped("config.yaml")
    assert parse_config(config | {"device": "cpu"}).gpus_per_training() == 0
    assert parse_config(config | {"device": "cuda"}).gpus_per_training() == 1


SERVER = {"url": "https://host:8042", "query": {"Modality": "CR"}, "patients": "patients.csv"}


def test_server_makes_the_folder_of_the_films(paper, tmp_path):
    (tmp_path / "data/copd/films").rmdir()
    read_config(changed(paper, {"datasets.copd.archive.orthanc": SERVER}))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"url": "https://reader:secret@host"}, "url: holds a user"),
        ({"url": "http://host:8042"}, "expected https"),
        ({"url": "host:8042"}, "expected https://HOST:PORT"),
        ({"query": {"Modalty": "CR"}}, "'Modalty' is no keyword of DICOM"),
        ({"query": {}}, r"archive\.orthanc\.query"),
    ],
)
def test_server_that_is_wrong(paper, setting, message):
    config = changed(paper, {"datasets.copd.archive.orthanc": SERVER | setting})
    with pytest.raises(InputError, match=message) as refusal:
        read_config(config)
    assert "secret" not in str(refusal.value)
