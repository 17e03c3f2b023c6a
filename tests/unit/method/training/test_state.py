"""Killed jobs go on from their last state, with the numbers of a job that was never killed."""

import errno
import json
import logging
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.method.fit import fit_model
from pipeline.method.training.state import (
    StateFile,
    is_locked,
    locked,
    run_definition,
    state_folder,
)
from pipeline.stage.errors import InputError


@pytest.fixture(params=[0, 0.9], ids="averaging {}".format)
def command(request, make_packed, make_settings, tmp_path):
    """Command line of a training in `folder` that writes its state at every update."""
    packed = make_packed((32, 32), margin=4)
    options = {"accumulated_batches": 2, "averaging": request.param}
    settings = make_settings(epochs=4, updates_per_epoch=20, **options)

    def make(folder, minutes=0):
        text = json.dumps(settings.to_dict())
        files = (packed, tmp_path / folder / "generator.safetensors")
        options = ("--settings", text, "--device", "cpu", "--state-minutes", minutes)
        return [str(part) for part in (sys.executable, "-m", "pipeline", "train", *files, *options)]

    return make


def outcome(folder):
    history = pd.read_parquet(folder / "history.parquet").drop(columns="seconds")
    return (folder / "generator.safetensors").read_bytes(), history


def same(first, second):
    pd.testing.assert_frame_equal(first[1], second[1], check_exact=True)
    return first[0] == second[0]


def progress(folder):
    path = state_folder(folder) / "progress.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def start_and_send(command, folder, number, updates):
    """Start a training, and send it a signal when its state holds some more updates."""
    before = {path: path.stat().st_mtime_ns for path in state_folder(folder).glob("[!.]*.pt")}
    process = subprocess.Popen(command)
    deadline, changes = time.monotonic() + 120, 0
    while changes < updates:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        now = {path: path.stat().st_mtime_ns for path in state_folder(folder).glob("[!.]*.pt")}
        changes += now != before
        before = now
        time.sleep(0.001)
    process.send_signal(number)
    return process.wait(timeout=60)


@pytest.mark.slow
def test_a_killed_job_ends_with_the_same_bits(command, tmp_path):
    """Killed twice at any moment, once asked to end, then left in peace."""
    subprocess.run(command("undisturbed", minutes=10), check=True)
    folder = tmp_path / "killed"
    assert start_and_send(command("killed"), folder, signal.SIGKILL, 9) == -signal.SIGKILL
    assert not is_locked(state_folder(folder))
    assert start_and_send(command("killed"), folder, signal.SIGKILL, 17) == -signal.SIGKILL
    assert start_and_send(command("killed"), folder, signal.SIGTERM, 13) == 128 + signal.SIGTERM
    assert 30 < progress(folder)["updates"] < 80
    subprocess.run(command("killed"), check=True)
    assert same(outcome(folder), outcome(tmp_path / "undisturbed"))
    assert not state_folder(folder).exists()


@pytest.mark.slow
def test_sigterm_writes_a_state_of_its_own(command, tmp_path):
    """With states hours apart, all that a job did before SIGTERM is there afterwards."""
    folder = tmp_path / "model"
    process = subprocess.Popen(command("model", minutes=600))
    deadline = time.monotonic() + 120
    while not (progress(folder) or {}).get("epoch"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    (file,) = state_folder(folder).glob("[!.]*.pt")
    state = torch.load(file, weights_only=True)["state"]
    assert state["trainer"]["updates"] == progress(folder)["updates"] >= 20
    assert len(state["history"]) == progress(folder)["epoch"] >= 1


def test_state_that_cannot_be_written_leaves_the_previous_one(tmp_path, caplog):
    file = StateFile(tmp_path, {"lambda": 1})
    assert file.save({"update": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as a full disk does
    try:
        assert not file.save({"update": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "the previous state stays" in caplog.text
    assert file.load() == {"update": 1}
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]


def test_state_of_another_run_is_refused_with_the_difference(tmp_path, caplog):
    StateFile(tmp_path, {"lambda": 1, "seed": 0}).save({"update": 1})
    assert StateFile(tmp_path, {"lambda": 5, "seed": 0}).load() is None
    assert "it is of another run: lambda 1 -> 5" in caplog.text


def test_definition_changes_with_the_data_and_nothing_else(make_packed, make_settings, tmp_path):
    packed = make_packed((32, 32))
    before = run_definition(make_settings(), packed)
    (packed / ".snakemake_timestamp").touch()
    for path in packed.iterdir():
        path.touch()
    assert run_definition(make_settings(), packed) == before
    images = np.load(packed / "train.npy", mmap_mode="r+")
    images[3, 4, 5] += 1e-6
    images.flush()
    changed = run_definition(make_settings(), packed)
    assert {name for name in before if before[name] != changed[name]} == {"data train.npy"}


def test_broken_state_is_named(tmp_path):
    file = StateFile(tmp_path, {"lambda": 1})
    file.path.write_bytes(b"PK\x03\x04 no state")
    with pytest.raises(InputError, match="is not a readable state"):
        file.load()


def test_state_is_not_unpickled_blindly(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("executed",))

    file = StateFile(tmp_path, {"lambda": 1})
    torch.save({"definition": {}, "state": Harmful()}, file.path)
    with pytest.raises(InputError, match="is not a readable state"):
        file.load()


def test_two_jobs_do_not_train_one_model(make_packed, make_settings, tmp_path):
    packed = make_packed((32, 32))
    with locked(state_folder(tmp_path / "model")), pytest.raises(InputError, match="another job"):
        fit_model(packed, tmp_path / "model", make_settings().to_dict(), device="cpu", threads=1)


def test_a_diverging_critic_tells_step_and_last_state(
    make_packed, make_settings, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("pipeline.method.training.epochs.DIVERGED", 1e4)
    settings = make_settings(learning_rate=3.0)
    message = r"critic_loss is \S+ at update (\d+); the last good state is of update (\d+) \(.*\.pt"
    with pytest.raises(RuntimeError, match=message) as error:
        fit_model(
            make_packed((32, 32)),
            tmp_path / "model",
            settings.to_dict(),
            device="cpu",
            threads=1,
            state_minutes=0,
        )
    words = str(error.value).split()
    assert int(words[words.index("update") + 1].rstrip(";")) > 1
    assert progress(tmp_path / "model")["failed"] == str(error.value)


def test_storage_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pipeline.method.training.state.fcntl.flock", no_locks)
    with locked(tmp_path):
        assert not is_locked(tmp_path)
