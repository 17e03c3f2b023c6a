import re

from pipeline.stage import layout
from pipeline.study import patterns


def test_patterns_become_the_paths_of_the_layout():
    names = {"dataset": "adni", "subject": "1", "session": "bl", "baseline": "bl"}
    names |= {"followup": "m12", "method": "va-gan", "seed": 0, "case": "best"}
    assert patterns.volume("bias").format(**names) == (
        f"results/{layout.volume('adni', 'bias', '1', 'bl')}"
    )
    assert patterns.volume("grid", "{followup}").format(**names) == (
        f"results/{layout.volume('adni', 'grid', '1', 'm12')}"
    )
    assert patterns.pair("mask.nii.gz").format(**names) == (
        f"results/{layout.pair('adni', '1', 'm12', 'bl', 'mask.nii.gz')}"
    )
    assert (
        patterns.model("x").format(**names) == f"results/{layout.model('adni', 'va-gan', 0, 'x')}"
    )
    assert patterns.figure("details", "png").format(**names) == (
        f"results/{layout.figure('adni', 'best', 'details', 'png')}"
    )


def test_wildcard_of_nothing_never_matches():
    assert re.fullmatch(patterns.one_of(["a", "b"]), "b")
    assert not re.fullmatch(patterns.one_of([]), "")
