"""The page as a file: whole without anything else, the same each time, and honest about what is not there."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from analogsim.errors import RunError
from analogsim.outcomes import StudyFolder
from analogsim.report.page import write_report
from analogsim.report.page.payload import Links

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "input", "br", "hr", "img", "link"}
OPEN = {"td", "tr", "tbody", "p", "li", "dt", "dd"}  # whose end tags may be left out


class Reader(HTMLParser):
    """Checks that elements close in order, and collects them and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not [tag for tag in self._open if tag not in OPEN]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self._open[-1] != tag:
            assert self._open[-1] in OPEN, f"</{tag}> within <{self._open[-1]}>"
            self._open.pop()
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def reader(html: str) -> Reader:
    found = Reader(html)
    found.text = " ".join(found.text.split())
    return found


@pytest.fixture(scope="module")
def folder(studies) -> StudyFolder:
    arms = {
        "np": studies.arm(lambda place, numbers: 0.9 + 0.01 * numbers.random()),
        "anp": studies.arm(lambda place, numbers: 0.8 + 0.01 * numbers.random()),
        "late": studies.arm(lambda *_: 0.9),
    }
    return studies(
        arms,
        [studies.profiles("pcm", "reram"), studies.noise("0 %", "1 %")],
        reference=lambda *_: 0.97,
        description="Which rule for which chip?",
        protocol="the best of 0.001 and 0.01",
        notes=("read noise sigma: 2 places folded into populations",),
        failed={"anp-reram": "not enough memory: 3 GB asked for"},
        missing=["late"],
        making={"epochs": (0.0, 1.0)},
    )


@pytest.fixture(scope="module")
def html(studies, folder: StudyFolder) -> str:
    return studies.page(folder)


def test_it_says_what_was_studied_and_how_far_it_is(html: str) -> None:
    text = reader(html).text
    for words in (
        "made up",
        "Which rule for which chip?",
        "analogsim 0.1.0",
        "7 planned: 4 done, 1 failed, 2 not begun",
        "This study is not complete.",
        "4 at each point",
        "the best of 0.001 and 0.01",
        "the search took 800 forward passes of a batch for each arm and point",
        "read noise sigma: 2 places folded into populations",
        "digital backpropagation (digital BP): 97.0 % [97.0, 97.0]",
        "without a result so far: late",
        "2 of 3 rules have results here, but not of all jobs (late not begun).",
        "1 of 3 rules has results here, but not of all jobs (anp failed; late not begun).",
        "not enough memory: 3 GB asked for",
    ):
        assert words in text, words


def test_it_asks_for_nothing_from_elsewhere(html: str) -> None:
    found = reader(html)
    assert not found.all("link")
    assert not found.all("img")
    assert not [attributes for _, attributes in found.elements if "src" in attributes]
    assert not re.findall(r"@import|url\((?!#)", html)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html)
    [policy] = [each["content"] for each in found.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in policy
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(html: str) -> None:
    elements = reader(html).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    hrefs = [str(attributes["href"]) for _, attributes in elements if "href" in attributes]
    assert {href[1:] for href in hrefs if href.startswith("#")} <= set(ids)


def test_every_row_and_panel_leads_to_the_scenarios_of_its_numbers(studies, folder: StudyFolder, html: str) -> None:
    held = studies.held(html)
    assert [each and each[0] for each in held["jobs"]] == [
        job.id if (folder.job(job) / "scenario.yaml").exists() else None for job in folder.plan.jobs
    ]
    for job, entry in zip(folder.plan.jobs, held["jobs"], strict=True):
        if entry:
            assert held["scenarios"][entry[1]] == folder.scenario_text(job)
    links = [each for each in reader(html).all("a") if "data-jobs" in each]
    rows = len(re.findall(r"<tr(?! ?><th)", html)) - html.count("<thead>")
    panels = html.count('<div class="panel">')
    sentences = len(re.findall(r'class="lead"|<li(?: class="quiet")?><svg', html)) - html.count('<ul class="legend">')
    assert len(links) >= rows + panels + sentences - 8
    for link in links:
        first = int(str(link["data-jobs"]).split()[0].split("-")[0])
        path = folder.path / str(link["href"])
        assert path.read_text() == folder.scenario_text(folder.plan.jobs[first]), "what it links to without a script"


def test_links_are_relative_to_the_page(folder: StudyFolder, tmp_path) -> None:
    job = folder.plan.jobs[0].id
    assert Links(folder, folder.path / "report.html").href([job]) == f"jobs/{job}/scenario.yaml"
    elsewhere = unquote(Links(folder, tmp_path / "a page.html").href([job]))
    assert (tmp_path / elsewhere).read_text() == folder.scenario_text(folder.plan.jobs[0])
    assert Links(folder, tmp_path / "a page.html").spans([each.id for each in folder.plan.jobs[1:4]] + [job]) == "1-3 0"


def test_it_carries_the_data_of_its_figures_and_the_tidy_table(studies, folder: StudyFolder, html: str) -> None:
    from analogsim.outcomes import outcomes, write_csv

    write_csv(folder.plan, outcomes(folder), folder.path / "expected.csv")
    files = studies.held(html)["files"]
    assert files["outcomes.csv"] == (folder.path / "expected.csv").read_text()
    offered = {button["data-csv"] for button in reader(html).all("button") if "data-csv" in button}
    assert offered == set(files)
    assert "noise-curves.csv" in files
    line = next(line for line in files["noise-curves.csv"].splitlines() if line.startswith("pcm,1 %,np,"))
    values = [
        row.accuracy for row in outcomes(folder) if row.arm == "np" and list(row.place.values()) == ["pcm", "1 %"]
    ]
    assert float(line.split(",")[5]) == pytest.approx(sum(values) / 4)


def test_names_cannot_bring_in_html(studies) -> None:
    axes = [studies.axis("chip.profile", EVIL, EVIL, "b"), studies.noise("0 %", "1 %")]
    folder = studies(
        {"np": studies.arm(lambda *_: 0.9, family=EVIL), EVIL.replace("/", ""): studies.arm(lambda *_: 0.8)},
        axes,
        name=f"{EVIL} & \"quotes' {{{{ 7 * 7 }}}}",
        description=f"{EVIL} </style></title>-->",
        notes=(EVIL,),
        protocol=EVIL,
        missing=["-script-alert-1-script-b"],
        reference=lambda *_: 0.95,
        making={"epochs": (0.0, 1.0), "chips": 2},
    )
    html = studies.page(folder)
    found = reader(html)
    assert len(found.all("script")) == 3, "ours alone"
    assert EVIL not in html
    assert f"{EVIL} & \"quotes' {{{{ 7 * 7 }}}}" in found.text
    assert f"{EVIL} </style></title>-->" in found.text


def test_names_are_neither_formulas_nor_bound_to_a_font(studies) -> None:
    name = r"$\frac{1}$ 数 & <b>"
    folder = studies({name: studies.arm(lambda *_: 0.9)}, [studies.axis("x", "轴 $", "甲", "乙")])
    found = reader(studies.page(folder))
    assert found.text.count(name) > 4
    assert found.text.count("甲") > 4


def test_the_same_study_gives_the_same_bytes(folder: StudyFolder, html: str) -> None:
    """In another process, whose sets are in another order, and which does without the simulator."""
    code = (
        "import sys, pathlib\n"
        "from analogsim.outcomes import StudyFolder\n"
        "from analogsim.report.page import write_report\n"
        "write_report(StudyFolder(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[1]) / 'again.html')\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(folder.path)], check=True, env=environment)
    assert (folder.path / "again.html").read_text(encoding="utf-8") == html


def test_a_study_that_has_just_begun(studies) -> None:
    html = studies.page(studies({"np": studies.arm(lambda *_: 0.9)}, [studies.noise("0 %", "1 %")], missing=["np"]))
    text = reader(html).text
    assert "1 planned: 1 not begun" in text
    assert "No result yet." in text
    assert "<table" not in html


def test_without_noise_without_a_reference_with_one_chip(studies) -> None:
    arms = {"a": studies.arm(lambda *_: 0.9), "b": studies.arm(lambda *_: 0.8)}
    html = studies.page(studies(arms, [studies.profiles("pcm", "reram")], making={"chips": 1}))
    found = reader(html)
    text = found.text
    assert "a is ahead, with a test accuracy of 90.0 %; b has 80.0 %. One chip of each allows no test." in text
    assert "digital BP" not in text
    assert "Accuracy against noise" not in text
    assert "operating window" not in text.lower()
    assert [row["test accuracy, %"] for row in studies.tables(html)["results"]] == ["90.00", "90.00", "80.00", "80.00"]
    assert html.count('<div class="panel">') == 2
    assert "comparisons" not in studies.tables(html)


def test_of_losses(studies) -> None:
    arms = {"a": studies.arm(lambda *_: 0.25), "b": studies.arm(lambda *_: None)}
    html = studies.page(studies(arms, [studies.noise("0 %", "1 %")], making={"accurate": False, "epochs": (0.0, 1.0)}))
    rows = studies.tables(html)["results"]
    assert [row["test loss"].split(" ")[0] for row in rows] == ["0.2500", "0.2500", "not", "not"]
    assert "test accuracy" not in reader(html).text
    assert "Loss against noise" in reader(html).text


def test_a_damaged_result_is_an_error(studies) -> None:
    folder = studies({"np": studies.arm(lambda *_: 0.9)})
    [job] = folder.plan.jobs
    (folder.job(job) / "result.json").write_text("{")
    with pytest.raises(RunError, match=r"result\.json: damaged"):
        write_report(folder, folder.path / "report.html")
    assert not (folder.path / "report.html").exists()
