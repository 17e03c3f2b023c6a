"""What can befall a brain stage from outside: a kill, a full disk, a folder that cannot be written.

Each ends in a clean stop, and the next run completes with the bytes of an undisturbed one. The
tools are recording fakes, so that the kill hits while the tool runs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers.fake_tools import FakeTools
from helpers.film_files import make_dicom, ramp_film
from helpers.small_study import small_head

from pipeline.brain.engines import AUTO, ENGINES, resolve_engines
from pipeline.cohort.manifest import MANIFEST_COLUMNS
from pipeline.demo.toy_squares import pack_toy
from pipeline.stage.sidecar import read_sidecar, sidecar_path

SQUARES = {"seed": 0, "size": 32, "texture_sigma": 2, "train": 8, "validation": 2, "test": 2}

TRAINING = {
    **{"method": "defi-gan", "seed": 0, "lambda": 1, "learning_rate": 0.001, "flow_scale": 1},
    **{"batch_size": 2, "accumulated_batches": 1, "epochs": 1, "updates_per_epoch": 2},
    **{"epoch_counts": "updates", "precision": "float32", "gradient_penalty": 10},
    **{"critic_updates": 1, "initial_critic_updates": 1, "initial_generator_updates": 0},
    "critic_boost_every": 0,
    **{"base_filters": 8, "poolings": 2, "critic_weights": "random", "critic_base_filters": 4},
    "variant": "plain",
}


def command(stage, source, destination, *options):
    settings = {"skull_refine": ["--fraction", "0.25"], "template": ["--template", str(source)]}
    paths = [stage, source, destination]
    engine = resolve_engines(dict.fromkeys(ENGINES, AUTO))[stage].name
    return [
        *(sys.executable, "-m", "pipeline", *map(str, paths), "--engine", engine),
        *settings.get(stage, []),
        *map(str, options),
    ]


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    tools = FakeTools(tmp_path / "tools")
    for variable, value in tools.environment(os.environ["PATH"]).items():
        monkeypatch.setenv(variable, value)
    return tools


@pytest.fixture
def source(tmp_path):
    """A volume as an earlier stage would leave it."""
    path = tmp_path / "source.nii.gz"
    small_head(path)
    sidecar_path(path).write_text('{"status": "ok", "stage": "before", "steps": []}')
    return path


@pytest.mark.parametrize("stage", ENGINES)
def test_killed_stage_leaves_nothing_and_the_next_run_completes(
    fakes, source, tmp_path, monkeypatch, stage
):
    undisturbed, result = tmp_path / "undisturbed.nii.gz", tmp_path / "killed/result.nii.gz"
    subprocess.run(command(stage, source, undisturbed), check=True)
    fakes.record.unlink()
    monkeypatch.setenv("FAKE_FAULT", "hang")
    process = subprocess.Popen(command(stage, source, result))
    while not fakes.record.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    os.kill(fakes.call()["pid"], signal.SIGKILL)
    assert not result.exists()
    assert not sidecar_path(result).exists()

    monkeypatch.delenv("FAKE_FAULT")
    subprocess.run(command(stage, source, result), check=True)
    assert result.read_bytes() == undisturbed.read_bytes()
    assert read_sidecar(result) == read_sidecar(undisturbed)
    assert [path.name for path in result.parent.glob(".*")] == []


def test_killed_resampling_leaves_nothing_and_the_next_run_completes(source, tmp_path):
    """The stage that has no tool, killed while it writes."""
    grid = ("--voxel-mm", "1.0", "--shape", "192", "224", "192")
    undisturbed, result = tmp_path / "undisturbed.nii.gz", tmp_path / "killed/result.nii.gz"
    arguments = [sys.executable, "-m", "pipeline", "grid", str(source)]
    subprocess.run([*arguments, str(undisturbed), *grid], check=True)
    process = subprocess.Popen([*arguments, str(result), *grid])
    while not list(result.parent.glob(".partial-*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not result.exists()
    assert not sidecar_path(result).exists()

    subprocess.run([*arguments, str(result), *grid], check=True)
    assert result.read_bytes() == undisturbed.read_bytes()
    assert read_sidecar(result) == read_sidecar(undisturbed)
    assert [path.name for path in result.parent.glob(".*")] == []


def mounted(folder: Path, options: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a command while a small file system lies over `folder`; what is left there is printed."""
    folder.mkdir(exist_ok=True)
    script = (
        f'mount -t tmpfs -o {options} none "$0" || exit 99; "$@"; status=$?; '
        'ls -A "$0"; exit $status'
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 99 or done.stderr.startswith("unshare:"):
        pytest.skip("this system lets nobody mount a file system of one's own")
    return done


@pytest.mark.parametrize("stage", ENGINES)
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("size=16k", "No space left on device; make room and run again"),
        ("ro", "make it writable and run again"),
    ],
)
def test_place_that_takes_no_results_is_a_clean_stop(fakes, source, tmp_path, stage, options, told):
    results, log = tmp_path / "results", tmp_path / "stage.log"
    arguments = command(stage, source, results / "result.nii.gz", "--log", log)
    done = mounted(results, options, *arguments)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""  # nothing is left there
    assert f"{stage}: " in done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr + log.read_text()

    subprocess.run(arguments, check=True)
    assert read_sidecar(results / "result.nii.gz")["status"] == "ok"


def films_command(folder, results):
    """Two films into a shard."""
    films = [make_dicom(folder / name, ramp_film(200, 200)) for name in "ab"]
    rows = {"subject": ["a", "b"], "session": "d0", "path": map(str, films)}
    known = dict.fromkeys(MANIFEST_COLUMNS, 0) | rows
    pd.DataFrame(known).astype(MANIFEST_COLUMNS).to_parquet(folder / "manifest.parquet")
    shard = results / "shard-0.npz"
    status = ("--status", shard.with_suffix(".csv"), "--shard", 0, "--shards", 1)
    return shard, ["films", folder / "manifest.parquet", shard, *status, "--resize", 128]


def toy_command(folder, results):
    """Squares into packed arrays."""
    packed = results / "packed"
    settings = json.dumps(SQUARES | {"train": 100})
    excluded = ("--exclusions", folder / "exclusions.csv")
    return packed / "train.npy", ["make-toy", packed, *excluded, "--settings", settings]


def train_command(folder, results):
    """A model of squares."""
    pack_toy(folder / "packed", folder / "exclusions.csv", **SQUARES)
    model = results / "generator.safetensors"
    return model, ["train", folder / "packed", model, "--settings", json.dumps(TRAINING)]


@pytest.mark.parametrize("prepare", [films_command, toy_command, train_command])
def test_full_disk_is_a_clean_stop(tmp_path, prepare):
    results, log = tmp_path / "results", tmp_path / "stage.log"
    made, arguments = prepare(tmp_path, results)
    arguments = [sys.executable, "-m", "pipeline", *map(str, [*arguments, "--log", log])]
    done = mounted(results, "size=32k", *arguments)
    assert done.returncode == 1, done.stderr
    assert "No space left on device; make room and run again" in done.stderr
    assert "Traceback" not in done.stderr + log.read_text()
    assert made.name not in done.stdout

    subprocess.run(arguments, check=True)
    assert made.exists()


@pytest.mark.parametrize(
    ("size", "fault"), [("64k", ""), ("8m", "fail"), ("8m", "silent"), ("8m", "damage")]
)
def test_full_disk_of_temporary_files_is_not_the_images_fault(
    fakes, source, tmp_path, monkeypatch, size, fault
):
    """Nor where the tool says nothing of it, fails, or leaves half a volume."""
    temporary, result = tmp_path / "temporary", tmp_path / "result.nii.gz"
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("FAKE_FAULT", fault)
    temporary.mkdir()
    arguments = command("crop", source, result, "--log", tmp_path / "crop.log")
    done = mounted(temporary, f"size={size}", *arguments)
    assert done.returncode == 1, done.stderr
    assert "make room and run again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not result.exists()
    assert not sidecar_path(result).exists()

    monkeypatch.delenv("FAKE_FAULT")
    subprocess.run(arguments, check=True)
    assert read_sidecar(result)["status"] == "ok"


def test_log_that_cannot_be_written_is_a_clean_stop(fakes, source, tmp_path):
    logs = tmp_path / "logs"
    arguments = command("crop", source, tmp_path / "crop.nii.gz", "--log", logs / "crop.log")
    done = mounted(logs, "ro", *arguments)
    assert done.returncode == 1
    assert "make it writable and run again" in done.stderr
    assert "Traceback" not in done.stderr
