import yaml
from helpers.configurations import effective

from pipeline.record.config_file import record_config
from pipeline.study.config import parse_config


def test_effective_configuration_is_one(tmp_path):
    config = effective("config.yaml")
    record_config(config, tmp_path / "config.yaml")
    written = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert parse_config(written).effective() == config
