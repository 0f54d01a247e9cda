"""Claims of a study: at each point what they are of a run of that point."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.claims import Verdict, judge
from analogsim.errors import RunError
from analogsim.outcomes import StudyFolder, StudyVerdicts, verdicts_of
from analogsim.report.page import markdown
from analogsim.results import read_curves, read_result
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario
from analogsim.sweep.engine import Here

BITS, NOISE = "chip.overrides.adc.bits", "chip.overrides.read_noise.sigma"
BETTER, TIMES = "final(bp.test_accuracy) > final(danp.test_accuracy)", "at(danp.test_loss, 0) < 9"
CLAIMS = (
    f"claims=[{{claim: '{BETTER}', says: bp is better, paper: 9 %}}, {{claim: '{TIMES}', says: a loss is below 9}}]"
)

BOTH = "{claim: 'final(bp.test_loss) < final(danp.test_loss) + 9', says: losses are alike}"


def worked_off(studies: Any, more: dict[str, Any], *settings: str) -> StudyFolder:
    folder = studies.study(more, CLAIMS, *settings)
    studies.drive(folder, Here("cpu"))
    return folder


def places(found: StudyVerdicts, claim: int = 0) -> list[dict[str, str]]:
    return [each.place for each in found.claims[claim]]


def at(found: StudyVerdicts, bits: str, noise: str) -> list[Verdict]:
    return [each.verdict for claim in found.claims for each in claim if each.place == {BITS: bits, NOISE: noise}]


def of_run(studies: Any, out: Path, *settings: str) -> list[Verdict]:
    scenario = load_scenario("quickstart", [*studies.settings, CLAIMS, *settings])
    folder = run(scenario, out, torch.device("cpu")).path
    result, curves = read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl")
    return list(judge(scenario.claims, result, curves).claims)


def numbers(verdicts: Iterable[Verdict]) -> list[float]:
    links = [link for claim in verdicts for link in claim.links]
    found = [(link.left, link.right, link.difference) for link in links]
    flat = [value for each in found for estimate in each for value in (estimate.mean, estimate.half)]
    return [value for value in flat if value is not None]


@pytest.mark.parametrize("fold", ["all", "none"])
def test_at_each_point_they_are_those_of_its_run(fold: str, studies: Any, tmp_path: Path) -> None:
    axes = {BITS: [4, 8], NOISE: ["0 %", "3 %"]}
    found = verdicts_of(worked_off(studies, {"axes": axes, "noise": NOISE, "fold": fold}))
    for claim in range(2):
        assert places(found, claim) == [{BITS: b, NOISE: n} for b in ("4", "8") for n in ("0 %", "3 %")]
    alone = of_run(studies, tmp_path / "run", f"{BITS}=4", f"{NOISE}=3 %")
    there = at(found, "4", "3 %")
    assert [(claim.claim, claim.verdict) for claim in there] == [(claim.claim, claim.verdict) for claim in alone]
    assert numbers(there) == pytest.approx(numbers(alone), rel=1e-5)
    assert numbers(there) != pytest.approx(numbers(at(found, "8", "3 %")), rel=1e-5)
    assert numbers(there) != pytest.approx(numbers(at(found, "4", "0 %")), rel=1e-5)


@pytest.mark.parametrize("fold", ["all", "none"])
def test_chips_of_all_seeds_are_judged_together(fold: str, studies: Any, tmp_path: Path) -> None:
    folder = worked_off(studies, {"axes": {BITS: [4, 8]}, "seeds": 2, "fold": fold})
    found = verdicts_of(folder)
    assert places(found) == [{BITS: "4"}, {BITS: "8"}]
    there = [claim[0].verdict for claim in found.claims]
    assert [link.chips for claim in there for link in claim.links] == [4, 4]
    alone = of_run(studies, tmp_path / "run", f"{BITS}=4", "seed={each: [0, 1]}")
    assert numbers(there) == pytest.approx(numbers(alone), rel=1e-5)
    if fold == "none":  # a seed that failed does not leave a verdict on the others
        [job, *_] = [job for job in folder.plan.jobs if job.arm == "danp" and job.place["seed"] == "1"]
        shutil.rmtree(folder.job(job))
        lacking = verdicts_of(folder).claims[0][0]
        assert (lacking.verdict.verdict, lacking.verdict.why) == ("not run", "1 of 2 jobs of danp have no result")
        assert lacking.jobs == ()


SAMPLES, RATE = "arms.danp.samples", "arms.bp.optimizer.adam.lr"


@pytest.mark.parametrize("fold", ["all", "none"])
def test_an_axis_of_one_arm_leaves_the_others_as_they_are(fold: str, studies: Any) -> None:
    axes = {SAMPLES: [1, 2], RATE: [1e-3, 1e-2]}
    found = verdicts_of(worked_off(studies, {"axes": axes, "fold": fold}))
    first, second, third = found.claims[0]
    assert first.place == {SAMPLES: "1", RATE: "0.001"}
    (faster, more) = (second, third) if second.place[RATE] == "0.01" else (third, second)
    assert faster.place == {SAMPLES: "1", RATE: "0.01"}
    assert more.place == {SAMPLES: "2", RATE: "0.001"}
    of_first, of_faster, of_more = (each.verdict.links[0] for each in (first, faster, more))
    assert of_first.right == of_faster.right != of_more.right  # the accuracy of danp
    assert of_first.left == of_more.left != of_faster.left  # that of bp
    assert places(found, 1) == [{SAMPLES: "1"}, {SAMPLES: "2"}], "the second claim is of danp alone"


@pytest.mark.parametrize("fold", ["all", "none"])
def test_two_arms_may_have_axes_of_one_coordinate(fold: str, studies: Any) -> None:
    other = "arms.danp.optimizer.adam.lr"
    more = {"axes": {other: [1e-3, 1e-2], RATE: [1e-3, 2e-3, 1e-2]}, "fold": fold}
    folder = studies.study(more, "excerpt={quick: true}", f"claims=[{BOTH}]")
    studies.drive(folder, Here("cpu"))
    [found] = verdicts_of(folder).claims
    rates = [(each.place[other], each.place[RATE]) for each in found]
    assert rates[0] == ("0.001", "0.001")
    assert sorted(rates) == [("0.001", "0.001"), ("0.001", "0.002"), ("0.001", "0.01"), ("0.01", "0.001")]
    assert [each.verdict.verdict for each in found] == ["holds"] * 4
    lefts = {rate: each.verdict.links[0].left for rate, each in zip(rates, found, strict=True)}
    assert lefts["0.001", "0.001"] == lefts["0.01", "0.001"] != lefts["0.001", "0.01"]


def test_what_is_not_done_was_not_run_and_claims_that_name_points_are_of_whole_populations(studies: Any) -> None:
    noisy, loss = f"{NOISE}={{each: ['0 %', '3 %']}}", "final(danp.test_loss) > 0"
    named = "final(bp[sigma=0 %].test_loss) < final(bp[sigma=3 %].test_loss) + 99"
    claims = f"claims=[{{claim: '{loss}', says: losses are positive}}, {{claim: '{named}', says: noise does harm}}]"
    seed = {"axes": {BITS: [4, 8]}, "seeds": 2}
    folder = studies.study(seed, claims, noisy)
    studies.drive(folder, Here("cpu"))
    found = verdicts_of(folder)
    assert [len(claim) for claim in found.claims] == [4, 2]
    assert {each.verdict.verdict for claim in found.claims for each in claim} == {"holds"}
    assert places(found, 1) == [{BITS: "4"}, {BITS: "8"}]
    assert found.claims[1][0].verdict.links[0].chips == 4
    job = next(job for job in folder.plan.jobs if job.arm == "danp" and job.place[BITS] == "8")
    shutil.rmtree(folder.job(job))
    left = verdicts_of(folder).claims
    assert [each.verdict.verdict for each in left[0]] == ["holds"] * 2 + ["not run"] * 2
    assert [each.verdict.verdict for each in left[1]] == ["holds"] * 2
    assert left[0][-1].verdict.why == "danp has no result"
    text = markdown(folder)
    assert "- **noise does harm**: holds at all 2 points." in text
    assert "- **losses are positive**: holds at 2 of 4 points and was not run at 2." in text
    (folder.path / "points").joinpath("0000.yaml").write_text("claims: 3")
    with pytest.raises(RunError, match=r"0000\.yaml: damaged"):
        verdicts_of(folder)
    shutil.rmtree(folder.path / "points")  # a copy of the results alone
    assert verdicts_of(folder).claims == ()


def test_a_study_without_claims_says_nothing_of_them(studies: Any) -> None:
    folder = studies.study()
    assert verdicts_of(folder).claims == ()
    assert "## Claims" not in markdown(folder)


def test_what_ends_a_study_counts_its_claims(
    studies: Any, command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = "excerpt={quick: true}"
    settings = [word for setting in (*studies.settings, CLAIMS, quick) for word in ("--set", setting)]
    sweep = ["sweep", "quickstart", *settings, "--axis", f"{BITS}=4,5,6,8", "--workers", "0", "--device", "cpu"]
    assert command(*sweep, "--out", str(tmp_path)) == 0
    out, _ = capsys.readouterr()
    [path] = tmp_path.iterdir()
    assert "claim:   a loss is below 9: holds at all 4 points\n         A quick look: its verdicts say nothing" in out
    assert command("report", str(path)) == 0
    page = (path / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert "claims" in ids
    assert len(set(ids)) == len(ids)
    for word in ("a loss is below 9", "paper: 9 %", "A quick look: its verdicts say nothing about what is claimed."):
        assert word in page


def test_a_claim_that_fails_somewhere_can_be_an_exit_code(
    studies: Any, command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = "claims=[{claim: 'final(danp.test_loss) < 0', says: wrong}]"
    settings = [word for setting in (*studies.settings, fails) for word in ("--set", setting)]
    sweep = ["sweep", "quickstart", *settings, "--axis", f"{BITS}=4,8", "--workers", "0", "--device", "cpu"]
    assert command(*sweep, "--check", "--out", str(tmp_path / "one")) == 1
    assert "claim:   wrong: fails at all 2 points" in capsys.readouterr()[0]
    [path] = (tmp_path / "one").iterdir()
    assert command("resume", str(path), "--workers", "0", "--check") == 1
    assert command("resume", str(path), "--workers", "0") == 0
    capsys.readouterr()
    none = [*sweep, "--set", "claims=[]", "--out", str(tmp_path / "two")]
    assert command(*none, "--check") == 2
    assert "--check: scenario quickstart makes no claims; add a section `claims`" in capsys.readouterr()[1]
    assert not (tmp_path / "two").exists()
    assert command(*sweep, "--check", "--out", str(tmp_path / "two"), "--arm", "bp") == 2
    assert "--check: every claim of quickstart speaks of an arm that is left out" in capsys.readouterr()[1]
    quick = [*sweep, "--set", "excerpt={quick: true}", "--out", str(tmp_path / "two")]
    assert command(*quick, "--check") == 2
    assert command(*quick) == 0
    [path] = (tmp_path / "two").iterdir()
    capsys.readouterr()
    assert command("resume", str(path), "--workers", "0", "--check") == 2
    assert "--check: a quick look decides nothing about claims" in capsys.readouterr()[1]
    assert command(*none) == 0
    [path] = [each for each in (tmp_path / "two").iterdir() if each != path]
    capsys.readouterr()
    assert command("resume", str(path), "--workers", "0", "--check") == 2
    assert "--check: scenario quickstart makes no claims; add a section `claims`" in capsys.readouterr()[1]
