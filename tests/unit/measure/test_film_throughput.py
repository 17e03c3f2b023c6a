import pytest
from helpers.film_files import make_dicom, ramp_film

from pipeline.measure.film_throughput import benchmark_films
from pipeline.stage.errors import InputError


def test_films_that_can_be_prepared_are_measured(tmp_path):
    for number in range(3):
        make_dicom(tmp_path / f"study/{number}.dcm", ramp_film(60, 50))
    (tmp_path / "notes.txt").write_text("no film")
    cut = make_dicom(tmp_path / "cut.dcm", ramp_film())
    cut.write_bytes(cut.read_bytes()[:-100])
    table = benchmark_films(tmp_path, resize=24, processes=1).set_index("work")
    assert list(table.index) == ["decode", "prepare"]
    assert (table["films"] == 3).all()
    assert (table[["films_per_s", "cpu_ms", "peak_mib"]] > 0).all(axis=None)


def test_folder_without_films(tmp_path):
    with pytest.raises(InputError, match="no DICOM film"):
        benchmark_films(tmp_path, resize=24, processes=1)
