"""The report of a made-up study, read as a file and used in a real browser without a network."""

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.studies import ADNI, COPD
from PIL import Image

from pipeline.dataset.packed import Geometry, write_array
from pipeline.method.explain import explain_image, save_model
from pipeline.method.generator import Generator
from pipeline.report.explorer import chosen_pairs
from pipeline.report.page import NIIVUE, make_report
from pipeline.stage import layout
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import exclusion_table
from pipeline.stage.files import write_csv, write_json

METHODS = ["va-gan", "defi-gan"]
DATASETS = {"adni": {**ADNI, "data": "demo"}, "copd": {**COPD, "data": "real"}}
SHAPES = {"adni": (12, 16, 8), "copd": (16, 24)}
PAIRS = 3


def _packed(folder, shape):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (PAIRS, *shape)).astype(np.float32)
    write_array(folder / "train.npy", images, PAIRS, "float32")
    write_array(folder / "pairs_image.npy", images, PAIRS, "float32")
    write_array(folder / "pairs_difference.npy", 0.3 * images, PAIRS, "float32")
    write_array(folder / "pairs_mask.npy", images > -2, PAIRS, "bool")
    train = pd.DataFrame({"row": [0, 1], "subject": ["a", "b"], "session": "bl", "label": [0, 1]})
    train.to_parquet(folder / "train.parquet")
    pairs = pd.DataFrame({"row": range(PAIRS), "subject": [f"s{row}" for row in range(PAIRS)]})
    pairs = pairs.assign(split="test", baseline="bl", followup="m12")
    pairs["warning"] = ["", "less alike than before", ""]
    pairs.to_parquet(folder / "pairs.parquet")
    geometry = Geometry.of_made_images(PAIRS, shape)
    replace(geometry, pixel_mm=np.full(PAIRS, 4.0)).write(folder)
    return pairs


def _dataset(results, name):
    """Write a data set with networks as they are before training; what the report is told of it."""
    folder = results / name
    pairs = _packed(folder / "packed", SHAPES[name])
    exclusions = exclusion_table(
        [{"stage": "skull", "item": "image", "subject": "c", "rule": "bad_brain"}]
    )
    exclusions.to_csv(folder / "exclusions.csv", index=False)
    write_json({"images": 417, "pairs": PAIRS, "subjects": 5}, folder / "cohort.json")
    models = []
    for method in METHODS:
        torch.manual_seed(1)
        architecture = {
            "dimensions": len(SHAPES[name]),
            "method": method,
            "base_filters": 4,
            "poolings": 2,
            "flow_scale": 2e4,  # an untrained field is tiny
        }
        files = {
            what: str(results / layout.model(name, method, 0, file))
            for what, file in (
                ("generator", "generator.safetensors"),
                ("scores", "scores.parquet"),
                ("history", "history.parquet"),
            )
        }
        network = Generator(**architecture).state_dict()
        save_model(architecture, network, Path(files["generator"]))
        pairs.drop(columns="row").assign(ncc=[0.1, 0.5, 0.3]).to_parquet(files["scores"])
        history = {"epoch": [1, 2], "validation_ncc": [0.1, 0.2], "critic_loss": [1.0, 0.5]}
        pd.DataFrame(history | {"generator_loss": [2.0, 1.0]}).to_parquet(files["history"])
        models.append({"method": method, "seed": 0, **files})
    return {
        **DATASETS[name],
        "packed": str(folder / "packed"),
        "cohort": str(folder / "cohort.json") if name == "adni" else None,
        "exclusions": str(folder / "exclusions.csv"),
        "models": models,
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Results folder with a report of two data sets."""
    results = tmp_path_factory.mktemp("study") / "results"
    datasets = {name: _dataset(results, name) for name in DATASETS}
    table = pd.DataFrame({"dataset": ["adni"], "ncc_mean": [0.123456], "paper_mean": [None]})
    table.to_csv(results / "table1.csv", index=False)
    (results / "table1.md").write_text("| Data | VA-GAN |\n|---|---|\n| ADNI (demo) | 0.5 |\n")
    Image.new("L", (4, 4)).save(results / "overview.png")
    (results / "provenance.json").write_text('{"commit": "a < b"}')
    (results / "adni/qc.html").write_text("<!DOCTYPE html>")
    sections = {
        "Table 1": ["table1.md", "table1.csv"],
        "Cohorts": [],
        "Figures": ["overview.png"],
        "Provenance": ["provenance.json", "adni/qc.html"],
    }
    sections = {title: [str(results / f) for f in files] for title, files in sections.items()}
    make_report(results / "report/index.html", datasets, sections, 0)
    return results


class _Links(HTMLParser):
    """Every attribute that could make a browser load something, and all ids."""

    def __init__(self):
        super().__init__()
        self.loaded, self.links, self.ids, self.labels = [], [], [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "srcset", "poster", "data") or (tag, name) == ("link", "href"):
                self.loaded.append(value)
            elif name == "href":
                self.links.append(value)
            elif name == "id":
                self.ids.append(value)
            elif name == "alt":
                self.labels.append(value)


def test_page_holds_all_that_it_shows(report):
    text = (report / "report/index.html").read_text()
    page = _Links()
    page.feed(text)
    assert page.loaded
    assert all(value.startswith("data:") for value in page.loaded)
    assert {link for link in page.links if not link.startswith("#")} == {"../adni/qc.html"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "<td>ADNI (demo)</td>" in text
    assert ">0.123<" in text and ">nan<" not in text
    assert "ADNI of this report\nis simulated" in text
    assert "not a diagnostic device" in text
    assert ">417<" in text
    assert re.findall(r"<td>(\w+)</td><td>bl</td><td>m12</td><td>less alike", text) == ["s1"]
    assert "What was found is no brain" in text and "a &lt; b" in text


def test_sections_come_in_the_order_in_which_they_are_named(report):
    text = (report / "report/index.html").read_text()
    titles = ["Table 1", "Cohorts", "Figures", "Provenance", "Explorer", "Training", "Licences"]
    assert re.findall(r"<h2 id=.*>(.+)</h2>", text) == titles
    assert re.findall(r'<li><a href="#.*">(.+)</a></li>', text) == titles


def test_explorer_has_what_the_models_say(report):
    text = (report / "report/index.html").read_text()
    data = json.loads(re.search(r'id="explorer-data">(.*?)</script>', text, re.DOTALL).group(1))
    film = data["datasets"][1]
    assert [pair["title"].split(",")[0] for pair in film["pairs"]] == ["s1", "s2", "s0"]
    assert "best" in film["pairs"][0]["title"] and "median" in film["pairs"][1]["title"]
    assert film["size"] == [24, 16]
    images = np.load(report / "copd/packed/pairs_image.npy")
    expected = explain_image(
        report / layout.model("copd", "defi-gan", 0, "generator.safetensors"), images[1]
    )
    field = film["pairs"][0]["changes"]["defi-gan"]["field"]
    packed = gzip.decompress(base64.b64decode(field["data"]))
    values = np.frombuffer(packed, "<i2").reshape(2, 16, 24) * field["scale"]
    np.testing.assert_allclose(values, expected.displacement, atol=field["scale"])
    volume = data["datasets"][0]
    assert volume["size"] == [12, 16, 8]
    assert (volume["voxel_mm"], film["voxel_mm"]) == (4, None)


def test_pairs_are_chosen_by_rank():
    ranked = pd.DataFrame({"rank": range(10)})
    assert chosen_pairs(ranked, 3)["rank"].tolist() == [0, 4, 9]
    assert len(chosen_pairs(ranked, 20)) == 10


def test_unknown_kind_of_file_is_named(report, tmp_path):
    with pytest.raises(InputError, match="no kind 'docx' is known"):
        make_report(tmp_path / "index.html", {}, {"A": ["x.docx"]}, 0)


def test_table_shows_names_as_they_stand(tmp_path):
    table = pd.DataFrame({"subject": ["NA", "007"], "ncc": [0.25, np.nan]})
    write_csv(table, tmp_path / "scores.csv")
    make_report(tmp_path / "report/index.html", {}, {"Scores": [tmp_path / "scores.csv"]}, 0)
    text = (tmp_path / "report/index.html").read_text()
    assert '<tr><td>NA</td><td class="number">0.250</td></tr>' in text
    assert '<tr><td>007</td><td class="number"></td></tr>' in text


def test_viewer_is_the_one_of_the_package():
    digest = hashlib.sha256(gzip.decompress(NIIVUE.read_bytes())).hexdigest()
    assert digest in (NIIVUE.parent / "README.md").read_text()


# ---- in a browser ----

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def chromium():
    """Chromium without a network."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--use-angle=swiftshader",  # WebGL 2 without a GPU
        "--enable-unsafe-swiftshader",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1200,1600",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, report):
    """Chromium with the report just opened."""
    chromium.get((report / "report/index.html").as_uri())
    return chromium


def choose(browser, dataset, method):
    """Choose as a user does; returns when it is shown."""
    from selenium.webdriver.support.ui import Select, WebDriverWait

    Select(browser.find_element("id", "dataset")).select_by_value(str(dataset))
    Select(browser.find_element("id", "method")).select_by_value(method)
    wait = WebDriverWait(browser, 120)
    explorer = browser.find_element("id", "explorer")
    wait.until(lambda _: explorer.get_attribute("data-shown") == f"{dataset}/{method}/0")
    assert not browser.find_element("id", "trouble").is_displayed()


def press(browser, identifier, key, wanted):
    """Press a key on a control until its value is as wanted; the picture then, as an array."""
    control = browser.find_element("id", identifier)
    for _ in range(100):
        if control.get_property("value") == wanted:
            break
        control.send_keys(key)
    assert control.get_property("value") == wanted
    return picture(browser)


def picture(browser):
    # Two frames later all that was asked for is drawn.
    browser.execute_async_script(
        "const done = arguments[0];"
        "setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 300)"
    )
    view = "volume-view" if browser.find_element("id", "volume-view").is_displayed() else "film"
    content = browser.find_element("id", view).screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dataset", [0, 1], ids=["volumes", "films"])
def test_slider_and_switches_change_the_picture(browser, dataset):
    from selenium.webdriver.common.keys import Keys

    choose(browser, dataset, "defi-gan")
    whole = picture(browser)
    assert whole.std() > 10  # something is drawn
    summary = browser.find_element("id", "summary")
    assert "100 % of the change" in summary.text
    none = press(browser, "share", Keys.ARROW_LEFT, "0")
    assert np.abs(whole - none).mean() > 1
    assert "0 % of the change" in summary.text
    half = press(browser, "share", Keys.ARROW_RIGHT, "0.5")
    assert np.abs(half - none).mean() > 0.5
    assert np.abs(half - whole).mean() > 0.5
    browser.find_element("id", "arrows").send_keys(Keys.SPACE)
    assert np.abs(picture(browser) - half).max() > 50
    browser.find_element("id", "arrows").send_keys(Keys.SPACE)
    np.testing.assert_allclose(picture(browser), half, atol=3)
    choose(browser, dataset, "va-gan")
    assert "no displacement field" in summary.text
    if dataset == 0:
        before = picture(browser)
        size = browser.find_element("id", "slice-z").get_property("max")
        assert np.abs(press(browser, "slice-z", Keys.ARROW_RIGHT, size) - before).mean() > 1


@pytest.mark.slow
def test_film_is_what_the_model_makes_of_it(browser, report):
    """Without overlays the canvas shows xhat0, pixel by pixel."""
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    choose(browser, 1, "defi-gan")
    Select(browser.find_element("id", "difference")).select_by_value("none")
    browser.find_element("id", "arrows").send_keys(Keys.SPACE)
    picture(browser)
    # The middle of each pixel of the film, as it was drawn.
    shown = browser.execute_script(
        "const c = document.getElementById('film'), [nx, ny] = [24, 16], s = c.width / nx;"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return Array.from({length: nx * ny}, (_, p) => d[4 * (Math.floor((p % nx + 0.5) * s)"
        " + c.width * Math.floor((Math.floor(p / nx) + 0.5) * s))]);"
    )
    images = np.load(report / "copd/packed/pairs_image.npy")
    model = report / layout.model("copd", "defi-gan", 0, "generator.safetensors")
    expected = 127.5 * (explain_image(model, images[1]).modified + 1)
    np.testing.assert_allclose(np.reshape(shown, (16, 24)), expected.clip(0, 255), atol=1)


@pytest.mark.slow
def test_page_is_usable_without_seeing_or_a_mouse(browser):
    """Every control has a name, and Tab reaches it."""
    from selenium.webdriver.common.keys import Keys

    choose(browser, 0, "defi-gan")
    controls = browser.find_elements("css selector", "select, input")
    assert len(controls) == 10
    assert all(control.accessible_name for control in controls)
    assert browser.find_element("id", "volume").aria_role in ("img", "image")
    assert "subject s1" in browser.find_element("id", "volume").accessible_name
    assert browser.find_element("id", "summary").get_attribute("aria-live") == "polite"
    browser.execute_script("document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(browser.switch_to.active_element.get_attribute("id"))
    assert {control.get_attribute("id") for control in controls} <= reached


@pytest.mark.slow
def test_browser_has_nothing_to_complain_of(browser):
    browser.get_log("browser")  # what came before
    browser.refresh()
    for dataset, _ in enumerate(DATASETS):
        choose(browser, dataset, "va-gan")
        choose(browser, dataset, "defi-gan")
    messages = [m for m in browser.get_log("browser") if m["level"] in ("SEVERE", "WARNING")]
    assert messages == []
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert all(name.startswith(("data:", "blob:")) for name in loaded), loaded
