from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.anatomies import made_up_anatomy

from pipeline.dataset.packed import PackedDataset
from pipeline.measure import many_brains
from pipeline.measure.many_brains import Brains, measure
from pipeline.stage.errors import InputError
from pipeline.study.config import parse_config

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def brains() -> Brains:
    given = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    given["datasets"]["adni"]["demo"]["noise"] = 0.0
    dataset = parse_config(given).datasets["adni"]
    return Brains(made_up_anatomy(), dataset.demo, dataset.brain)


def test_brain_lies_in_the_middle_and_only_the_disease_changes_it(brains):
    healthy, again, diseased = brains.visits(3, [(False, 0.0), (False, 0.0), (True, 0.0)])
    assert healthy.shape == tuple(brains.grid.shape)
    assert np.array_equal(healthy, again)
    centre = np.mean(np.nonzero(healthy > -1), axis=1) * brains.grid.voxel_mm
    middle = (np.array(healthy.shape) - 1) / 2 * brains.grid.voxel_mm
    assert centre == pytest.approx(middle, abs=6)  # a subject's own shape moves it a little
    assert np.abs(diseased - healthy).max() > 0.2


def test_packed_subjects_are_in_one_split_each(brains, tmp_path, monkeypatch):
    monkeypatch.setattr(many_brains, "PAIRS", {"validation": 1, "test": 1})
    brains.pack(tmp_path / "packed", 2)
    data = PackedDataset.open(tmp_path / "packed")
    assert data.train_index["label"].tolist() == [0, 1]
    assert data.pairs_index["split"].tolist() == ["validation", "test"]
    subjects = [*data.train_index["subject"], *data.pairs_index["subject"]]
    assert len(set(subjects)) == 4
    image, change, mask = data.pair(0)
    assert not change[~mask].any()
    assert np.abs(change[mask]).max() > 0.2
    assert (image[mask] > -1).all()
    brains.pack(tmp_path / "more", 4)  # pairs are the same however many train
    again = PackedDataset.open(tmp_path / "more").pair(0)
    assert np.array_equal(again[0], image) and np.array_equal(again[1], change)


def test_mistakes_are_told_before_anything_is_made(tmp_path):
    config = parse_config(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    with pytest.raises(InputError, match="no settings of ddim"):
        measure(tmp_path, config, ["constant-field", "ddim"], 2, 1, 99)
    toy = parse_config(yaml.safe_load((ROOT / "config/toy-small.yaml").read_text(encoding="utf-8")))
    with pytest.raises(InputError, match="adni is no demonstration here"):
        measure(tmp_path, toy, ["constant-field"], 2, 1, 99)
    assert not any(tmp_path.iterdir())


def test_a_folder_of_other_settings_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(many_brains, "PAIRS", {"validation": 1, "test": 1})
    monkeypatch.setattr(many_brains, "load_anatomies", lambda: [made_up_anatomy()])
    given = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for _ in range(2):  # the second time with what the first has packed
        measure(tmp_path, parse_config(given), ["constant-field"], 2, 1, 99)
        assert "2 training volumes, constant-field: validation" in capsys.readouterr().out
    refused = "packed holds brains of other settings, or does not tell; name another folder"
    with pytest.raises(InputError, match=refused):
        measure(tmp_path, parse_config(given), ["constant-field"], 4, 1, 99)
    given["datasets"]["adni"]["demo"]["severity"] = [1.0, 2.0]
    with pytest.raises(InputError, match=refused):
        measure(tmp_path, parse_config(given), ["constant-field"], 2, 1, 99)
    with pytest.raises(InputError, match="a volume of each class, and an epoch"):
        measure(tmp_path, parse_config(given), ["constant-field"], 1, 1, 99)
