"""profiles/generic with recording fake commands of PBS, which run the job where they are called."""

import os
import re

import pytest
import yaml
from helpers.workflow import ROOT, run_snakemake

# qsub runs the job at once and remembers how it ended; qstat tells that in the words of PBS.
FAKES = {
    "qsub": """#!/bin/sh
echo "$@" >>"{folder}/submitted"
for script; do :; done
sh "$script" >/dev/null 2>&1
echo $? >"{folder}/$(basename "$script").status"
basename "$script"
""",
    "qstat": """#!/bin/sh
for job; do :; done
echo "    job_state = F"
echo "    Exit_status = $(cat "{folder}/$job.status")"
""",
    "qdel": "#!/bin/sh\n",
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Folder of the fakes, which come first on PATH."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for name, text in FAKES.items():
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def prepare_films(folder, films, check=True):
    """Prepare the films of the miniature, whose archive is to lie in `films`, on the cluster."""
    config = yaml.safe_load((ROOT / "tests/integration/miniature.yaml").read_text())
    del config["datasets"]["adni"]
    config["datasets"]["copd"]["archive"]["films"] = films
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "profiles").symlink_to(ROOT / "profiles")
    arguments = ("--configfile", folder / "config.yaml", "--latency-wait", "5")
    profile = ("--workflow-profile", ROOT / "profiles/generic")
    return run_snakemake(folder, *arguments, *profile, "prepare_chest", cores=None, check=check)


def test_path_that_cannot_be_submitted_stops_the_run_before_the_first_job(tmp_path, commands):
    done = prepare_films(tmp_path, "demo/O'Brien's $(touch oops)", check=False)
    assert done.returncode != 0
    assert "Snakemake cannot hand demo/O'Brien's $(touch oops) to a job" in done.stderr
    assert not (commands / "submitted").exists()
    assert not (tmp_path / "oops").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_jobs_are_submitted_and_asked_for(tmp_path, commands):
    prepare_films(tmp_path, "demo/O'Brien's films")
    submitted = (commands / "submitted").read_text().splitlines()
    assert len(submitted) == 3  # the demonstration, the ingest, and all films in one job
    demo = submitted[0]
    assert "-q cpu" in demo
    assert "-l select=1:ncpus=1:mem=2000mb:ngpus=0 -l walltime=00:60:00" in demo
    assert re.search(r"-N defigan-GROUP .*ncpus=2:mem=6000mb", submitted[2])
    assert len(list((tmp_path / "results/copd/film").glob("*.npz"))) == 2
