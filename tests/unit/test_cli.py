import json
import logging
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

from pipeline import cli
from pipeline.stage.sidecar import read_sidecar


@pytest.fixture(autouse=True)
def quiet_logging():
    """The command line sets up logging for its process; here that is the tests'."""
    yield
    root = logging.getLogger()
    for handler in [h for h in root.handlers if type(h).__module__ == "logging"]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


def run(*arguments):
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_image_stage_writes_image_sidecar_and_log(tmp_path):
    data = np.random.default_rng(0).uniform(1, 100, (60, 60, 60)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.diag([-2.0, 2.0, 2.0, 1.0])), tmp_path / "raw.nii")
    image = tmp_path / "out" / "oriented.nii.gz"
    done = run("orient", tmp_path / "raw.nii", image, "--log", tmp_path / "logs/orient.log")
    assert done.returncode == 0, done.stderr
    assert nib.aff2axcodes(nib.load(image).affine) == ("R", "A", "S")
    assert read_sidecar(image)["status"] == "ok"
    assert (tmp_path / "logs/orient.log").is_file()


def test_what_a_header_lacks_and_nibabel_mends_is_not_printed_for_each_volume(tmp_path):
    data = np.random.default_rng(0).uniform(1, 100, (60, 60, 60)).astype(np.float32)
    raw = bytearray(nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0])).to_bytes())
    raw[76:80] = bytes(4)  # pixdim[0], which is to be 1 or -1
    (tmp_path / "raw.nii").write_bytes(raw)
    log = tmp_path / "orient.log"
    done = run("orient", tmp_path / "raw.nii", tmp_path / "oriented.nii.gz", "--log", log)
    assert read_sidecar(tmp_path / "oriented.nii.gz")["status"] == "ok"
    assert "pixdim" not in done.stderr + log.read_text()


def test_bad_volume_ends_well_with_its_reason(tmp_path):
    (tmp_path / "raw.nii").write_bytes(b"this is no image")
    image = tmp_path / "oriented.nii.gz"
    done = run("orient", tmp_path / "raw.nii", image, "--log", tmp_path / "orient.log")
    assert done.returncode == 0
    assert read_sidecar(image)["status"] == "excluded"
    assert "excluded" in (tmp_path / "orient.log").read_text()


def test_wrong_input_ends_with_2_and_a_plain_message(tmp_path):
    done = run("template", tmp_path, tmp_path, "--template", tmp_path / "no.nii")
    assert done.returncode != 0
    settings = '{"source": "adni", "archive": {"images": "no", "tables": "no"}, "splits": {}}'
    done = run("ingest", tmp_path, "--settings", settings)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no is not a folder" in done.stderr


def test_error_of_ours_ends_with_1_and_its_traceback_in_the_log(tmp_path):
    done = run("grid", tmp_path / "no.nii.gz", tmp_path / "out.nii.gz", "--voxel-mm", 2)
    assert done.returncode == 2  # argparse: --shape is missing
    (tmp_path / "no.json").write_text("[]")  # a sidecar that no stage wrote
    done = run(
        *("grid", tmp_path / "no.nii.gz", tmp_path / "out.nii.gz"),
        *("--voxel-mm", 2, "--shape", 8, 8, 8, "--log", tmp_path / "grid.log"),
    )
    assert done.returncode == 1
    assert "Traceback" in (tmp_path / "grid.log").read_text()
    assert not (tmp_path / "out.nii.gz").exists()


def test_terminated_stage_leaves_nothing_half_written(tmp_path):
    paths = [tmp_path / name for name in ("films", "tests.csv", "truth", "key")]
    settings = json.dumps({"seed": 1, "normal": 5000, "height": 64})
    command = ["make-demo-copd", *paths, "--settings", settings]
    process = subprocess.Popen([sys.executable, "-m", "pipeline", *map(str, command)])
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".partial-films/*/*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_help_of_explain_tells_what_each_path_is():
    said = " ".join(run("explain", "--help").stdout.split())
    for words in ("scan or film, or a folder", "generator.safetensors", "folder written"):
        assert words in said


def test_every_stage_of_the_rules_is_a_command():
    from helpers.workflow import ROOT

    # For people, not for the workflow.
    by_hand = {
        "measure-engines",
        "benchmark",
        "benchmark-films",
        "config",
        "doctor",
        "explain",
        "import-weights",
        "init",
        "plan",
        "status",
        "wait-for-jobs",
    }
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    called = {text.split()[0] for text in rules.split("python -m pipeline ")[1:]}
    actions = cli._parser()._subparsers._group_actions[0]
    assert called | by_hand == set(actions.choices)


def test_a_light_stage_imports_no_heavy_library():
    script = (
        "import sys; from pipeline.cli import _parser; _parser()\n"
        "import pipeline.brain.orient, pipeline.study.config\n"
        "heavy = {'torch', 'ants', 'SimpleITK', 'skimage', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_stage_of_volumes_starts_without_pydicom(tmp_path):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    nib.save(image, tmp_path / "a.nii.gz")
    script = (
        "import sys; from pipeline.cli import main; main(sys.argv[1:]);"
        "assert 'nibabel' in sys.modules and 'pydicom' not in sys.modules;"
        "import pydicom; pydicom.Dataset()"  # for who needs it later
    )
    stage = ["orient", "a.nii.gz", "b.nii.gz", "--engine", "nibabel"]
    subprocess.run([sys.executable, "-c", script, *stage], check=True, cwd=tmp_path)
    # And the check of what came of it, here of a volume that was excluded at once.
    for name in ("c", "d", "e", "f"):
        (tmp_path / f"{name}.nii.gz").touch()
    check = ["check", "b.nii.gz", "c.nii.gz", "d.nii.gz", "e.nii.gz", "b.nii.gz"]
    made = ["figures.json", "planes.jpg", "asymmetry.npz"]
    subprocess.run([sys.executable, "-c", script, *check, *made], check=True, cwd=tmp_path)
