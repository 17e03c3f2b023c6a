"""Jobs on a machine with several GPUs: a recording fake of two GPUs, real locks."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.method.training import device
from pipeline.method.training.device import (
    check_precision,
    claimed_device,
    set_precision,
)
from pipeline.stage.errors import InputError


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """PyTorch sees two GPUs, as far as it is asked here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    fake = SimpleNamespace
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: fake(uuid=f"fake-{index}")
    )
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))


def test_jobs_take_gpus_of_their_own(two_gpus):
    with claimed_device("auto", 1) as first:
        with claimed_device("auto", 1) as second:
            assert {first.index, second.index} == {0, 1}
        with claimed_device("auto", 1) as third:
            assert third == second


def test_a_job_waits_while_every_gpu_is_full(two_gpus, monkeypatch, caplog):
    class StillFull(Exception):
        pass

    def wait(seconds):
        raise StillFull

    monkeypatch.setattr(device.time, "sleep", wait)
    with claimed_device("cuda", 1), claimed_device("cuda", 1):
        with pytest.raises(StillFull), claimed_device("cuda", 1):
            pass
        assert "waiting for one to end" in caplog.text
        # Where two may share one, the third has a place at once, the emptiest GPU's.
        with claimed_device("cuda", 2) as shared:
            assert shared.index == 0


def test_users_of_one_machine_have_locks_of_their_own(two_gpus, monkeypatch, tmp_path):
    with claimed_device("cuda", 1) as first:
        (held,) = tmp_path.iterdir()
        monkeypatch.setattr(device.os, "getuid", lambda: 123456)
        with claimed_device("cuda", 1) as second:
            assert second == first
            assert {path.name for path in tmp_path.iterdir()} > {held.name}


def test_processor_needs_no_claim(monkeypatch):
    with claimed_device("cpu", 1) as first, claimed_device("cpu", 1) as second:
        assert first == second == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"), claimed_device("cuda", 1):
        pass


def test_rounding_of_factors_is_off_unless_asked_for():
    for precision, allowed in (("tf32", True), ("bf16", True), ("float32", False)):
        set_precision(precision)
        assert torch.backends.cudnn.allow_tf32 is allowed
        assert torch.backends.cuda.matmul.allow_tf32 is allowed


@pytest.mark.parametrize(
    ("shape", "place"),
    [((128, 160, 112), "cpu"), ((32, 40, 48), "cpu"), ((32, 32), "cpu"), ((32, 40, 32), "cuda")],
)
def test_sixteen_bits_where_gradients_are_right(shape, place):
    check_precision("bf16", shape, 4, torch.device(place))


def test_sixteen_bits_are_refused_where_gradients_are_wrong():
    check_precision("float32", (32, 40, 32), 4, torch.device("cpu"))
    check_precision("bf16", (32, 40, 32), 3, torch.device("cpu"))
    with pytest.raises(InputError, match="volumes, here of 32x40x32, are halved down to 2 voxels"):
        check_precision("bf16", (32, 40, 32), 4, torch.device("cpu"))
