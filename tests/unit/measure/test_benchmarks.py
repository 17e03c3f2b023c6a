import json

import pytest
import torch
import yaml
from helpers.workflow import ROOT

from pipeline import cli
from pipeline.measure.benchmarks import LISTS, benchmark, configured_case
from pipeline.measure.training_speed import Measurement
from pipeline.stage.errors import InputError
from pipeline.study.config import parse_config

GPU = torch.device("cuda")


@pytest.fixture
def tiny(make_settings):
    return Measurement("tiny", make_settings(base_filters=2, critic_base_filters=2), (32, 32))


def test_every_measurement_is_written_when_it_ends(tiny, tmp_path, monkeypatch):
    odd = Measurement("odd", tiny.settings, (32, 32), updates="none")
    both = Measurement("both", tiny.settings, (32, 32), trainings=2)
    monkeypatch.setitem(LISTS, "train", lambda small, large, place: [*small, *large])
    record = benchmark("train", [odd], [both], tmp_path / "train.json", device="cpu", repeats=1)
    assert json.loads((tmp_path / "train.json").read_text())["measurements"][1]["trainings"] == 2
    failed, measured = record["measurements"]
    assert failed["failed"] == "KeyError: 'none'"
    assert measured["critic_s"] > 0 < measured["critic_operations"]
    # Each of the two makes a batch of 2 in that time.
    assert measured["images_per_s"] == pytest.approx(4 / measured["critic_s"], rel=0.5)
    assert record["machine"]["torch"] == torch.__version__
    assert record["left_out"] == []


def test_what_there_is_no_time_for_is_told(tiny, tmp_path):
    path = tmp_path / "gpu.json"
    record = benchmark("gpu", [tiny], [], path, device="cpu", minutes=0)
    assert record["measurements"] == []
    assert record["left_out"][0] == "tiny, pipeline, float32"
    assert json.loads(path.read_text()) == record


def test_gpu_is_asked_the_most_important_things_first(tiny, make_settings):
    large = Measurement("large", make_settings(), (64, 64))
    listed = list(map(str, LISTS["gpu"]([tiny], [large], GPU)))
    assert listed[:4] == [
        "tiny, pipeline, float32",
        "large, pipeline, float32",
        "large, plain, float32",
        "large, pipeline, tf32",
    ]
    assert "large, graphs, float32" in listed
    assert "large, pipeline, float32, 2 trainings" in listed
    assert "large, pipeline, float32, read ahead" in listed
    assert listed[-1] == "large, plain, bf16"
    assert len(set(listed)) == len(listed)


def test_training_is_measured_beside_the_plain_updates(tiny):
    listed = list(map(str, LISTS["train"]([tiny], [], GPU)))
    assert listed[:2] == ["tiny, plain, float32", "tiny, pipeline, float32"]
    assert "tiny, pipeline, float32, 2 threads" in listed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_nothing_to_measure(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmark", "gpu", "--output", str(tmp_path / "gpu.json")])
    assert end.value.code == 2
    assert "PyTorch finds no GPU here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_configured_case():
    config = parse_config(yaml.safe_load((ROOT / "config/paper.yaml").read_text()))
    case = configured_case(config, "copd", "defi-gan", threads=2, batch_size=3)
    assert str(case) == "copd 224x224, 3 images, pipeline, float32, 2 threads"
    with pytest.raises(InputError, match="constant-field has no generator"):
        configured_case(config, "copd", "constant-field", threads=1)
