"""Claims of a study: at each point what they are of a run of that point."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.claims import Verdicts, judge
from analogsim.errors import RunError
from analogsim.outcomes import PlaceVerdicts, StudyFolder, by_claim, verdicts_of
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


def worked_off(studies: Any, more: dict[str, Any], *settings: str) -> StudyFolder:
    folder = studies.study(more, CLAIMS, *settings)
    studies.drive(folder, Here("cpu"))
    return folder


def at(found: list[PlaceVerdicts], **place: str) -> Verdicts:
    wanted = {{"bits": BITS, "noise": NOISE}.get(name, name): value for name, value in place.items()}
    [verdicts] = [each.verdicts for each in found if each.place == wanted]
    return verdicts


def of_run(studies: Any, out: Path, *settings: str) -> Verdicts:
    scenario = load_scenario("quickstart", [*studies.settings, CLAIMS, *settings])
    folder = run(scenario, out, torch.device("cpu")).path
    return judge(scenario.claims, read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl"))


def numbers(verdicts: Verdicts) -> list[Any]:
    links = [link for claim in verdicts.claims for link in claim.links]
    found = [(link.left, link.right, link.difference) for link in links]
    flat = [value for each in found for estimate in each for value in (estimate.mean, estimate.half)]
    return [value for value in flat if value is not None]


@pytest.mark.parametrize("fold", ["all", "none"])
def test_at_each_point_they_are_those_of_its_run(fold: str, studies: Any, tmp_path: Path) -> None:
    axes = {BITS: [4, 8], NOISE: ["0 %", "3 %"]}
    found = list(verdicts_of(worked_off(studies, {"axes": axes, "noise": NOISE, "fold": fold})))
    assert [each.place for each in found] == [{BITS: b, NOISE: n} for b in ("4", "8") for n in ("0 %", "3 %")]
    alone = of_run(studies, tmp_path / "run", f"{BITS}=4", f"{NOISE}=3 %")
    there = at(found, bits="4", noise="3 %")
    assert [(claim.claim, claim.verdict) for claim in there.claims] == [(c.claim, c.verdict) for c in alone.claims]
    assert numbers(there) == pytest.approx(numbers(alone), rel=1e-5)
    assert numbers(there) != pytest.approx(numbers(at(found, bits="8", noise="3 %")), rel=1e-5)
    assert numbers(there) != pytest.approx(numbers(at(found, bits="4", noise="0 %")), rel=1e-5)


@pytest.mark.parametrize("fold", ["all", "none"])
def test_chips_of_all_seeds_are_judged_together(fold: str, studies: Any, tmp_path: Path) -> None:
    more = {"axes": {BITS: [4, 8]}, "seeds": 2, "fold": fold}
    [there, _] = verdicts_of(worked_off(studies, more))
    assert there.place == {BITS: "4"}
    assert [link.chips for claim in there.verdicts.claims for link in claim.links] == [4, 4]
    alone = of_run(studies, tmp_path / "run", f"{BITS}=4", "seed={each: [0, 1]}")
    assert numbers(there.verdicts) == pytest.approx(numbers(alone), rel=1e-5)


def test_an_axis_of_one_arm_leaves_the_others_as_they_are(studies: Any) -> None:
    more = {"axes": {"arms.danp.samples": [1, 2], "arms.bp.optimizer.adam.lr": [1e-3, 1e-2]}, "fold": "none"}
    found = list(verdicts_of(worked_off(studies, more)))
    samples, rate = ("arms.danp.samples", "arms.bp.optimizer.adam.lr")
    assert [each.place for each in found] == [
        {samples: "1", rate: "0.001"},
        {samples: "1", rate: "0.01"},
        {samples: "2", rate: "0.001"},
    ]
    first, faster, more_samples = (each.verdicts.claims[0].links[0] for each in found)
    assert first.right == faster.right != more_samples.right  # the accuracy of danp
    assert first.left == more_samples.left != faster.left  # that of bp


def test_what_is_not_done_was_not_run_and_claims_that_name_points_are_of_whole_populations(studies: Any) -> None:
    noisy, loss = f"{NOISE}={{each: ['0 %', '3 %']}}", "final(danp.test_loss) > 0"
    named = "final(bp[sigma=0 %].test_loss) < final(bp[sigma=3 %].test_loss) + 99"
    claims = f"claims=[{{claim: '{named}', says: noise does harm}}, {{claim: '{loss}', says: losses are positive}}]"
    folder = studies.study({"axes": {BITS: [4, 8]}}, claims, noisy)
    studies.drive(folder, Here("cpu"))
    found = by_claim(list(verdicts_of(folder)))
    assert [len(found[claim]) for claim in (named, loss)] == [2, 4]
    assert {verdict.verdict for each in found.values() for _, verdict in each} == {"holds"}
    job = next(job for job in folder.plan.jobs if job.arm == "danp" and job.place[BITS] == "8")
    shutil.rmtree(folder.job(job))
    left = by_claim(list(verdicts_of(folder)))
    assert [verdict.verdict for _, verdict in left[named]] == ["holds", "holds"]
    assert [verdict.verdict for _, verdict in left[loss]] == ["holds", "holds", "not run", "not run"]
    assert left[loss][-1][1].why == "danp has no result"
    text = markdown(folder)
    assert "- **noise does harm**: holds at all 2 points." in text
    assert "- **losses are positive**: holds at 2 of 4 points and was not run at 2." in text
    (folder.path / "points").joinpath("0000.yaml").write_text("claims: 3")
    with pytest.raises(RunError, match=r"0000\.yaml: damaged"):
        list(verdicts_of(folder))
    shutil.rmtree(folder.path / "points")  # a copy of the results alone
    assert list(verdicts_of(folder)) == []


def test_a_study_without_claims_says_nothing_of_them(studies: Any) -> None:
    folder = studies.study()
    assert list(verdicts_of(folder)) == []
    assert "## Claims" not in markdown(folder)


def test_what_ends_a_study_counts_its_claims(
    studies: Any, command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [word for setting in (*studies.settings, CLAIMS) for word in ("--set", setting)]
    sweep = ["sweep", "quickstart", *settings, "--axis", f"{BITS}=4,8", "--workers", "0", "--device", "cpu"]
    assert command(*sweep, "--out", str(tmp_path)) == 0
    out, _ = capsys.readouterr()
    [path] = tmp_path.iterdir()
    assert "claim:   a loss is below 9: holds at all 2 points" in out
    assert command("report", str(path)) == 0
    page = (path / "report.html").read_text()
    assert '<section id="claims"' in page
    assert "a loss is below 9" in page
    assert "paper: 9 %" in page
