import numpy as np
import pandas as pd
import pytest
from helpers.film_files import make_dicom, ramp_film

from pipeline.chest.frame import Frame
from pipeline.chest.prepare_shard import prepare_film_shard
from pipeline.chest.shards import film_key
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import EXCLUSION_COLUMNS


def manifest(*rows):
    return pd.DataFrame(rows, columns=["subject", "session", "path"])


def test_shard(tmp_path, caplog):
    folder = tmp_path / "Ångström, 'Zoë' \"$(x)\""
    good = make_dicom(folder / "film ü.dcm", ramp_film(), ImagerPixelSpacing=[0.2, 0.2])
    flat = make_dicom(folder / "flat.dcm", np.full((30, 30), 7))
    cut = make_dicom(folder / "cut.dcm", ramp_film())
    cut.write_bytes(cut.read_bytes()[:-100])
    rows = manifest(("a", "d0000", str(good)), ("b", "d0000", str(flat)), ("a", "d9", str(cut)))
    prepare_film_shard(rows, tmp_path / "0.npz", tmp_path / "0.csv", resize=24)

    films = np.load(tmp_path / "0.npz")
    key = film_key("a", "d0000")
    assert list(films) == [key, f"{key}/raw_shape", f"{key}/raw_mm", f"{key}/frame_px"]
    assert films[key].shape == (24, 24)
    assert tuple(films[f"{key}/raw_shape"]) == ramp_film().shape
    assert films[f"{key}/raw_mm"] == 0.2
    assert tuple(films[f"{key}/frame_px"]) == Frame()
    status = pd.read_csv(tmp_path / "0.csv")
    assert list(status) == EXCLUSION_COLUMNS
    assert list(status["subject"] + status["session"]) == ["ad9", "bd0000"]
    assert list(status["reason"]) == [
        "the pixel data are truncated",
        "the film is of one grey value",
    ]
    assert set(status["stage"]) == {"film"}
    assert "ngstr" not in caplog.text
    assert "excluded" in caplog.text

    prepare_film_shard(rows[::-1], tmp_path / "1.npz", tmp_path / "1.csv", resize=24)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "0.npz").read_bytes()


def test_shard_without_films(tmp_path):
    prepare_film_shard(manifest(), tmp_path / "0.npz", tmp_path / "0.csv", resize=24)
    assert not np.load(tmp_path / "0.npz").files
    assert pd.read_csv(tmp_path / "0.csv").empty


def test_film_that_went_away(tmp_path):
    rows = manifest(("a", "d0000", str(tmp_path / "Snickettsby.dcm")))
    with pytest.raises(InputError, match="sub-a_ses-d0000") as caught:
        prepare_film_shard(rows, tmp_path / "0.npz", tmp_path / "0.csv", resize=24)
    assert "Snickettsby" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
