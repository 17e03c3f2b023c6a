"""The page of quality control: one file, sortable and filterable, pictures in files beside it."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from pipeline.stage import layout
from pipeline.stage.files import atomic_path

DECISIONS = {
    "fell out": "a stage could not process it",
    "excluded": "left out by qc.exclude or by the drop list",
    "suspect": "used; look at it",
    "kept": "suspect, but on the keep list",
    "used": "nothing suspicious",
}


def write_page(volumes: pd.DataFrame, dataset: str, page: Path, about: dict[str, Any]) -> None:
    """Write the page.

    Parameters
    ----------
    volumes
        Columns `pipeline.qc.review.COLUMNS`, in the order of the page.
    dataset
        Name of the data set.
    page
        HTML file in the folder of the data set. Pictures load as they scroll into view.
    about
        ``title``, ``disease`` and ``data`` of the data set; the page says whether it is simulated.
    """
    template = Environment(
        loader=PackageLoader("pipeline.qc", "."), autoescape=True, trim_blocks=True
    ).get_template("page.html")
    rows = volumes.astype(object).where(volumes.notna(), None).to_dict("records")
    for row in rows:
        picture = Path(layout.quality(dataset, row["subject"], row["session"], "jpg"))
        row["picture"] = picture.relative_to(dataset).as_posix()
        row["drawn"] = (page.parent / row["picture"]).stat().st_size > 0
    counts = volumes["decision"].value_counts()
    states = [(name, counts.get(name, 0), text) for name, text in DECISIONS.items()]
    with atomic_path(page) as temporary:
        temporary.write_text(
            template.render(about=about, rows=rows, states=states), encoding="utf-8"
        )
