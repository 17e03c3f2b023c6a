"""The page of one explained image: one HTML file that opens in any browser, without a network."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from pipeline.biomarkers.population import FEWEST, SUBJECTS
from pipeline.stage.about import About
from pipeline.stage.files import atomic_path

PAGE = "page.html"
# Of the displacement (voxels or pixels) or, without a field, of the change of intensity (-1 to 1):
# what is smaller nobody sees.
NOTHING = {"largest_displacement": 0.1, "largest_difference": 0.02}
CHANGES = ("volume change", "change")  # in per cent; a model that does not deform has none


def write_image_page(
    folder: Path,
    name: str,
    about: About,
    method: str,
    facts: dict[str, Any],
    regions: pd.DataFrame | None,
) -> None:
    """Write ``page.html``; it holds no more of the patient than picture and name.

    Parameters
    ----------
    folder
        Holds the explanation's files; its ``figure.png`` becomes part of the page.
    name
        Of the explanation, given by the user.
    about
        The data set that the model was trained with.
    method
        Title of the method.
    facts
        What ``explanation.json`` holds.
    regions
        Table of ``regions.csv``; None where nothing was measured.
    """
    template = Environment(
        loader=PackageLoader("pipeline.study", "."), autoescape=True, trim_blocks=True
    ).get_template(PAGE)
    rows = [] if regions is None else regions.astype(object).to_dict("records")
    changes = [row for row in rows if row["measure"] in CHANGES]
    shown = changes or [row for row in rows if row["measure"] == "difference"]
    measured = next(key for key in NOTHING if facts[key] is not None)
    text = template.render(
        nothing=facts[measured] < NOTHING[measured],
        name=name,
        about=about,
        method=method,
        facts=facts,
        figure=base64.b64encode((folder / "figure.png").read_bytes()).decode("ascii"),
        rows=shown,
        images=max((int(row["images"]) for row in shown), default=0),
        most=SUBJECTS,
        fewest=FEWEST,
        files=sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()),
    )
    with atomic_path(folder / PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
