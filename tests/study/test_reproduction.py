"""The ledger of the papers' experiments: arms run one at a time, their files, and the page that is made of them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from analogsim.errors import ScenarioError
from analogsim.results import read_curves

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("reproduce", *(f"reproduction.{name}" for name in ("jobs", "joined", "work", "findings", "page", "figures")))
BETTER = "final(bp.test_loss) < final(np.test_loss)"
LEARNS = "final(bp.test_loss) < initial(bp.test_loss)"
CPU = torch.device("cpu")


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The script's modules by name, with one small paper and folders of their own."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in [name for name in sys.modules if name.split(".")[0] in ("reproduce", "reproduction")]:
        sys.modules.pop(name)
    found = SimpleNamespace(
        **{name.rpartition(".")[2]: __import__(name, fromlist=["x"]) for name in MODULES}, source=tmp_path / "tiny.yaml"
    )
    monkeypatch.setattr(found.jobs, "papers", lambda: {"tiny": str(found.source)})
    monkeypatch.setattr(found.jobs, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(found.work, "WORK", tmp_path / "work")
    _write(found)
    yield found
    found.jobs.loaded.cache_clear()


def _write(ledger: SimpleNamespace, **more: Any) -> None:
    """The paper's scenario."""
    arms = {"bp": {"rule": "bp", "oracle": ["output_error", "transposed_read"]}, "np": {"rule": "np"}}
    data = {
        "name": "tiny",
        "description": "A paper of one figure.",
        "data": {"set": "digits", "batch": 200},
        "network": {"layers": [8, 10]},
        "chip": {"profile": "noisy", "population": 3},
        "train": {
            "epochs": 3,
            "metrics": ["angle"],
            "optimizer": {"adam": {"lr": 0.01}},
            "checkpoint_every": "2 steps",
        },
        "arms": arms,
        "claims": [
            {"claim": LEARNS, "says": "it learns", "paper": "a half", "source": "Fig. 1"},
            {"claim": BETTER, "says": "bp is ahead"},
        ],
        **more,
    }
    ledger.source.write_text(yaml.safe_dump(data, sort_keys=False))
    ledger.jobs.loaded.cache_clear()


def _job(ledger: SimpleNamespace, arm: str, *settings: str) -> Any:
    [job] = ledger.jobs.jobs([f"papers/tiny:{arm}"], settings)
    return job


def _rows(text: str, begin: str) -> list[list[str]]:
    """Cells of the lines of tables that begin so."""
    return [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith(f"| {begin}")]


def test_the_page_is_made_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in MODULES:
        sys.modules.pop(name, None)
    from reproduction.findings import found  # pyright: ignore[reportMissingImports]
    from reproduction.page import page  # pyright: ignore[reportMissingImports]

    docs = BENCHMARKS.parent / "docs"
    papers = found()
    assert (docs / "reproduction.md").read_text() == page(papers), "run `python benchmarks/reproduce.py pages`"
    for paper in papers:
        assert not paper.held or (docs / "figures" / "papers" / f"{paper.name}.png").is_file()


def test_the_page_of_devices_is_made_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in (*MODULES, "devices_page"):
        sys.modules.pop(name, None)
    import devices_page  # pyright: ignore[reportMissingImports]

    text = devices_page.PAGE.read_text()
    assert text == devices_page.page(text), "run `python benchmarks/devices_page.py`"
    for device in devices_page.DEVICES:
        assert f"**MNIST on `{device}`**" in text and "| DANP | 2 | 9" in text
    with pytest.raises(ValueError, match="begin small"):
        devices_page.page("nothing")


def test_what_is_not_run_says_so(ledger: SimpleNamespace, tmp_path: Path) -> None:
    assert [ledger.reproduce.state(job) for job in ledger.jobs.jobs()] == ["open", "open"]
    assert ledger.reproduce.pages(tmp_path / "page.md").endswith("1 scenarios, 0 figures")
    text = (tmp_path / "page.md").read_text()
    [count] = _rows(text, "[tiny]")
    assert count[1:] == ["2", "", "", "", "2 |"]
    [row] = _rows(text, "bp is ahead")
    assert row[4] == "**not run**"
    assert "bp: not run yet." in row[5] and "np: not run yet." in row[5]


def test_arms_become_files_and_a_page(ledger: SimpleNamespace, tmp_path: Path, capsys: Any) -> None:
    bp, np = _job(ledger, "bp"), _job(ledger, "np", "train.epochs=1")
    assert ledger.reproduce.run([bp, np], "cpu", 1, replace=False) == 0
    assert ledger.reproduce.state(bp) == "done"
    assert ledger.reproduce.state(np) == "done, train.epochs=1"

    held = bp.held()
    assert list(held.result.arms) == ["bp"]
    assert held.machine["threads"] == 1 and held.machine["device"] == "cpu" and held.machine["wall_seconds"] > 0
    [folder] = (ledger.work.WORK / "tiny" / "bp").iterdir()
    for kept, whole in zip(held.curves, read_curves(folder / "metrics.jsonl"), strict=True):
        assert (kept.arm, kept.stage, kept.step) == (whole.arm, whole.stage, whole.step)
        for one, other in zip(kept.chips, whole.chips, strict=True):
            assert one.test_loss == pytest.approx(other.test_loss, rel=1e-5)
            assert one.diagnostics["angle"] == pytest.approx(other.diagnostics["angle"], rel=1e-5)
            assert (one.train_loss is None) == (other.train_loss is None)

    (tmp_path / "results" / "remarks.yaml").write_text(yaml.safe_dump({"tiny": {"claims": {BETTER: "As expected."}}}))
    ledger.reproduce.pages(tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    [learns], [ahead] = _rows(text, "it learns"), _rows(text, "bp is ahead")
    assert learns[1] == "a half (Fig. 1)"
    assert learns[3:] == ["3 epochs, CPU", "**holds**", "|"]
    assert "3 chips" in learns[2]
    assert ahead[3] == "3 epochs, CPU<br>1 of 3 epochs, CPU"
    assert ahead[5] == "np had train.epochs 1 in place of 3. As expected. |"
    [arm] = _rows(text, "np |")
    assert arm[1] == "1 of 3" and arm[5].startswith("train.epochs 1 in place of 3.")
    assert (tmp_path / "figures" / "papers" / "tiny.png").stat().st_size > 1000
    assert "figures/papers/tiny.png" in text


def test_what_was_run_is_kept(ledger: SimpleNamespace, capsys: Any) -> None:
    short, whole = _job(ledger, "np", "train.epochs=1"), _job(ledger, "np")
    ledger.reproduce.run([short], "cpu", 1, replace=False)
    before = short.file.read_bytes()
    ledger.reproduce.run([short, whole], "cpu", 1, replace=False)
    assert short.file.read_bytes() == before
    assert "kept, was run with train.epochs=1 (--replace)" in capsys.readouterr().out
    ledger.reproduce.run([whole], "cpu", 1, replace=True)
    assert ledger.reproduce.state(whole) == "done"


def test_a_file_of_another_scenario_is_outdated(ledger: SimpleNamespace, tmp_path: Path) -> None:
    bp = _job(ledger, "bp")
    ledger.work.work(bp, CPU)
    claims = [{"claim": BETTER, "says": "another sentence"}]
    _write(ledger, claims=claims, description="Another text.")
    assert ledger.reproduce.state(bp) == "done", "words change no result"
    _write(ledger, claims=claims, network={"layers": [16, 10]})
    assert ledger.reproduce.state(bp) == "outdated"
    ledger.reproduce.pages(tmp_path / "page.md")
    [row] = _rows((tmp_path / "page.md").read_text(), "another sentence")
    assert row[4] == "**not run**"
    assert "bp: its result is of an earlier form of the scenario." in row[5]
    ledger.work.work(bp, CPU)
    assert ledger.reproduce.state(bp) == "done"


def test_an_interrupted_arm_goes_on(ledger: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    import analogsim.study.arm as arm_module

    job, advance, steps = _job(ledger, "np"), arm_module.Arm.advance, []

    def dies(arm: Any) -> None:
        steps.append(arm.step)
        if len(steps) == 6:
            raise KeyboardInterrupt
        advance(arm)

    monkeypatch.setattr(arm_module.Arm, "advance", dies)
    with pytest.raises(KeyboardInterrupt):
        ledger.work.work(job, CPU)
    assert not job.file.exists()
    ledger.work.work(job, CPU)
    assert ledger.reproduce.state(job) == "done"
    assert steps[6] == 4, "from the checkpoint before"
    assert len(list((ledger.work.WORK / "tiny" / "np").iterdir())) == 1


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("papers/nosuch", "papers/nosuch: no paper's scenario is called 'nosuch'; there are tiny"),
        ("papers/tiny:anp", "papers/tiny:anp: scenario tiny has no arm 'anp'; there are bp, np"),
    ],
)
def test_what_is_not_there_is_told(wanted: str, message: str, ledger: SimpleNamespace) -> None:
    with pytest.raises(ScenarioError, match=message):
        list(ledger.jobs.jobs([wanted]))


@pytest.mark.parametrize(
    "remarks",
    [{"other": {}}, {"tiny": {"claims": {"1 < 2": "x"}}}, {"tiny": {"arms": {"anp": "x"}}}, {"tiny": {"x": 1}}],
)
def test_remarks_on_what_there_is_not_are_refused(remarks: Any, ledger: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "remarks.yaml").write_text(yaml.safe_dump(remarks))
    with pytest.raises(ScenarioError, match="remarks on what there is not: "):
        ledger.findings.found()


def test_arms_of_other_seeds_are_paired_by_seed(ledger: SimpleNamespace) -> None:
    ledger.work.work(_job(ledger, "bp"), CPU)
    ledger.work.work(_job(ledger, "np", "seed={each: [0, 1]}"), CPU)
    [paper] = ledger.findings.found()
    found = {verdict.claim: verdict for verdict in paper.verdicts()}
    assert found[BETTER].links[0].chips == 3
    assert json.loads(_job(ledger, "np").file.read_text())["settings"] == ["seed={each: [0, 1]}"]


def test_a_look_alone_is_drawn_against_samples(ledger: SimpleNamespace, tmp_path: Path) -> None:
    """Arms that are evaluated before the first step only, named by their number of samples."""
    arms = {f"np_{k}": {"rule": "np", "samples": k} for k in (1, 4)}
    _write(ledger, arms=arms, claims=[])
    for job in ledger.jobs.jobs():
        ledger.work.work(job, CPU)
    [paper] = ledger.findings.found()
    first = {arm: held.curves[:1] for arm, held in paper.held.items()}
    held = {arm: type(each)(**{**vars(each), "curves": first[arm]}) for arm, each in paper.held.items()}
    looked = type(paper)(**{**vars(paper), "held": held})
    result, curves = looked.run()
    panels = ledger.figures._against_samples(result, curves, "angle").axes
    assert [panel.get_title(loc="left") for panel in panels] == ["layer 1", "layer 2"]
    [line] = panels[0].lines
    assert list(line.get_xdata()) == [1.0, 4.0]
    angles = [[chip.diagnostics["angle"][0] for chip in first[f"np_{k}"][0].chips] for k in (1, 4)]
    assert list(line.get_ydata()) == pytest.approx([sum(each) / 3 for each in angles])


def test_chips_that_were_run_apart_are_those_of_one_run(ledger: SimpleNamespace, capsys: Any) -> None:
    whole = _job(ledger, "np")
    ledger.reproduce.run([whole], "cpu", 1, replace=False)
    expected = whole.held()
    whole.file.unlink()
    apart = [_job(ledger, "np", f"chip.only={numbers}") for numbers in ("[1]", "[0, 2]")]
    assert ledger.reproduce.run([apart[0]], "cpu", 1, replace=False) == 0
    assert ledger.reproduce.state(whole) == "done, chip.only=[1]"
    [paper] = ledger.findings.found()
    assert paper.deviations("np") == ["chips [1] of 3"]
    assert ledger.reproduce.run([_job(ledger, "np", "chip.only=[0]")], "cpu", 1, replace=False) == 0
    assert ledger.reproduce.state(whole) == "done, chip.only=[0, 1]"
    ledger.reproduce.run([apart[1]], "cpu", 1, replace=False)
    assert "kept, was run with chip.only=[0, 1]" in capsys.readouterr().out, "chip 0 is there already"
    assert ledger.reproduce.run([_job(ledger, "np", "chip.only=[2]")], "cpu", 1, replace=False) == 0
    found = whole.held()
    assert ledger.reproduce.state(whole) == "done"
    assert (found.scenario, found.settings) == (expected.scenario, expected.settings)
    pairs = zip(found.result.arms["np"].chips, expected.result.arms["np"].chips, strict=True)
    for one, other in pairs:
        assert (one.coordinates, one.lr, one.counts) == (other.coordinates, other.lr, other.counts)
        assert one.final.test_loss == pytest.approx(other.final.test_loss, rel=1e-4), (
            "products of one chip, or of three"
        )
    for one, other in zip(found.curves, expected.curves, strict=True):
        losses = [[chip.test_loss for chip in curve.chips] for curve in (one, other)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_chips_join_only_what_is_otherwise_the_same(ledger: SimpleNamespace, capsys: Any) -> None:
    ledger.reproduce.run([_job(ledger, "np", "train.epochs=1", "chip.only=[0]")], "cpu", 1, replace=False)
    ledger.reproduce.run([_job(ledger, "np", "chip.only=[1]")], "cpu", 1, replace=False)
    assert "kept, was run with train.epochs=1, chip.only=[0]" in capsys.readouterr().out
