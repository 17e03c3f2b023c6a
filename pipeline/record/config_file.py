"""``results/config.yaml``: the effective configuration of a run."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.stage.files import atomic_path

NOTICE = "# The configuration of the run, with every value that it need not say.\n"


def record_config(config: dict[str, Any], destination: Path) -> None:
    """Write the effective configuration as YAML, which a run can begin with."""
    with atomic_path(destination) as temporary:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        temporary.write_text(NOTICE + text, encoding="utf-8")
