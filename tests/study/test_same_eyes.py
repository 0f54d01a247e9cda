"""The study of rules that see the same: its jobs end, go on, are not done twice, and become tables."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from analogsim.results import interval

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script, made small: two chips, one epoch, two levels, two rates."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("same_eyes", "same_eyes_table"):
        sys.modules.pop(name, None)
    import same_eyes  # pyright: ignore[reportMissingImports]

    digits = same_eyes.DATA["digits"]
    train = {"epochs": 1, "tune": {"lr": [1e-3, 1e-2], "validation": 200, "chips": 1}, "checkpoint_every": "2 steps"}
    small = same_eyes.Setting(
        {**digits.data, "batch": 200}, {"layers": [8, 10]}, train, digits.decorrelation, digits.tile
    )
    monkeypatch.setattr(same_eyes, "DATA", {"digits": small})
    monkeypatch.setattr(same_eyes, "CHIPS", 2)
    monkeypatch.setattr(same_eyes, "LEVELS", {"noisy": {"read_noise": {"sigma": {"each": ["1 %", "10 %"]}}}})
    monkeypatch.setattr(same_eyes, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(same_eyes, "WORK", tmp_path / "work")
    return same_eyes


def test_every_possible_job_resolves() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import same_eyes  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.remove(str(BENCHMARKS))
    jobs = [job for job in same_eyes.jobs() if job.possible]
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.data for job in jobs} == {"digits", "mnist"}
    assert {job.profile for job in jobs} == {"noisy", "reram", "pcm"}
    assert {"NP", "ANP", "DANP", "BP", "DBP"} <= {job.title for job in jobs}
    for job in jobs:
        resolved = job.resolved()
        assert list(resolved["arms"]) == [job.arm]
        assert resolved["chip"]["population"] == 8


def test_jobs_become_tables_and_are_not_done_twice(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [job for job in study.jobs() if job.arm in ("np_0_3", "np_3", "danp", "bp")]
    for job in wanted:
        assert not job.done
        study.work(job)
        assert job.done
    import same_eyes_table  # pyright: ignore[reportMissingImports]

    path = study.RESULTS / "table.md"
    assert same_eyes_table.write(wanted, path).endswith("4 of 4 jobs")
    text = path.read_text()
    assert "## digits, noisy" in text
    assert "| rule | passes a step | read noise 1 % | read noise 10 % |" in text
    [danp] = [line for line in text.splitlines() if line.startswith("| DANP | 2 |")]
    stored = json.loads((study.RESULTS / "digits-noisy-danp.json").read_text())["result"]["arms"]["danp"]
    accuracies = [chip["final"]["test_accuracy"] for chip in stored["chips"]]
    mean, half = interval(accuracies[:2])
    assert f"{100 * mean:.2f} ± {100 * half:.2f}" in danp
    assert [line for line in text.splitlines() if line.startswith("| BP (oracle) | 1 |")]
    assert "**" not in next(line for line in text.splitlines() if "BP" in line)
    nps = [json.loads((study.RESULTS / f"digits-noisy-{name}.json").read_text()) for name in ("np_0_3", "np_3")]
    arms = [next(iter(each["result"]["arms"].values())) for each in nps]
    found = [max(arm["tuning"]["points"][1]["accuracy"]) for arm in arms]
    best = arms[found.index(max(found))]["chips"][2:]
    mean, _ = interval([chip["final"]["test_accuracy"] for chip in best])
    [line, difference] = [line for line in text.splitlines() if line.startswith("| NP")]
    assert f"{100 * mean:.2f} ±" in line.split("|")[-2], "chosen by held-out samples"
    paired = [a["final"]["test_accuracy"] - b for a, b in zip(best, accuracies[2:], strict=True)]
    assert f"{100 * interval(paired)[0]:+.2f} ±" in difference.split("|")[-2]

    monkeypatch.setattr(study, "CHIPS", 3)
    assert not any(job.done for job in wanted), "what has changed is done again"


def test_an_interrupted_job_goes_on(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import analogsim.study.arm as arm_module

    job = next(job for job in study.jobs(["digits-noisy-danp"]))
    advance, steps = arm_module.Arm.advance, []

    def dies(arm: Any) -> None:
        steps.append(arm.name)
        if len(steps) == 11:  # six of the search, and four of the training, of which two before a checkpoint
            raise KeyboardInterrupt
        advance(arm)

    monkeypatch.setattr(arm_module.Arm, "advance", dies)
    with pytest.raises(KeyboardInterrupt):
        study.work(job)
    assert not job.done
    study.work(job)
    assert job.done
    assert len(list((study.WORK / job.name).iterdir())) == 1
    assert len(steps) < 2 * 13, "the search and the first steps were not repeated"
