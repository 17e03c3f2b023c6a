"""The registry of methods, and that nobody else knows their names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.method.options import Options
from pipeline.method.registry import (
    METHODS,
    find_method,
    first_that_deforms,
    reference_method,
    shown_first,
)
from pipeline.stage.errors import InputError

ROOT = Path(__file__).parents[3]


def without_imports(text):
    """A module may be called as its method is."""
    return re.sub(r"^ *from \S+ import ", "", text, flags=re.MULTILINE)


def test_no_name_of_a_method_outside_its_own_module():
    sources = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.*"), *ROOT.glob("pipeline/**/*.*")]
    found = {
        (name, str(path.relative_to(ROOT)))
        for path in sources
        if path.suffix in ("", ".py", ".smk", ".yaml", ".rst", ".js", ".html")
        for name in METHODS
        if re.search(
            rf"(?<![\w-]){name}(?![\w-])", without_imports(path.read_text(encoding="utf-8"))
        )
    }
    assert found == {(name, f"pipeline/method/{name.replace('-', '_')}.py") for name in METHODS}


def test_registry_is_light():
    """The workflow reads it in every job: it must not start PyTorch."""
    code = "import sys, pipeline.study.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_method_describes_itself():
    assert [name for name, method in METHODS.items() if method.reference] == ["defi-gan"]
    assert reference_method().title == "DeFI-GAN"
    for name, method in METHODS.items():
        assert method.name == name
        assert method.summary.startswith(method.title) and method.summary.endswith(".")
        assert issubclass(method.options, Options)
    with pytest.raises(InputError, match=r"method: 'gan' is none of random-field, .*, defi-gan"):
        find_method("gan")


def test_baselines_are_drawn_only_where_there_is_nothing_else():
    assert first_that_deforms(["constant-field", "defi-gan"]) == "defi-gan"
    assert shown_first(["constant-field", "va-gan", "defi-gan"]) == ["defi-gan", "va-gan"]
    assert shown_first(["random-field", "va-gan", "constant-field"]) == ["random-field", "va-gan"]
    assert shown_first(["class-difference"]) == ["class-difference"]


def test_first_configured_method_that_deforms_is_drawn():
    assert first_that_deforms(["va-gan", "defi-gan"]) == "defi-gan"
    assert first_that_deforms(["va-gan"]) is None
    assert shown_first(["va-gan", "defi-gan"]) == ["defi-gan", "va-gan"]
    assert shown_first(["va-gan"]) == ["va-gan"]


def test_settings_of_a_fit_are_the_shared_ones_and_its_own():
    shared = {"epochs": 3, "batch_size": 2, "sheep": 1}
    own = {"lambda": 2, "epochs": 5, "batch_size": None}
    expected = {"method": "va-gan", "seed": 4, "epochs": 5, "batch_size": 2, "lambda": 2}
    assert find_method("va-gan").settings(shared, own, "4") == expected


def test_options_are_read_and_come_back():
    own = {"lambda": 2, "learning_rate": 0.001, "critic_updates": 2, "initial_critic_updates": 20}
    own |= {"initial_generator_updates": 1, "critic_boost_every": 3, "flow_scale": 5}
    own |= {"variant": "plain", "epochs": 7}
    options = find_method("defi-gan").options
    assert options.read(own).to_dict() == own
    with pytest.raises(InputError, match="variant: expected 'plain', found 'original'"):
        options.read(own | {"variant": "original"})
    with pytest.raises(InputError, match=r"critic_updates: .*, found 'two'; unknown option: epoch"):
        options.read(own | {"epoch": 7, "critic_updates": "two"})
