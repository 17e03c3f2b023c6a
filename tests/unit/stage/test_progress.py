import os
import pty
import subprocess
import sys
import termios

SCRIPT = (
    "from pipeline.stage.progress import progress\n"
    "with progress(total=3, desc='pack', unit='image') as line:\n"
    "    [line.update() for _ in range(3)]\n"
)


def test_silent_in_a_log_file():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""


def test_shown_on_a_terminal():
    terminal, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 80))
    subprocess.run([sys.executable, "-c", SCRIPT], stderr=child, check=True)
    os.close(child)
    shown = os.read(terminal, 10000).decode()
    os.close(terminal)
    assert "pack" in shown
    assert "3/3" in shown
