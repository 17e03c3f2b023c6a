"""The page of one explained image."""

import pandas as pd
import pytest

from pipeline.biomarkers.population import FEWEST
from pipeline.study.image_page import write_image_page

ABOUT = {
    "title": "ADNI",
    "modality": "brain",
    "disease": {"name": "Alzheimer's disease", "healthy": "MCI", "diseased": "AD"},
    "data": "real",
}
FACTS = {
    "notice": "No diagnosis.",
    "largest_displacement": 1.5,
    "folded_share": 0.0,
    "mean_absolute_difference": 0.01234,
    "largest_difference": 0.1,
    "preparation": [{"stage": "orient", "engine": "nibabel", "version": "5"}],
}


@pytest.fixture
def page(tmp_path):
    """What the page says of a region of 5 %, beside a range of 0 to 1 % of so many images."""

    def write(images, value=5.0):
        (tmp_path / "figure.png").write_bytes(b"PNG")
        row = {"structure": "ventricles", "measure": "volume change", "unit": "%", "value": value}
        regions = pd.DataFrame([row | {"images": images, "low": 0.0, "median": 0.5, "high": 1.0}])
        write_image_page(tmp_path, "mine", ABOUT, "DeFI-GAN", FACTS, regions)
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return write


@pytest.mark.parametrize(("images", "marked"), [(3, False), (FEWEST - 1, False), (FEWEST, True)])
def test_what_lies_outside_is_marked_where_a_range_is_one(page, images, marked):
    text = page(images)
    assert ('<tr class="outside">' in text) == marked
    assert ("rows outside it are marked" in text) == marked
    assert (f"With fewer than {FEWEST} images that is no range" in text) != marked


@pytest.mark.parametrize(
    ("displacement", "difference", "told"),
    [
        (1.5, 0.0, False),
        (0.11, 0.0, False),
        (0.09, 1.0, True),
        (None, 0.03, False),
        (None, 0.01, True),
    ],
)
def test_an_explanation_of_nothing_is_called_so(tmp_path, displacement, difference, told):
    (tmp_path / "figure.png").write_bytes(b"PNG")
    facts = {"largest_displacement": displacement, "largest_difference": difference}
    about = ABOUT | {"modality": "chest"}
    write_image_page(tmp_path, "mine", about, "DeFI-GAN", FACTS | facts, None)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ("leaves this image as it is" in text) == told
    assert "voxel" not in text and ("pixels of the prepared" in text) == (displacement is not None)


def test_nothing_has_a_sign(page):
    assert '<td class="number">-0.00</td>' not in page(3, value=-0.0004)
    assert '<td class="number">-0.01</td>' in page(3, value=-0.006)


@pytest.mark.parametrize("title", ["ADNI", "COPD"])
def test_a_disease_that_gave_its_data_set_the_name_is_told_once(tmp_path, title):
    (tmp_path / "figure.png").write_bytes(b"PNG")
    disease = {"name": "COPD", "healthy": "normal", "diseased": "COPD"}
    write_image_page(
        tmp_path, "mine", ABOUT | {"title": title, "disease": disease}, "DeFI-GAN", FACTS, None
    )
    told = "COPD" if title == "COPD" else "ADNI: COPD"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"trained with {told}, from COPD to normal." in text
