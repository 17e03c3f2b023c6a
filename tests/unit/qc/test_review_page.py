"""The page in a real browser, with as many rows as the paper has volumes."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.studies import ADNI
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from pipeline.qc.review_page import write_page
from pipeline.stage import layout

VOLUMES = 5000
TOOLS = [shutil.which(name) for name in ("chromium", "chromedriver")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in TOOLS, reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    numbers = np.arange(VOLUMES)
    volumes = pd.DataFrame(
        {
            "subject": [f"{n % 60:03d}S{n // 5:04d}" for n in numbers],
            "session": [("bl", "m06", "m12", "m24", "m36")[n % 5] for n in numbers],
            "split": "train",
            "diagnosis": "MCI",
            "site": [f"{n % 60:03d}" for n in numbers],
            "field_strength": np.where(numbers % 3 == 0, 3.0, 1.5),
            "decision": np.select([numbers < 3, numbers < 40], ["fell out", "suspect"], "used"),
            "stage": np.where(numbers < 3, "skull", ""),
            "rule": np.where(numbers < 3, "tool_failed", ""),
            "reason": np.where(numbers < 3, "<b>ROBEX</b> & crashed", ""),
            "suspect": np.where((numbers >= 3) & (numbers < 40), "brain_volume", ""),
            "litres": np.where(numbers < 3, np.nan, rng.normal(1.9, 0.1, VOLUMES)),
            "litres_z": rng.normal(0, 1, VOLUMES),
            "correlation": 0.8,
            "correlation_z": 0.0,
            "overlap": 0.97,
            "template_overlap": 0.95,
            "empty_planes": "",
            "likeness": np.where(numbers % 5 == 0, np.nan, np.where(numbers == 7, -0.91, 0.85)),
            "orientation": "",
        }
    )
    folder = tmp_path_factory.mktemp("qc")
    picture = folder / "picture.jpg"
    Image.effect_noise((384, 128), 50).save(picture)
    for row in volumes.itertuples():
        copy = folder / layout.quality("adni", row.subject, row.session, "jpg")
        copy.parent.mkdir(parents=True)
        os.link(picture, copy)
    write_page(volumes, "adni", folder / "adni/qc.html", {**ADNI, "data": "demo"})
    return folder / "adni/qc.html", volumes


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = TOOLS[0]
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1900,900"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(TOOLS[1]))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    browser.get(page[0].as_uri())
    return browser


def loaded(browser):
    return browser.execute_script(
        "return [...document.images].filter(i => i.complete && i.naturalWidth === 384).length"
    )


def column(browser, number):
    """Text of a column's visible cells, in order."""
    return browser.execute_script(
        "return [...document.querySelectorAll('tbody tr')].filter(r => !r.hidden)"
        f".map(r => r.cells[{number}].textContent)"
    )


def test_pictures_load_as_they_come_into_view(opened):
    WebDriverWait(opened, 20).until(lambda browser: loaded(browser) > 3)
    assert loaded(opened) < 200
    last = opened.find_elements(By.CSS_SELECTOR, "tbody img")[-1]
    assert not opened.execute_script("return arguments[0].complete", last)
    opened.execute_script("arguments[0].scrollIntoView()", last)
    WebDriverWait(opened, 20).until(
        lambda browser: browser.execute_script("return arguments[0].naturalWidth", last) == 384
    )
    assert loaded(opened) < 400


def test_sorts_by_number_with_missing_last(opened, page):
    litres = page[1]["litres"].dropna()
    header = opened.find_element(By.XPATH, "//th[normalize-space()='Brain']")
    for direction, expected in (("ascending", litres.min()), ("descending", litres.max())):
        header.find_element(By.TAG_NAME, "button").click()
        assert header.get_attribute("aria-sort") == direction
        shown = column(opened, 10)
        assert shown[0] == f"{expected:.3f}"
        assert shown[-3:] == ["", "", ""]
        assert len(shown) == VOLUMES


def test_mirrored_session_comes_first_when_sorted_by_sides(opened):
    opened.find_element(By.XPATH, "//th[normalize-space()='Sides']/button").click()
    shown = column(opened, 17)
    assert shown[:2] == ["-0.91", "0.85"]
    assert shown[-VOLUMES // 5 :] == [""] * (VOLUMES // 5)  # subjects' only sessions


def test_sorts_by_state_back_to_worst_first(opened):
    before = column(opened, 1)
    opened.find_element(By.XPATH, "//th[normalize-space()='Subject']/button").click()
    assert column(opened, 1) == sorted(before)
    opened.find_element(By.XPATH, "//th[normalize-space()='State']/button").click()
    assert column(opened, 1) == before


def test_filters_by_state_and_text(opened):
    Select(opened.find_element(By.ID, "state")).select_by_value("suspect")
    assert opened.find_element(By.ID, "shown").text == "37 shown"
    assert set(column(opened, 7)) == {"suspect"}
    opened.find_element(By.ID, "find").send_keys("m12 brain")
    assert set(column(opened, 2)) == {"m12"}
    assert set(column(opened, 9)) == {"brain volume"}


def test_says_demonstration_and_shows_reasons_as_text(opened):
    assert "simulated" in opened.title
    assert opened.find_element(By.CLASS_NAME, "demo").is_displayed()
    assert column(opened, 19)[0] == "<b>ROBEX</b> & crashed"
    assert column(opened, 8)[:4] == ["skull", "skull", "skull", ""]
    assert not [line for line in opened.get_log("browser") if line["level"] == "SEVERE"]
