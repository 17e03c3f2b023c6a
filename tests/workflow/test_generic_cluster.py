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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_jobs_are_submitted_and_asked_for(tmp_path, monkeypatch):
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in FAKES.items():
        (commands / name).write_text(text.format(folder=commands))
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    config = yaml.safe_load((ROOT / "tests/integration/miniature.yaml").read_text())
    del config["datasets"]["adni"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    arguments = ("--configfile", tmp_path / "config.yaml", "--latency-wait", "5")
    profile = ("--workflow-profile", ROOT / "profiles/generic")
    run_snakemake(tmp_path, *arguments, *profile, "prepare_chest", cores=None)
    submitted = (commands / "submitted").read_text().splitlines()
    assert len(submitted) == 3  # the demonstration, the ingest, and all films in one job
    demo = submitted[0]
    assert "-q cpu" in demo
    assert "-l select=1:ncpus=1:mem=2000mb:ngpus=0 -l walltime=00:60:00" in demo
    assert re.search(r"-N defigan-GROUP .*ncpus=2:mem=6000mb", submitted[2])
    assert len(list((tmp_path / "results/copd/film").glob("*.npz"))) == 2
