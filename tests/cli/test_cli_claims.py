"""Claims on the command line: verdicts after a run, `--check`, single arms, quick looks, repeated and resumed runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from analogsim.results import read_curves, read_result

HOLDS = {
    "claim": "final(bp.test_loss) < initial(bp.test_loss)",
    "says": "it learns",
    "paper": "yes",
    "source": "Fig. 1",
}
FAILS = {"claim": "diverged(np) > 0.5", "says": "np diverges"}
OPEN = {"claim": "final(bp.test_loss) < final(bp.test_loss) + 1e-9 * (final(np.test_loss) - 1)", "says": "who knows"}
ORACLE = ["output_error", "transposed_read"]


def _study(folder: Path, *claims: dict[str, str]) -> str:
    data = {
        "name": "claimed",
        "data": {"set": "digits", "batch": 200},
        "network": {"layers": [8, 10]},
        "chip": {"profile": "noisy", "population": 3, "tile": 64},
        "train": {"epochs": 2, "metrics": ["angle"], "optimizer": {"adam": {"lr": 0.01}}},
        "arms": {"bp": {"rule": "bp", "oracle": ORACLE}, "np": {"rule": "np"}},
        "claims": list(claims),
        "quick": {"train.epochs": 1},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return str(path)


def _run(*arguments: str) -> list[str]:
    return ["run", *arguments, "--device", "cpu"]


def test_a_run_tells_its_verdicts_and_keeps_them(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study = _study(tmp_path, HOLDS, FAILS)
    assert command(*_run(study, "--out", str(tmp_path / "runs"))) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in (
        "holds it learns",
        "fails np diverges",
        "paper: yes (Fig. 1)",
        "1 of 2 claims hold; 1 fail",
        "3 chips",
    ):
        assert words in out
    [folder] = (tmp_path / "runs").iterdir()
    held = (folder / "claims.json").read_bytes()
    assert [each["verdict"] for each in json.loads(held)["claims"]] == ["holds", "fails"]

    (folder / "claims.json").unlink()
    assert command("resume", str(folder), "--check") == 1
    assert "1 of 2 claims hold; 1 fail" in capsys.readouterr().out
    assert (folder / "claims.json").read_bytes() == held

    again = str(folder / "scenario.yaml")  # running a run's scenario repeats it, claims included
    assert command(*_run(again, "--out", str(tmp_path / "again"), "--json", "--check")) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["claims"] == json.loads(held)["claims"]
    assert summary["quick"] is False
    [repeated] = (tmp_path / "again").iterdir()
    assert (repeated / "claims.json").read_bytes() == held


@pytest.mark.parametrize(("claims", "code"), [([HOLDS], 0), ([OPEN], 0), ([HOLDS, FAILS], 1)])
def test_check_minds_failures_only(
    claims: list[dict[str, str]], code: int, command: Callable[..., int], tmp_path: Path
) -> None:
    study = _study(tmp_path, *claims)
    assert command(*_run(study, "--out", str(tmp_path / "runs"), "--check", "--set", "train.epochs=1")) == code


@pytest.mark.parametrize(
    ("claims", "option", "message"),
    [
        ([], "--check", "--check: scenario claimed makes no claims; add a section `claims`"),
        ([FAILS], "--quick", "--check: a quick look decides nothing about claims; leave out --check or --quick"),
        ([FAILS], "--arm=anp", "--arm anp: scenario claimed has no such arm; there are bp, np"),
        (
            [{**FAILS, "claim": "diverged(np) > 0"}],
            "--arm=bp",
            "--check: every claim of claimed speaks of an arm that is left out; add --arm",
        ),
        ([{**FAILS, "claim": "diverged(anp) > 0"}], "--check", "claims.0.claim: column 10: there is no arm 'anp'"),
    ],
)
def test_what_would_check_nothing_is_refused_before_anything_runs(
    claims: list[dict[str, str]],
    option: str,
    message: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    study = _study(tmp_path, *claims)
    assert command(*_run(study, "--out", str(tmp_path / "runs"), "--check", option)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert not (tmp_path / "runs").exists()


def test_a_quick_look_is_told_as_one(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study = _study(tmp_path, HOLDS, {"claim": "at(np.test_accuracy, 2) > 0", "says": "later"})
    assert command(*_run(study, "--quick", "--out", str(tmp_path / "runs"))) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "A quick look: its verdicts say nothing about what is claimed." in out
    assert "not run later" in out
    assert "np was trained for 1 epochs, and at(np.test_accuracy, 2) asks for a later one" in out
    [folder] = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "claims.json").read_text())["quick"] is True
    assert command("resume", str(folder)) == 0
    assert "A quick look" in capsys.readouterr().out
    assert command("resume", str(folder), "--check") == 2
    assert "a quick look decides nothing" in capsys.readouterr().err


@pytest.fixture(scope="module")
def whole(command: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of all arms."""
    folder = tmp_path_factory.mktemp("whole")
    assert command(*_run(_study(folder, HOLDS, FAILS), "--out", str(folder / "runs"))) == 0
    [run] = (folder / "runs").iterdir()
    return run


@pytest.mark.parametrize("arm", ["bp", "np"])
def test_an_arm_alone_is_what_it_is_beside_others(
    arm: str, whole: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study = _study(tmp_path, HOLDS, FAILS)
    assert command(*_run(study, "--arm", arm, "--out", str(tmp_path / "runs"), "--json")) == 0
    found = {each["claim"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["claims"]}
    assert found == (
        {HOLDS["claim"]: "holds", FAILS["claim"]: "not run"}
        if arm == "bp"
        else {HOLDS["claim"]: "not run", FAILS["claim"]: "fails"}
    )
    [folder] = (tmp_path / "runs").iterdir()
    alone, all_arms = (read_result(each / "result.json").arms for each in (folder, whole))
    assert list(alone) == [arm]
    assert alone[arm] == all_arms[arm]
    lines = [curve for curve in read_curves(whole / "metrics.jsonl") if curve.arm == arm]
    assert read_curves(folder / "metrics.jsonl") == lines

    assert command(*_run(str(folder / "scenario.yaml"), "--out", str(tmp_path / "again"), "--json")) == 0
    again = {each["claim"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["claims"]}
    assert again == found  # its scenario knows which arms were left out
