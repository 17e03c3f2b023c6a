"""The profiles of clusters: complete, commented, and able to plan the whole graph."""

import re

import pytest
import yaml
from helpers.paper_archives import write_paper_archives
from helpers.workflow import ROOT, planned_jobs

CLUSTERS = ("slurm", "generic")
PAPER = ("--configfile", ROOT / "config/paper.yaml")


def text_of(name):
    return (ROOT / f"profiles/{name}/config.yaml").read_text()


def profile(name):
    return yaml.safe_load(text_of(name))


def rules_with_jobs(asking="shell:"):
    """Rules that run a command, or that have another part."""
    named = {}
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        head = r"^(?:rule|checkpoint|use rule (\w+) as) (\w+)(?: with)?:"
        _, *blocks = re.split(head, path.read_text(), flags=re.MULTILINE)
        for parent, name, block in zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True):
            named[name] = block + named.get(parent, "")
    return {name for name, block in named.items() if asking in block}


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_entry_is_explained(name):
    """A comment stands on the line of an entry or on the lines before its block."""
    unexplained = []
    explained = False
    for line in text_of(name).splitlines():
        if not line.strip():
            explained = False
        elif line.lstrip().startswith("#") or "  # " in line:
            explained = True
        elif not explained:
            unexplained.append(line)
    assert not unexplained


@pytest.mark.parametrize("name", CLUSTERS)
def test_rules_named_in_a_profile_exist(name):
    settings = profile(name)
    known = rules_with_jobs() | {"make_demo_adni", "make_demo_copd"}
    for part in ("groups", "set-resources", "set-threads"):
        assert set(settings[part]) <= known
    assert set(settings["groups"].values()) == set(settings["group-components"])


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_rule_that_asks_for_memory_can_grow(name):
    """What a rule itself asks for does not grow; the profile has to say it."""
    known = rules_with_jobs(asking="mem_mb")
    assert known <= set(profile(name)["set-resources"])


@pytest.mark.parametrize("name", CLUSTERS)
def test_memory_and_time_grow_when_a_job_is_tried_again(name):
    settings = profile(name)
    assert settings["retries"] > 0
    asked = [settings["default-resources"], *settings["set-resources"].values()]
    for resources in asked:
        for key in ("mem_mb", "runtime"):
            first, second = (eval(resources[key], {"attempt": n}) for n in (1, 2))
            assert first < second


def test_both_clusters_ask_for_the_same(name="generic"):
    """What a job needs does not depend on the cluster; only the spelling does."""
    slurm, generic = profile("slurm"), profile("generic")
    for part in ("groups", "group-components", "set-threads", "retries", "latency-wait"):
        assert slurm[part] == generic[part]
    for rule, asked in slurm["set-resources"].items():
        for key in ("mem_mb", "runtime"):
            assert asked[key] == generic["set-resources"][rule][key]


@pytest.mark.parametrize("name", CLUSTERS)
def test_whole_graph_of_the_paper_is_planned(tmp_path, name):
    write_paper_archives(tmp_path, subjects=20)
    plan = planned_jobs(tmp_path, *PAPER, "--workflow-profile", ROOT / "profiles" / name)
    assert plan["train_model"] == 2 * (3 * 5 + 2)  # two baselines have one model
    assert plan["strip_skull"] == plan["resample_grid"] > 5
