"""Training settings."""

import pytest

from pipeline.method.training.settings import TrainSettings
from pipeline.stage.errors import InputError


def test_a_configuration_comes_back(make_settings):
    settings = make_settings(**{"lambda": 25})
    assert settings.lambda_ == 25
    assert settings.to_dict()["lambda"] == 25
    assert TrainSettings.from_dict(settings.to_dict()) == settings


def test_wrong_options_are_named(make_settings):
    options = make_settings().to_dict()
    with pytest.raises(InputError, match="unknown training option: lamda"):
        TrainSettings.from_dict(options | {"lamda": 1})
    missing = {key: value for key, value in options.items() if key != "poolings"}
    with pytest.raises(InputError, match="missing training option: poolings"):
        TrainSettings.from_dict(missing)
    with pytest.raises(InputError, match="defi-gan, va-gan"):
        TrainSettings.from_dict(options | {"method": "gan"})
