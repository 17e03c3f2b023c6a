import gc
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.stage.description import load


def test_only_a_first_import_is_left_out_of_collections(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "large_library.py").write_text("made = [[] for _ in range(5000)]\nwork = made.copy")
    gc.unfreeze()
    assert len(load("large_library:work")()) == 5000
    frozen = gc.get_freeze_count()
    assert frozen > 5000
    assert len(load("large_library:work")()) == 5000
    assert gc.get_freeze_count() == frozen
    assert gc.isenabled()


def test_garbage_is_collected_after_an_import_that_failed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_library.py").write_text("raise ImportError('it lacks a part')")
    with pytest.raises(ImportError, match="it lacks a part"):
        load("broken_library:work")
    assert gc.isenabled()


def test_a_second_thread_waits_for_the_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_library.py").write_text("import time\ntime.sleep(0.5)\nwork = len")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(load, "slow_library:work")
        time.sleep(0.1)
        second = pool.submit(load, "slow_library:work")
    assert first.result() is second.result() is len


def test_the_collector_rests_during_the_import_and_stays_off_where_it_was(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("first_library", "second_library"):
        (tmp_path / f"{name}.py").write_text("import gc\non = gc.isenabled()")
    assert load("first_library:on") is False
    gc.disable()
    try:
        load("second_library:on")
        assert not gc.isenabled()
    finally:
        gc.enable()
