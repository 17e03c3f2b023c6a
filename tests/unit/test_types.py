import subprocess
import sys

from helpers.workflow import ROOT


def test_types_are_right(tmp_path):
    """Of the packages that pyproject.toml names, strictly."""
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
