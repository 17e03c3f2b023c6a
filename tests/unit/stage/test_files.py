import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.stage.files import (
    atomic_directory,
    atomic_path,
    files_state,
    read_csv,
    read_json,
    write_csv,
    write_json,
)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_file_appears_only_when_whole(tmp_path):
    destination = tmp_path / "new" / "a.nii.gz"
    with atomic_path(destination) as temporary:
        temporary.write_text("half")
        assert not destination.exists()
        assert temporary.name.endswith(".nii.gz")
    assert destination.read_text() == "half"
    assert names(destination.parent) == ["a.nii.gz"]


def test_error_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    destination = tmp_path / "a.txt"
    destination.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(destination) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert destination.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_directory_is_replaced_as_a_whole(tmp_path):
    destination = tmp_path / "folder"
    for name in ("first", "second"):
        with atomic_directory(destination) as temporary:
            (temporary / name).touch()
    assert names(destination) == ["second"]
    with pytest.raises(RuntimeError), atomic_directory(destination) as temporary:
        raise RuntimeError
    assert names(destination) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_killed_writer_leaves_no_result_and_the_rerun_cleans_up(tmp_path):
    destination = tmp_path / "a.txt"
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.stage.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(destination)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not destination.exists()
    with atomic_path(destination) as temporary:
        assert not temporary.exists()
        temporary.write_text("whole")
    assert names(tmp_path) == ["a.txt"]


def test_json_and_csv(tmp_path):
    write_json({"a": [1, 2]}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {"a": [1, 2]}
    write_csv(pd.DataFrame({"a": [1]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"


def test_names_of_a_table_stay_text(tmp_path):
    table = pd.DataFrame({name: ["NA", "007", "1e5"] for name in ("subject", "session", "dataset")})
    table = table.assign(ncc=[0.5, np.nan, 1], note=["", "null", "two"])
    write_csv(table, tmp_path / "table.csv")
    read = read_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read, table.replace({"note": {"": np.nan}}), check_dtype=False)
    assert read["ncc"].dtype == float


def test_state_of_files_follows_each_of_them(tmp_path):
    files = [tmp_path / "one", tmp_path / "two"]
    found = [files_state(files)]
    files[0].write_text("1")
    found.append(files_state(files))
    os.utime(files[0], (1, 1))  # an older one
    found += [files_state(files), files_state(files)]
    files[1].touch()
    found.append(files_state(files))
    assert found[2] == found[3]
    assert len(set(found)) == 4
