import re
import shutil

import pytest
from helpers import stage_code
from helpers.workflow import ROOT

from pipeline.brain.engines import ENGINES
from pipeline.stages import BRAIN_STAGES, STAGES, stage_function
from pipeline.study.costs import COSTS


@pytest.mark.parametrize("name", STAGES)
def test_stage_has_a_function_and_a_rule(name):
    assert callable(stage_function(name))
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert re.search(rf"\b{STAGES[name].rule}\b", rules) or name.startswith("make-demo")
    assert f'STAGES["{name}"].version' in rules


def test_no_version_stands_away_from_its_stage():
    for path in (ROOT / "workflow").rglob("*.smk"):
        assert not re.search(r"(?<!engine_)version=\d", path.read_text()), path.name


def test_code_changes_with_its_version():
    before, now = stage_code.recorded(), stage_code.code_of_stages()
    changed = sorted(n for n in before.keys() | now.keys() if before.get(n) != now.get(n))
    assert not changed, stage_code.REMEDY.format(stages=" ".join(changed))


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_code, "RECORD", tmp_path / "code.csv")
    return stage_code.record


def test_code_under_an_old_version_is_recorded_only_if_somebody_says_so(record):
    before, now = {"a": (2, "x"), "b": (1, "x")}, {"a": (2, "y"), "b": (1, "x")}
    with pytest.raises(SystemExit, match=r"raise the version in(.|\n)*--results-are-the-same a"):
        record(before, now, [])
    assert not stage_code.RECORD.exists()
    record(before, now, ["a"])
    assert stage_code.recorded() == now


def test_a_raised_version_new_code_and_code_that_is_gone_are_recorded(record):
    now = {"a": (3, "y"), "new": (1, "z")}
    record({"a": (2, "x"), "gone": (1, "x")}, now, [])
    assert stage_code.recorded() == now
    with pytest.raises(SystemExit):
        record(now, now | {"a": (2, "x")}, [])


def test_hash_of_code_is_that_of_its_statements(tmp_path):
    same = ['"""What."""\nx = 1  # why\n', "x = (\n    1\n)\n"]
    hashes = []
    for text in [*same, "x = 2\n", "x = 0\n", "x = False\n"]:
        file = tmp_path / "module.py"
        file.write_text(text)
        hashes.append(stage_code.code_hash({file}))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Changes a module of a copy of the pipeline; tells whose code that is."""
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline")
    registries = {tmp_path / path.relative_to(ROOT) for path in stage_code.REGISTRIES}
    monkeypatch.setattr(stage_code, "ROOT", tmp_path)
    monkeypatch.setattr(stage_code, "REGISTRIES", registries)
    before = stage_code.code_of_stages()

    def changed(module):
        with (tmp_path / "pipeline" / module).open("a", encoding="utf-8") as file:
            file.write("\nCHANGED = True\n")
        now = stage_code.code_of_stages()
        return {name for name in now if now[name] != before[name]}

    return changed


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("brain/bias.py", "bias"),
        ("brain/robex.py", "skull:robex"),
        (
            "brain/atlas.py",
            "biomarker-table biomarkers compare-with-truth credibility truth-table",
        ),
        ("score/table.py", "extended-table table"),
        ("dicom/film.py", "describe-cohort films ingest"),
        ("geometry/itk.py", "pack-films pack-volumes template:niimath"),
        (
            "method/training/train.py",
            "fetch-critic-weights train:defi-gan train:defi-gan-diffeo train:va-gan",
        ),
        # What only lists, and what all use: no stage's results come from them.
        ("brain/engines.py", ""),
        ("method/registry.py", ""),
        ("stage/files.py", ""),
    ],
)
def test_a_module_is_the_code_of_the_stages_that_use_it(copied, module, stages):
    assert copied(module) == set(stages.split())


def test_engines_are_those_of_stages_that_say_so():
    assert set(ENGINES) == {name for name, stage in STAGES.items() if stage.engines}
    assert set(ENGINES) < set(BRAIN_STAGES)


def test_every_stage_has_a_cost():
    measured = {line.split(",")[0] for line in COSTS.read_text().splitlines()}
    unplanned = {"choose-lambda"}  # not part of a run
    assert set(STAGES) - measured == unplanned
