"""The configuration as typed models; what it does not say is as in the paper."""

from pipeline.study.config.reading import Config, parse_config, read_config

__all__ = ["Config", "parse_config", "read_config"]
