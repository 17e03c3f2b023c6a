"""What goes wrong on a cluster, on a real Slurm: failures, cancelling, a killed scheduler.

The films of the miniature are enough here; the whole miniature goes through Slurm in
test_miniature.py.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from helpers.slurm import job_details, queued_jobs, write_quick_profile
from helpers.workflow import ROOT, planned_jobs

from pipeline.study.doctor import examine
from pipeline.study.slurm_jobs import jobs_of_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.usefixtures("slurm")]


class Study:
    """A folder with a small study of films, and runs of it through Slurm."""

    def __init__(self, folder: Path, **profile: object) -> None:
        self.folder = folder
        self.config = yaml.safe_load((ROOT / "tests/integration/miniature.yaml").read_text())
        del self.config["datasets"]["adni"]
        del self.films["training"]["methods"]["va-gan"]
        self.config["seeds"] = [0]
        self.profile = write_quick_profile(folder / "profile", **profile)

    @property
    def films(self) -> dict:
        return self.config["datasets"]["copd"]

    @property
    def arguments(self) -> list[object]:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return ["--configfile", path]

    def use_scratch(self, scratch: Path) -> None:
        """Name the local scratch of the nodes in the profile."""
        path = self.profile / "config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile["default-resources"]["tmpdir"] = f"'{scratch}'"
        path.write_text(yaml.safe_dump(profile))

    def start(self, *arguments: object) -> subprocess.Popen:
        command = ["snakemake", "--snakefile", ROOT / "Snakefile", *self.arguments]
        command += ["--workflow-profile", self.profile, *arguments]
        with (self.folder / "said.txt").open("w") as said:
            return subprocess.Popen(
                list(map(str, command)),
                cwd=self.folder,
                stdout=said,
                stderr=subprocess.STDOUT,
                # Else it is deaf to Ctrl-C where these tests run in the background of a shell.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def run(self, *arguments: object) -> str:
        """Run to the end; what was said."""
        self.status = self.start(*arguments).wait()
        return (self.folder / "said.txt").read_text()


def wait_for(condition, seconds: float = 400) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.2)


def running(rule: str) -> list[str]:
    """Ids of the Slurm jobs of a rule that run."""
    asked = subprocess.run(
        ["squeue", "--noheader", "--states=RUNNING", "--format=%A %k"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split()[0] for line in asked.stdout.splitlines() if f"rule_{rule}" in line]


def test_unknown_partition_stops_the_run_before_the_first_job(tmp_path):
    study = Study(tmp_path, resources={"make_demo_copd": {"slurm_partition": "'long'"}})
    said = study.run("ingest_all")
    assert study.status != 0
    assert "there is no partition long, only cpu gpu" in said
    assert "has been submitted" not in said


def test_doctor_tells_what_of_the_profile_this_slurm_does_not_know(tmp_path):
    study = Study(tmp_path)
    shutil.copytree(ROOT / "profiles/slurm", tmp_path / "profiles/slurm")
    found = [str(finding) for finding in examine(study.config, tmp_path) if finding.what == "Slurm"]
    assert found[0] == "ok      Slurm: partitions cpu gpu"
    assert len(found) == 2  # nothing on partitions: the profile names these two
    assert "accounting is off" in found[1]
    assert "slurm-status-command: squeue" in found[1]


def test_failed_job_is_tried_again_with_more_and_shows_its_log(tmp_path):
    study = Study(tmp_path, retries=1)
    study.films["splits"]["fractions"] = {"train": 0.5, "validation": 0.5, "test": 0.0}
    said = study.run("ingest_all")
    assert study.status != 0
    tried = re.findall(r"SLURM jobid (\d+) .*rule_ingest", said)
    assert len(tried) == 2
    assert "JobState=FAILED" in job_details(tried[0])
    memory = [int(re.search(r"MinMemoryNode=(\d+)", job_details(job))[1]) for job in tried]
    hours = [re.search(r"TimeLimit=(\d+)", job_details(job))[1] for job in tried]
    assert memory[1] == 2 * memory[0]
    assert hours == ["02", "04"]
    # The reason, out of the log of the job.
    assert "fractions of validation and test must be above 0" in said


def test_shards_of_films_share_a_job(tmp_path):
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    study = Study(tmp_path, **{"group-components": profile["group-components"]})
    study.run("prepare_chest")
    assert study.status == 0
    shards = sorted(path.name for path in (tmp_path / "results/copd/film").glob("*.npz"))
    assert shards == ["shard-0.npz", "shard-1.npz"]
    jobs = [log.stem for log in (tmp_path / ".snakemake/slurm_logs").glob("group_films_*/**/*.log")]
    assert len(jobs) == 1
    assert "NumCPUs=2" in job_details(jobs[0])  # side by side


def test_cancelling_leaves_no_job_behind(tmp_path):
    study = Study(tmp_path)
    study.films["demo"] |= {"normal": 2000, "copd": 2000}  # minutes of work
    scheduler = study.start("ingest_all")
    wait_for(lambda: running("make_demo_copd"))
    scheduler.send_signal(signal.SIGINT)
    assert scheduler.wait(timeout=60) != 0
    wait_for(lambda: not queued_jobs(), seconds=30)
    assert not (tmp_path / "demo/copd/spirometry.csv").exists()


def scratch_of(name: str, folder: Path) -> str | None:
    """TMPDIR of a stage of the pipeline that runs in a folder, as the operating system tells it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() != folder:
                continue
            command = (process / "cmdline").read_bytes().split(b"\0")
            told = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if command[1:4] == [b"-m", b"pipeline", name.encode()]:
            return dict(part.split(b"=", 1) for part in told if b"=" in part)[b"TMPDIR"].decode()
    return None


def test_killed_scheduler_loses_neither_running_nor_finished_work(tmp_path):
    # GPUs as clusters spell them that know them as a generic resource only.
    study = Study(tmp_path, resources={"train_model": {"gpu": 0, "gres": "'gpu:1'"}})
    study.films["training"] |= {"epochs": 3, "updates_per_epoch": 100}
    study.films["archive"]["films"] = "demo/copd/O'Brien's films"  # submitted as any other
    (tmp_path / "scratch").mkdir()
    study.use_scratch(tmp_path / "scratch")
    scheduler = study.start("train_models")
    wait_for(lambda: running("train_model"))
    job = job_details(running("train_model")[0])
    assert "Partition=gpu" in job
    assert "TresPerNode=gres:gpu:1" in job
    wait_for(lambda: scratch_of("train", tmp_path), seconds=60)
    assert scratch_of("train", tmp_path) == str(tmp_path / "scratch")
    scheduler.kill()
    scheduler.wait()
    # The job goes on, and is seen from the folder that it belongs to and from no other.
    assert jobs_of_folder(tmp_path)
    assert not jobs_of_folder(tmp_path / "profile")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    waiting = ["python", "-m", "pipeline", "wait-for-jobs", tmp_path]
    subprocess.run(waiting, env=environment, check=True)
    assert not jobs_of_folder(tmp_path)
    study.run("--unlock")
    plan = planned_jobs(tmp_path, *study.arguments)
    assert not {"make_demo_copd", "ingest_made", "prepare_films", "train_model"} & set(plan)
    weights = (tmp_path / "results/copd/models/defi-gan/seed-0/generator.safetensors").read_bytes()
    study.run("results/table1.csv")
    assert study.status == 0
    assert (tmp_path / "results/table1.csv").is_file()
    assert (
        weights
        == (tmp_path / "results/copd/models/defi-gan/seed-0/generator.safetensors").read_bytes()
    )
