import re

import pytest
from helpers import stage_code
from helpers.workflow import ROOT

from pipeline.brain.engines import ENGINES
from pipeline.stages import BRAIN_STAGES, STAGES, stage_function
from pipeline.study.plan import COSTS


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
    changed = sorted(name for name in now if before.get(name) != now[name])
    gone = sorted(set(before) - set(now))
    assert not changed and not gone, (
        f"code of {', '.join(changed + gone)} is not the one that its version was given for: raise "
        "the version in pipeline/stages.py where results change, and record the code with "
        "`python tests/helpers/stage_code.py`"
    )


def test_hash_of_code_is_that_of_its_statements(tmp_path):
    same = ['"""What."""\nx = 1  # why\n', "x = (\n    1\n)\n"]
    hashes = []
    for text in [*same, "x = 2\n"]:
        file = tmp_path / "module.py"
        file.write_text(text)
        hashes.append(stage_code._hash({file}))
    assert hashes[0] == hashes[1] != hashes[2]


def test_engines_are_those_of_stages_that_say_so():
    assert set(ENGINES) == {name for name, stage in STAGES.items() if stage.engines}
    assert set(ENGINES) < set(BRAIN_STAGES)


def test_every_stage_has_a_cost():
    measured = {line.split(",")[0] for line in COSTS.read_text().splitlines()}
    unplanned = {"choose-lambda"}  # not part of a run
    assert set(STAGES) - measured == unplanned
