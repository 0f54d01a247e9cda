"""The page in a browser: sorts, filters, themes, scenarios, downloads, and nothing asked of the network."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from analogsim.outcomes import StudyFolder, outcomes, write_csv

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def folder(studies) -> StudyFolder:
    arms = {
        "np": studies.arm(lambda place, numbers: 0.9 + 0.05 * numbers.random()),
        "anp": studies.arm(lambda place, numbers: 0.8 + 0.05 * numbers.random()),
        "bp": studies.arm(lambda *_: 0.95, oracle=("output_error",)),
    }
    axes = [studies.profiles("pcm", "reram"), studies.noise("0 %", "2 %", "10 %"), studies.seeds(2, folded=False)]
    making = {"epochs": (0.0, 1.0, 2.0), "chips": 2}
    return studies(arms, axes, reference=lambda *_: 0.97, making=making, name="<b>study</b>")


@pytest.fixture(scope="module")
def sampled(studies) -> StudyFolder:
    """A study whose settings were sampled."""
    numbers = random.Random(0)
    points = [{"sigma": f"{10 ** numbers.uniform(-1, 1):.3g} %", "bits": str(numbers.randint(4, 8))} for _ in range(12)]
    axes = [
        studies.sampled(
            "sigma", "read noise sigma", [each["sigma"] for each in points], 0.1, 10, unit="%", scale="log"
        ),
        studies.sampled("bits", "adc bits", [each["bits"] for each in points], 4, 8),
    ]
    arms = {
        "np": studies.arm(lambda place, numbers: 0.5 + 0.05 * int(place["bits"]) + 0.05 * numbers.random()),
        "bp": studies.arm(lambda *_: 0.95, oracle=("output_error",)),
    }
    return studies(arms, axes, points=points)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        missing = "chromium" if binary is None else "chromedriver"
        if os.environ.get("ANALOGSIM_BROWSER") == "required":
            pytest.fail(f"there is no {missing}, and ANALOGSIM_BROWSER=required")
        pytest.skip(f"there is no {missing}: the page is not tried in a browser")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic", "default-apps")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{name}" for name in quiet),
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


@pytest.fixture
def page(studies, folder: StudyFolder, browser: Any) -> Iterator[Any]:
    """The page, at the size of a desk and as it is when opened first; whoever used it left no error behind."""
    if not (folder.path / "report.html").exists():
        studies.page(folder)
    size(browser, 1280, 900)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get((folder.path / "report.html").as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    browser.execute_script(KEEP)
    yield browser
    assert browser.get_log("browser") == []


KEEP = """
window.kept = [];
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => { blob.text().then((text) => window.kept.push([blob.type, text])); return make(blob); };
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[download]");
  if (link) { event.preventDefault(); window.name_ = link.download; }
}, true);
"""


def size(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def column(page: Any, table: str, head: str) -> list[str]:
    """What stands in a column, in the rows that are shown."""
    script = """
    const table = document.getElementById(arguments[0]);
    const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === arguments[1]);
    return [...table.tBodies[0].rows].filter((row) => row.offsetParent).map((row) => row.cells[at].textContent);
    """
    return page.execute_script(script, table, head)


def head(page: Any, table: str, name: str) -> Any:
    return page.find_element(By.XPATH, f"//table[@id='{table}']//th[.='{name}']//button")


def saved(page: Any, button: Any) -> tuple[str, str, str]:
    """The name, the type and the text of what a button offers to save."""
    page.execute_script("window.kept = []; arguments[0].click()", button)
    kind, text = until(lambda: page.execute_script("return window.kept[0]"))
    return page.execute_script("return window.name_"), kind, text


def test_a_click_on_a_head_sorts_by_numbers_and_again_the_other_way(page: Any) -> None:
    before = column(page, "results", "read noise sigma")
    assert before != sorted(before)
    page.execute_script("arguments[0].click()", head(page, "results", "read noise sigma"))
    found = column(page, "results", "read noise sigma")
    assert found == ["0 %"] * 6 + ["2 %"] * 6 + ["10 %"] * 6 + ["–"], "10 after 2, unknown last"
    cell = page.find_element(By.XPATH, "//table[@id='results']//th[.='read noise sigma']")
    assert cell.get_attribute("aria-sort") == "ascending"
    page.execute_script("arguments[0].click()", head(page, "results", "read noise sigma"))
    assert column(page, "results", "read noise sigma") == ["10 %"] * 6 + ["2 %"] * 6 + ["0 %"] * 6 + ["–"]
    assert cell.get_attribute("aria-sort") == "descending"


def test_numbers_are_what_cells_begin_with(page: Any) -> None:
    """Signs, thin spaces, exponents and units included; a stated value goes before the text, the unknown comes last."""
    texts = ["−2", "–", "1\u2009200", "3e-7 [1, 2]", "0.5\u00a0µJ", "< 0.001"]
    script = """
    const [table, texts] = [document.getElementById("results"), arguments[0]];
    const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "lr");
    [...table.tBodies[0].rows].slice(texts.length).forEach((row) => row.remove());
    texts.forEach((text, row) => { table.tBodies[0].rows[row].cells[at].textContent = text; });
    table.tBodies[0].rows[5].cells[at].dataset.v = "1e-12";
    """
    page.execute_script(script, texts)
    page.execute_script("arguments[0].click()", head(page, "results", "lr"))
    assert column(page, "results", "lr") == [texts[at] for at in (0, 5, 3, 4, 2, 1)]


def test_the_keyboard_sorts_too(page: Any) -> None:
    button = head(page, "ranking", "rule")
    page.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    found = column(page, "ranking", "rule")
    assert found == sorted(found, key=str.lower)
    assert len(page.find_elements(By.CSS_SELECTOR, "#ranking th[aria-sort]")) == 1
    head(page, "ranking", "device").send_keys(Keys.SPACE)
    assert column(page, "ranking", "device") == ["pcm"] * 4 + ["reram"] * 4
    assert len(page.find_elements(By.CSS_SELECTOR, "#ranking th[aria-sort]")) == 1


def test_words_filter_rows(page: Any) -> None:
    box = page.find_element(By.CSS_SELECTOR, "input[data-filter=results]")
    count = page.find_element(By.XPATH, "//input[@data-filter='results']/ancestor::div[1]/output")
    assert count.text == "19 rows"
    box.send_keys("RERAM anp")
    assert column(page, "results", "arm") == ["anp"] * 3
    assert count.text == "3 of 19 rows"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert len(column(page, "results", "arm")) == 19, "all rows are printed"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    box.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    assert count.text == "19 rows"


def test_the_theme_follows_the_system_until_one_is_chosen_and_that_is_remembered(page: Any) -> None:
    def ground() -> str:
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = ground()
    assert light == "rgb(255, 255, 255)"
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    dark = ground()
    assert dark != light
    ink = "return getComputedStyle(document.querySelector('#noise text')).fill"
    assert page.execute_script(ink) == page.execute_script("return getComputedStyle(document.body).color")
    page.find_element(By.ID, "theme").click()
    assert ground() == light
    page.refresh()
    assert ground() == light
    page.find_element(By.ID, "theme").click()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert (
        page.execute_script("return getComputedStyle(document.documentElement).getPropertyValue('--ink')") == "#1a1f27"
    )


def test_a_link_opens_the_scenario_of_its_run(page: Any, folder: StudyFolder) -> None:
    link = page.find_element(By.XPATH, "//table[@id='results']//tr[td[1]='np'][1]//a")
    page.execute_script("arguments[0].click()", link)
    until(lambda: page.find_element(By.ID, "scenario").is_displayed())
    job = next(job for job in folder.plan.jobs if job.arm == "np")
    title, text, choice = (page.find_element(By.CSS_SELECTOR, f"#scenario {each}") for each in ("h2", "pre", "select"))
    assert title.text == job.id
    assert text.get_attribute("textContent") == folder.scenario_text(job)
    assert choice.is_displayed(), "its chips are of two seeds, with a job each"
    choice.send_keys(Keys.ARROW_DOWN)
    second = [job for job in folder.plan.jobs if job.arm == "np"][1]
    until(lambda: title.text == second.id)
    assert text.get_attribute("textContent") == folder.scenario_text(second)
    name, kind, saved_text = saved(page, page.find_element(By.CSS_SELECTOR, "#scenario [data-save]"))
    assert (name, kind, saved_text) == (f"{second.id}.yaml", "application/yaml", folder.scenario_text(second))
    page.find_element(By.CSS_SELECTOR, "#scenario [data-close]").click()
    assert not page.find_element(By.ID, "scenario").is_displayed()


def test_figures_are_saved_as_files_of_their_own(page: Any) -> None:
    buttons = page.find_elements(By.CSS_SELECTOR, "button[data-svg]")
    assert len(buttons) == 4, "curves, maps, and learning curves of two devices"
    for button in buttons:
        name, kind, text = saved(page, button)
        assert name == f"{button.get_attribute('data-svg')}.svg"
        assert kind == "image/svg+xml"
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text
        assert "currentColor" not in text
        panels = page.execute_script("return arguments[0].closest('figure').querySelectorAll('.panel').length", button)
        assert len([each for each in root if each.tag.endswith("svg")]) >= panels


def test_data_are_saved_as_csv(page: Any, folder: StudyFolder) -> None:
    buttons = {each.get_attribute("data-csv"): each for each in page.find_elements(By.CSS_SELECTOR, "[data-csv]")}
    write_csv(folder.plan, outcomes(folder), folder.path / "expected.csv")
    name, kind, text = saved(page, buttons["outcomes.csv"])
    assert (name, kind) == ("outcomes.csv", "text/csv")
    assert text == (folder.path / "expected.csv").read_text()
    _, _, text = saved(page, buttons["noise-curves.csv"])
    assert text.splitlines()[0].startswith("chip.profile,chip.profile.read_noise.0.sigma,rule,marks,setting,mean")


def test_figures_of_sampled_settings_are_saved_and_fit_on_a_phone(studies, page: Any, sampled: StudyFolder) -> None:
    studies.page(sampled)
    page.get((sampled.path / "report.html").as_uri())
    page.execute_script(KEEP)
    name, kind, text = saved(page, page.find_element(By.CSS_SELECTOR, "#sampled [data-svg]"))
    assert (name, kind) == ("sampled-settings.svg", "image/svg+xml")
    root = ElementTree.fromstring(text)
    assert "var(" not in text
    assert "fill:#ffffff" in text.replace(" ", ""), "hollow marks have the ground of the light page"
    assert len([each for each in root if each.tag.endswith("svg")]) == 2 + 2, "panels, and rules of the legend"
    name, _, text = saved(page, page.find_element(By.CSS_SELECTOR, "#sampled [data-csv]"))
    assert name == "sampled-settings.csv"
    assert text.splitlines()[0] == "sigma,bits,rule,marks,setting,mean,low,high,chips,diverged"
    assert len(text.splitlines()) == 1 + 2 * 12
    assert len(column(page, "influences", "rule")) == 2 * 2
    size(page, 360, 800)
    content, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert (content <= 360, window) == (True, 360)
    boxes = page.execute_script(
        "return [...document.querySelectorAll('#sampled .panel svg')].map((each) => [...each.querySelectorAll('text')]"
        ".map((text) => text.getBoundingClientRect()).map((box) => [box.left, box.right, box.height]))"
    )
    assert all(0 <= left < right <= 360 and height > 7 for texts in boxes for left, right, height in texts)


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(page: Any, width: int) -> None:
    size(page, width, 800)
    content, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert content <= width
    assert window == width, "a phone makes its window as wide as what is in it"
    boxes = page.execute_script(
        "return [...document.querySelectorAll('.scroll')].map((b) => [b.scrollWidth, b.clientWidth])"
    )
    if width == 360:
        assert any(inside > outside for inside, outside in boxes), "wide tables scroll in boxes of their own"
        texts = page.execute_script(
            "return [...document.querySelectorAll('.panel text')].map((t) => t.getBoundingClientRect().height)"
        )
        assert min(texts) > 7


def test_nothing_is_asked_of_the_network(page: Any) -> None:
    page.find_element(By.CSS_SELECTOR, "a[data-jobs]").send_keys(Keys.ENTER)
    until(lambda: page.find_element(By.ID, "scenario").is_displayed())
    found = asked(page)
    assert found, "the page itself"
    assert {url.split(":")[0] for url in found} <= {"file", "data", "blob"}


def test_a_browser_that_cannot_unpack_is_led_to_the_file(page: Any, folder: StudyFolder) -> None:
    page.execute_script("delete window.DecompressionStream")
    link = page.find_element(By.CSS_SELECTOR, "#results a[data-jobs]")
    file, path = link.get_attribute("href"), folder.job(folder.plan.jobs[0]) / "scenario.yaml"
    assert file == path.as_uri()
    asked(page)
    page.execute_script("arguments[0].click()", link)
    until(lambda: file in asked(page))


def asked(page: Any) -> list[str]:
    """What was asked for since the last call, the browser's own pages aside."""
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    found = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [url for url in found if not url.startswith("chrome")]


def test_without_scripts_everything_is_read(page: Any, folder: StudyFolder) -> None:
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.refresh()
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert not [each for each in page.find_elements(By.CSS_SELECTOR, ".js") if each.is_displayed()]
    assert len(column(page, "results", "arm")) == 19
    link = page.find_element(By.CSS_SELECTOR, "#results a[data-jobs]")
    assert Path(link.get_attribute("href").removeprefix("file://")).read_text() == folder.scenario_text(
        folder.plan.jobs[0]
    )
