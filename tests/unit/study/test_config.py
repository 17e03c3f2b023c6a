import os
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from pipeline.stage.errors import InputError
from pipeline.study.config import check_config, gpus_per_training, training_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def paper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("adni/ADNI", "adni/tables", "copd/films"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data/copd/spirometry.csv").touch()
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/paper_drop.csv", tmp_path / "config")
    return yaml.safe_load((ROOT / "config/paper.yaml").read_text())


def changed(config, key, value):
    """`config` with one dotted key set, or removed where `value` is None."""
    config = deepcopy(config)
    *parents, last = key.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return config


@pytest.mark.parametrize("source", ["bids", "manifest"])
def test_other_sources(config, source, tmp_path):
    images = {"bids": "dataset", "manifest": "images"}[source]
    archive = {images: str(tmp_path)}
    if source == "manifest":
        archive["table"] = str(tmp_path / "table.csv")
        (tmp_path / "table.csv").touch()
    dataset = config["datasets"]["adni"] | {"source": source, "archive": archive, "demo": None}
    labels = {"column": "group", "healthy": ["MCI"], "diseased": ["AD"]}
    dataset["labels"] = labels
    check_config(config | {"datasets": {"mine": dataset}})
    films = config["datasets"]["copd"] | {"source": source, "archive": archive, "demo": None}
    films |= {"labels": labels, "columns": None}
    films["disease"] = {"name": "pneumonia", "healthy": "clear", "diseased": "pneumonia"}
    if source == "manifest":
        check_config(config | {"datasets": {"mine": films}})
    else:
        with pytest.raises(InputError, match=r"datasets.mine: missing key 'brain'"):
            check_config(config | {"datasets": {"mine": films}})
    for wrong in ({"brain": None}, {"demo": {"seed": 1}}, {"labels": labels | {"healthy": []}}):
        changed_dataset = {
            k: v for k, v in (dataset | wrong).items() if v is not None or k == "demo"
        }
        with pytest.raises(InputError, match=rf"datasets.mine.*{next(iter(wrong))}"):
            check_config(config | {"datasets": {"mine": changed_dataset}})


def test_lists_of_volumes_are_checked(config, tmp_path):
    table = tmp_path / "drop.csv"
    config = changed(config, "datasets.adni.qc.drop", str(table))
    with pytest.raises(InputError, match=r"datasets.adni.qc.drop: there is no"):
        check_config(config)
    table.write_text("subject,session\nnobody,bl\n")
    with pytest.raises(InputError, match=r"datasets.adni.qc: drop.csv:2: 'nobody' is no subject"):
        check_config(config)


def test_shipped_configurations_are_right(config, paper):
    check_config(config)
    check_config(paper)
    for name in ("toy", "toy-small"):
        check_config(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))


def test_original_vagan_of_the_paper_is_a_choice(paper):
    """The lines that config/paper.yaml gives in a comment."""
    text = (ROOT / "config/paper.yaml").read_text()
    comment = text.partition("instead of the plain one: replace by\n")[2].partition("va-gan:")[0]
    choice = yaml.safe_load(comment.replace("#  ", "   "))
    assert len(choice) == 7
    training = paper["datasets"]["adni"]["training"]
    training["methods"]["va-gan"] |= choice
    check_config(paper)
    settings = training_settings(paper, "adni", "va-gan", 0)
    assert settings["batch_size"] * settings["accumulated_batches"] == 12
    assert settings["epochs"] * settings["updates_per_epoch"] == 1500
    training["methods"]["defi-gan"]["variant"] = "original"
    with pytest.raises(InputError, match=r"defi-gan\.variant: expected one of plain"):
        check_config(paper)


LAMBDA = "datasets.adni.training.methods.defi-gan.lambda"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sedes", [1], "unknown key 'sedes'; did you mean 'seeds'?"),
        ("datasets.adni.brian", {}, "datasets.adni: unknown key 'brian'; did you mean 'brain'?"),
        (
            "datasets.copd.chest.resise",
            72,
            "datasets.copd.chest: unknown key 'resise'; did you mean 'resize'?",
        ),
        (
            "colour",
            "red",
            "unknown key 'colour'; known here: datasets, device, jobs_per_gpu",
        ),
        ("seeds", None, "missing key 'seeds': expected array"),
        (LAMBDA, "ten", f"{LAMBDA}: expected number, at least 0, found 'ten'"),
        (LAMBDA, -1, f"{LAMBDA}: expected number, at least 0, found -1"),
        (
            "datasets.adni.figures.details.ventricles.plane",
            None,
            "datasets.adni.figures.details.ventricles: missing key 'plane'",
        ),
        (
            "datasets.adni.brain.shape",
            [32, 36, 32],
            "datasets.adni.brain.shape: 32 x 36 x 32 cannot be halved 3 times",
        ),
        (
            "datasets.copd.chest.crop",
            40,
            "datasets.copd.chest.crop: 40 x 40 cannot be halved 4 times "
            "(training.networks.poolings); expected multiples of 16",
        ),
        (
            "datasets.copd.figures.details.trachea.box",
            [0.5, 0, 0.5, 1],
            "datasets.copd.figures.details.trachea.box: expected left, top, right, bottom",
        ),
        (
            "datasets.adni.disease.healty",
            "MCI",
            "datasets.adni.disease: unknown key 'healty'; did you mean 'healthy'?",
        ),
        ("datasets.copd.title", "", "datasets.copd.title: expected string"),
        ("datasets.copd.disease", None, "datasets.copd: missing key 'disease': expected object"),
        (
            "datasets.adni.modality",
            "image",
            "datasets.adni.modality: expected one of brain, found 'image'",
        ),
        (
            "datasets.adni.modality",
            "mri",
            "datasets.adni.modality: expected one of brain, chest, image, found 'mri'",
        ),
        ("device", "gpu", "device: expected one of auto, cpu, cuda, found 'gpu'"),
        ("seeds", [1, 1], "seeds: expected array"),
        (
            "datasets.adni.brain.engines.bias",
            "fsl",
            "datasets.adni.brain.engines.bias: unknown engine 'fsl'; known here: auto, embedded,",
        ),
        ("datasets.adni.source", "oasis", "datasets.adni.source: expected one of adni, copd"),
        ("datasets.copd.qc", {}, "datasets.copd.qc: has no place here"),
        (
            "datasets.adni.qc.exclude",
            ["overlaps"],
            "datasets.adni.qc.exclude.0: expected one of empty_planes, brain_volume, correlation",
        ),
        ("datasets.a-b", {}, "datasets: 'a-b' cannot be a name: letters and digits only"),
        ("datasets.adni.chest", {}, "datasets.adni.chest: has no place here"),
        ("datasets.adni.demo.sede", 1, "datasets.adni.demo: unknown key 'sede'; did you mean"),
        (
            "datasets.adni.published",
            {"va-gan": [0.3, 0.1]},
            "datasets.adni.published: a demonstration has no published figures",
        ),
        (
            "datasets.adni.brain.template",
            "no/such.nii",
            "datasets.adni.brain.template: there is no 'no/such.nii'",
        ),
        (
            "datasets.adni.splits",
            {"lists": {"train": "a.txt", "validation": "b.txt", "test": "c.txt"}},
            "datasets.adni.splits.lists.train: there is no 'a.txt'",
        ),
    ],
)
def test_mistake_is_named_with_its_key(config, key, value, message):
    with pytest.raises(InputError) as error:
        check_config(changed(config, key, value))
    assert message in str(error.value)


def test_missing_archive_is_named(paper):
    wrong = changed(paper, "datasets.adni.archive.tables", "elsewhere/tables")
    with pytest.raises(InputError, match=r"datasets\.adni\.archive\.tables: there is no 'elsew"):
        check_config(wrong)


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
        check_config(paper)


def test_every_mistake_is_told_at_once(config):
    wrong = changed(changed(config, LAMBDA, "ten"), "device", "gpu")
    with pytest.raises(InputError) as error:
        check_config(wrong)
    assert len(str(error.value).splitlines()) == 3


def test_training_settings_hold_what_defines_a_run(paper):
    settings = training_settings(paper, "adni", "va-gan", "3")
    assert settings["method"] == "va-gan"
    assert settings["seed"] == 3
    assert settings["lambda"] == 100
    assert settings["batch_size"] == 4
    assert settings["base_filters"] == 16


def test_no_gpu_is_asked_for_on_the_processor():
    assert gpus_per_training("cpu") == 0
    assert gpus_per_training("cuda") == 1


SERVER = {"url": "https://host:8042", "query": {"Modality": "CR"}, "patients": "patients.csv"}


def test_server_makes_the_folder_of_the_films(paper, tmp_path):
    (tmp_path / "data/copd/films").rmdir()
    check_config(changed(paper, "datasets.copd.archive.orthanc", SERVER))


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
    config = changed(paper, "datasets.copd.archive.orthanc", SERVER | setting)
    with pytest.raises(InputError, match=message) as refusal:
        check_config(config)
    assert "secret" not in str(refusal.value)
