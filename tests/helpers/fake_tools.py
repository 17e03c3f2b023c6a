"""Recording fakes of FSL, ANTs and ROBEX: programs that note how they were called.

They are no stand-ins for the tools. They write files where the tools would, so that command lines,
environment, exit codes and missing results can be tested without an installation.
"""

import json
import sys
from pathlib import Path

import pytest

PROGRAM = """#!{python}
import json, os, shutil, signal, sys, time
from pathlib import Path

name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
if arguments == ["--version"]:
    sys.exit(print("ANTs Version: 2.5.0.post7-gdeadbee"))
itk = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
kept = ("FSLDIR", "FSLOUTPUTTYPE", "OMP_NUM_THREADS", itk)
call = dict(program=name, arguments=arguments, folder=os.getcwd(), path=sys.argv[0],
            pid=os.getpid(), parent=os.getppid(),
            environment={{key: os.environ.get(key) for key in kept}})
with Path({calls!r}).open("a") as record:
    record.write(json.dumps(call) + "\\n")
match os.environ.get("FAKE_FAULT"):
    case "fail":
        print("the tool's last words", file=sys.stderr)
        sys.exit(3)
    case "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    case "silent":
        sys.exit(0)
    case "hang":
        time.sleep(600)

def after(option):
    return arguments[arguments.index(option) + 1]

if os.environ.get("FAKE_FAULT") == "damage":  # a volume that ends in its header
    written = dict(flirt="-out", robustfov="-r", N4BiasFieldCorrection="--output")
    place = {{"fslreorient2std": 1, "bet": 1, "runROBEX.sh": 2}}
    target = arguments[place[name]] if name in place else after(written[name])
    sys.exit(Path(target).write_bytes(bytes(100)) and 0)

match name:
    case "fslreorient2std" | "bet":
        shutil.copyfile(arguments[0], arguments[1])
    case "robustfov":
        shutil.copyfile(after("-i"), after("-r"))
    case "N4BiasFieldCorrection":
        shutil.copyfile(after("--input-image"), after("--output"))
    case "flirt":
        shutil.copyfile(after("-ref"), after("-out"))
        x, y, z = os.environ.get("FAKE_SHIFT", "0 0 0").split()
        Path(after("-omat")).write_text(f"1 0 0 {{x}}\\n0 1 0 {{y}}\\n0 0 1 {{z}}\\n0 0 0 1\\n")
    case "runROBEX.sh":
        import nibabel as nib
        import numpy as np
        image = nib.load(arguments[0])
        place = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), -1)
        away = (place - np.array(image.shape) / 2) * image.header.get_zooms()
        inside = np.linalg.norm(away, axis=-1) < 65
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), image.affine), arguments[2])
"""


class FakeTools:
    """A folder of recording fakes."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "calls.jsonl"
        self.fsl, self.ants, self.robex = (folder / name for name in ("fsl", "ants", "robex"))
        for program in ("fslreorient2std", "robustfov", "flirt", "bet"):
            self._write(self.fsl / "bin" / program)
        (self.fsl / "etc").mkdir()
        (self.fsl / "etc/fslversion").write_text("6.0.7.4:deadbeef\n")
        self._write(self.ants / "N4BiasFieldCorrection")
        for program in ("runROBEX.sh", "ROBEX"):
            self._write(self.robex / program)
        (self.robex / "readme.txt").write_text("Robust Brain Extraction (ROBEX)  v1.2\n")

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROGRAM.format(python=sys.executable, calls=str(self.record)))
        path.chmod(0o755)

    def environment(self, path: str) -> dict[str, str]:
        """Variables with which the fakes are found, `path` being PATH without them."""
        found = {"FSLDIR": str(self.fsl), "ROBEX_DIR": str(self.robex)}
        return {**found, "PATH": f"{self.ants}:{path}"}

    def calls(self) -> list[dict]:
        """What was called, in order."""
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def call(self) -> dict:
        """The only call."""
        calls = self.calls()
        assert len(calls) == 1, calls
        return calls[0]


def without_tools(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Hide what is installed on this machine."""
    for variable in ("FSLDIR", "FSLDEVDIR", "ROBEX_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(folder))
