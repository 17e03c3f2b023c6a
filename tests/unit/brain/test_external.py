import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pipeline.brain.external import run_tool
from pipeline.stage.errors import ImageError, InputError
from pipeline.stage.limits import time_limit


def run(tmp_path: Path, code: str) -> None:
    run_tool("tool", [sys.executable, "-c", code], folder=tmp_path)


def test_works_in_its_folder_with_one_thread(tmp_path: Path) -> None:
    run(tmp_path, "import os; open('threads', 'w').write(os.environ['OMP_NUM_THREADS'])")
    assert (tmp_path / "threads").read_text() == "1"


def test_exit_status_and_last_message(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="tool failed with exit status 3: no brain"):
        run(tmp_path, "import sys; print('x\\nno brain', file=sys.stderr); sys.exit(3)")


def test_crash_is_the_images_fault(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"tool crashed \(SIGSEGV\)"):
        run(tmp_path, f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})")


def test_kill_is_not_the_images_fault(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="more memory"):
        run(tmp_path, f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")


def test_tool_out_of_time_ends_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; wait"
    with (
        pytest.raises(ImageError, match=r"stage did not end within 0\.018 min;"),
        time_limit("stage", 0.02),
    ):
        run_tool("tool", ["/bin/sh", "-c", script], folder=tmp_path)
    status = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    for _ in range(200):
        if not status.exists() or "(sleep) Z" in status.read_text():
            return
        time.sleep(0.05)
    pytest.fail("what the tool started goes on")


def test_missing_program(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be started"):
        run_tool("tool", [tmp_path / "absent"], folder=tmp_path)


def test_arguments_are_not_interpreted(tmp_path: Path) -> None:
    code = "import sys; open('argument', 'w').write(sys.argv[1])"
    argument = f"$(touch {os.sep}x); 'a b'"
    run_tool("tool", [sys.executable, "-c", code, argument], folder=tmp_path)
    assert (tmp_path / "argument").read_text() == argument
