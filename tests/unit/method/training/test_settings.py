"""Training settings."""

import pytest

from pipeline.method.registry import find_method
from pipeline.method.training.settings import TrainSettings
from pipeline.stage.errors import InputError


def test_a_configuration_comes_back(make_settings):
    settings = make_settings(**{"lambda": 25})
    assert settings.lambda_ == 25
    assert settings.to_dict()["lambda"] == 25
    assert TrainSettings.read(settings.to_dict()) == settings


def test_wrong_options_are_named(make_settings):
    options = make_settings().to_dict()
    with pytest.raises(InputError, match="unknown option: lamda"):
        TrainSettings.read(options | {"lamda": 1})
    missing = {key: value for key, value in options.items() if key != "poolings"}
    with pytest.raises(InputError, match="missing option: poolings"):
        TrainSettings.read(missing)
    with pytest.raises(InputError, match="precision: expected 'float32', 'tf32' or 'bf16', found"):
        TrainSettings.read(options | {"precision": "float16"})
    with pytest.raises(InputError, match="lambda: expected greater than or equal to 0, found -1"):
        TrainSettings.read(options | {"lambda": -1})
    for wrong in ("ten", True):
        with pytest.raises(InputError, match=rf"epochs: .* integer, found {wrong!r}"):
            TrainSettings.read(options | {"epochs": wrong})


def test_averaging_is_told_only_where_it_averages(make_settings):
    """A training from before there was an average has the settings it had, and stays."""
    assert "averaging" not in make_settings().to_dict()
    assert make_settings(averaging=0).to_dict() == make_settings().to_dict()
    assert make_settings(averaging=0.9).to_dict()["averaging"] == 0.9


def test_a_methods_section_tells_of_the_average(make_settings):
    plain, averaged = (
        find_method("defi-gan").words(make_settings(averaging=factor).to_dict())
        for factor in (0, 0.985)
    )
    assert plain.detail == "λ = 1"
    assert averaged.detail == "λ = 1 and a running average of its weights (0.985)"
