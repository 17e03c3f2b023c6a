"""The page itself: ``results/report/index.html``, one file that needs no network."""

import base64
import gzip
import json
import mimetypes
import os
from pathlib import Path
from typing import Any

import jinja2
import markdown
import pandas as pd
from markupsafe import Markup

from pipeline.dataset.packed import PackedDataset
from pipeline.method.explain import NOT_DIAGNOSTIC
from pipeline.method.registry import METHODS
from pipeline.report.cohort_flow import cohort_flow, doubtful_pairs, left_out
from pipeline.report.curves import draw_curves
from pipeline.report.explorer import explorer_data
from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_path, read_csv, read_json

HERE = Path(__file__).parent
NIIVUE = HERE / "vendor/niivue.umd.js.gz"
LONGEST_TABLE = 60  # rows; longer tables are linked
# Sections that the page makes itself, with their ids in page.html.
PARTS = {"Explorer": "explorer", "Training": "curves", "Cohorts": "cohorts"}


def make_report(
    destination: Path,
    datasets: dict[str, dict[str, Any]],
    sections: dict[str, list[str]],
    seed: int,
) -> None:
    """Write the report.

    Parameters
    ----------
    destination
        HTML file written: styles, scripts, pictures and numbers are all inside; only pages of their
        own (HTML) and long tables are linked, by relative paths.
    datasets
        By name: ``title``, ``disease``, ``data`` (``real`` or how it was made), ``packed``
        (folder), ``cohort`` (facts of the cohort, None where there is none) and ``exclusions``
        (files), and ``models``, a list of records: ``method``, ``seed``, and the files
        ``generator``, ``scores`` and ``history``.
    sections
        By title and in the wanted order, the files that each shows: CSV as tables, Markdown as
        text, PNG and SVG as pictures, JSON folded up, HTML as links. Those of `PARTS` show what the
        page makes itself, too; if they are not named, they come last.
    seed
        Whose models the explorer shows.

    Raises
    ------
    InputError
        If a section names a file of another kind.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    folder = Path(destination).parent
    cohorts = [
        {
            "title": _title(dataset),
            **_pairs(dataset),
            "left_out": _rows(left_out(Path(dataset["exclusions"]))),
        }
        for dataset in datasets.values()
        if dataset["cohort"]
    ]
    explorer = explorer_data(datasets, seed)
    shown = {method for dataset in explorer["datasets"] for method in dataset["methods"]}
    text = environment.get_template("page.html").render(
        simulated=[about["title"] for about in datasets.values() if about["data"] != "real"],
        studies=[(_title(about), about["disease"]) for about in datasets.values()],
        methods=[method.title for name, method in METHODS.items() if name in shown],
        notice=NOT_DIAGNOSTIC,
        sections=[
            {
                "title": title,
                "id": PARTS.get(title, f"section-{number}"),
                "blocks": [_block(Path(path), folder) for path in paths],
            }
            for number, (title, paths) in enumerate(_in_order(sections, cohorts).items(), 1)
        ],
        cohorts=cohorts,
        curves=[
            {
                "title": _title(dataset),
                "picture": _data_url(
                    draw_curves(
                        {
                            (model["method"], model["seed"]): Path(model["history"])
                            for model in dataset["models"]
                            if model["method"] in shown
                        }
                    ),
                    "image/png",
                ),
            }
            for name, dataset in datasets.items()
        ],
        volumes=any(dataset["voxel_mm"] for dataset in explorer["datasets"]),
        style=_asset("page.css"),
        explorer=_asset("explorer.js"),
        niivue=Markup(gzip.decompress(NIIVUE.read_bytes()).decode("utf-8")),
        licences=(HERE / "vendor/LICENCES.txt").read_text(encoding="utf-8"),
        data=Markup(_inline_json(explorer)),
        seed=seed,
    )
    with atomic_path(destination) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _in_order(sections: dict[str, list[str]], cohorts: list[Any]) -> dict[str, list[str]]:
    """All sections of the page, with what it makes itself."""
    own = [title for title in PARTS if cohorts or PARTS[title] != "cohorts"]
    return {**sections, **{title: [] for title in own if title not in sections}}


def _title(dataset: dict[str, Any]) -> str:
    kind = "" if dataset["data"] == "real" else f" ({dataset['data']}, simulated)"
    return dataset["title"] + kind


def _pairs(dataset: dict[str, Any]) -> dict[str, Any]:
    packed = PackedDataset.open(Path(dataset["packed"]))
    flow = cohort_flow(read_json(Path(dataset["cohort"])), packed, dataset["disease"])
    return {"flow": _rows(flow), "doubtful": _rows(doubtful_pairs(packed))}


def _asset(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _inline_json(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(data).replace("<", "\\u003c")


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}" if abs(value) < 1e-3 else f"{value:.3f}"
    return "" if value is None else str(value)


def _rows(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as the template shows it."""
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    return {"columns": list(zip(frame.columns, numeric, strict=True)), "rows": rows}


def _block(path: Path, folder: Path) -> dict[str, Any]:
    """One file of a section, by its kind."""
    # As it is found from the results folder and, for links, from the page.
    name, link = (os.path.relpath(path, start) for start in (folder.parent, folder))
    block = {"kind": path.suffix[1:], "name": name, "link": link}
    match block["kind"]:
        case "csv":
            frame = read_csv(path)
            block["table"] = _rows(frame.head(LONGEST_TABLE))
            block["hidden"] = max(0, len(frame) - LONGEST_TABLE)
        case "md":
            text = path.read_text(encoding="utf-8")
            block["text"] = Markup(markdown.markdown(text, extensions=["tables"]))
        case "png" | "svg":
            block["picture"] = _data_url(path.read_bytes(), mimetypes.types_map[path.suffix])
        case "json":
            block["text"] = path.read_text(encoding="utf-8")
        case "html":
            block["title"] = f"{path.parent.name}: {path.stem}"
        case other:
            raise InputError(f"the report cannot show {path}: no kind {other!r} is known")
    return block
