"""`analogsim sweep`, `status`, `resume` and `report` as a person meets them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analogsim.outcomes import StudyFolder
from analogsim.sweep import engine
from analogsim.sweep.job import Ended

TINY = [
    "network.layers=[8, 10]",
    "chip.population=3",
    "data.batch=200",
    "train={epochs: 1, optimizer: {adam: {lr: 3.0e-3}}}",
    "arms={danp: {rule: danp}, bp: {rule: bp, oracle: [output_error, transposed_read]}}",
]
SWEEP = ["sweep", "quickstart", "--workers", "0", "--device", "cpu"]
SWEEP += [word for setting in TINY for word in ("--set", setting)]
NOISE = "chip.overrides.read_noise.sigma"
AXES = ["--axis", "chip.profile=noisy,reram", "--axis", f"{NOISE}=0 %,3 %", "--noise", NOISE]


def test_from_a_sweep_to_a_report(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*SWEEP, *AXES, "--out", str(tmp_path)) == 0
    out, err = capsys.readouterr()
    (path,) = tmp_path.iterdir()
    assert "read noise sigma: 2 places folded into populations" in err
    assert "5 jobs, 1 of them of the reference, 27 chips to be trained" in err
    assert f"study folder: {path} (if interrupted: analogsim resume {path})" in err
    assert "quickstart: 5 of 5 jobs done" in out
    assert "bp (oracle)" in out
    table = (path / "results.csv").read_text().splitlines()
    assert len(table) == 1 + 27
    assert table[0].startswith("job,arm,rule,family,marks,reference,chip.profile,chip.overrides.read_noise.sigma,seed")

    assert command("status", str(path), "--json") == 0
    told = json.loads(capsys.readouterr()[0])
    assert (told["jobs"], told["done"], told["running"], told["failed"], told["driven"]) == (5, 5, [], {}, False)
    assert told["arms"]["danp"]["jobs"] == 2
    assert set(told["arms"]["danp"]["at"]) == {"chip.profile", NOISE}

    for form, name in (("html", "report.html"), ("md", "report.md"), ("csv", "results.csv")):
        assert command("report", str(path), "--format", form) == 0
        assert capsys.readouterr()[0] == f"report: {path / name}\n"
    assert (path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert "danp" in (path / "report.md").read_text()
    for name, form in (("a.html", "html"), ("a.md", "md"), ("A.CSV", "csv"), ("plain", "html")):
        assert command("report", str(path), "-o", str(tmp_path / name)) == 0
        own = {"html": "report.html", "md": "report.md", "csv": "results.csv"}[form]
        assert (tmp_path / name).read_bytes()[:200] == (path / own).read_bytes()[:200]
    capsys.readouterr()
    assert command("report", str(path), "-o", str(tmp_path / "a.pdf")) == 2
    assert "a.pdf: no report ends so; choose .html, .md or .csv, or say which with --format" in capsys.readouterr()[1]
    assert not (tmp_path / "a.pdf").exists()


def test_a_plan_alone_writes_nothing(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*SWEEP, *AXES, "--seeds", "2", "--plan", "--out", str(tmp_path / "runs")) == 0
    out, _ = capsys.readouterr()
    assert out.endswith("5 jobs, 1 of them of the reference, 54 chips to be trained\n")
    assert not list(tmp_path.iterdir())


def test_an_axis_of_the_command_line_replaces_the_scenarios_and_says_so(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("sweep", "which-rule", "--quick", "--axis", "chip.overrides.adc.bits=4,6", "--plan") == 0
    out, _ = capsys.readouterr()
    assert out.splitlines()[:2] == [
        "chip.overrides.adc.bits: the places of --axis, instead of the scenario's 8",
        "ADC bits: 2 places, jobs of their own",
    ]
    assert out.splitlines()[-2].startswith("a quick look, with the scenario's `quick` settings")
    assert command("sweep", "which-rule", "--axis", "chip.overrides.adc.bits=4", "--arm", "anp", "--plan") == 0
    assert "\narms left out: bp, learned, " in capsys.readouterr().out


def test_data_that_are_not_there_leave_a_plan_and_no_study(
    command: Callable[..., int],
    refused: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANALOGSIM_DATA", str(tmp_path))
    mnist = ["sweep", "which-rule-mnist", "--workers", "0", "--device", "cpu", "--out", str(tmp_path / "runs")]
    assert command(*mnist, "--plan") == 0
    out, err = capsys.readouterr()
    assert "jobs" in out
    assert err.startswith("whether each point can run was not judged: ")
    assert err.removeprefix("whether each point can run was not judged: ") in refused("mnist", *mnist)
    assert not list(tmp_path.iterdir())


def test_a_studys_scenario_is_the_one_that_was_planned(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("extends: noisy\nname: mine\nadc: {bits: 5}\n")
    monkeypatch.chdir(tmp_path)
    axes = ["--axis", "chip.profile=mine.yaml,reram", "--axis", f"{NOISE}=0 %,3 %", "--noise", NOISE, "--seeds", "2"]
    monkeypatch.setattr("analogsim.cli.sweep.go_on", lambda study, engine, check: None)  # planning alone
    assert command(*SWEEP, *axes, "--arm", "danp", "--out", "runs") == 0
    (path,) = (tmp_path / "runs").iterdir()
    capsys.readouterr()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command("sweep", str(path / "scenario.yaml"), "--plan") == 0
    notes = "".join(f"{note}\n" for note in StudyFolder(path).plan.notes)
    assert capsys.readouterr()[0].startswith(notes)
    assert command("sweep", str(path / "scenario.yaml"), "--workers", "0", "--out", "runs") == 0
    (again,) = (tmp_path / "elsewhere" / "runs").iterdir()
    assert (again / "plan.json").read_bytes() == (path / "plan.json").read_bytes()
    for point in (path / "points").iterdir():
        assert (again / "points" / point.name).read_bytes() == point.read_bytes()


def test_an_interrupted_study_goes_on_and_failures_are_told(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    perform, calls = engine.perform, 0

    def interrupted(*arguments: object) -> Ended:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return perform(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(engine, "perform", interrupted)
        assert command(*SWEEP, *AXES, "--out", str(tmp_path)) == 130
    (path,) = tmp_path.iterdir()
    assert f"Go on with: analogsim resume {path}" in capsys.readouterr()[1]
    folder = StudyFolder(path)
    assert [folder.state(job) for job in folder.plan.jobs].count("done") == 2
    assert command("status", str(path)) == 0
    out, _ = capsys.readouterr()
    assert "2 of 5 jobs done" in out
    assert f"no driver of this machine is at work on it; to go on: analogsim resume {path}" in out

    broken = path / "points" / "0001.yaml"
    whole = broken.read_text()
    broken.write_text("name: x\n")
    assert command("resume", str(path), "--workers", "0") == 1
    out, err = capsys.readouterr()
    assert "2 jobs have failed; to try them again: analogsim resume --retry" in out
    assert "failed: 00003-danp:" in err
    broken.write_text(whole)
    assert command("resume", str(path), "--workers", "0", "--retry") == 0
    assert "5 of 5 jobs done" in capsys.readouterr()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "quickstart"], "has no section `sweep`; give an axis, such as --axis chip.profile=pcm,reram"),
        (["sweep", "quickstart", "--axis", "chip.tile"], "--axis chip.tile: must be path=value,value"),
        (["sweep", "quickstart", "--axis", "chip.tile="], "--axis chip.tile=: has an empty place"),
        (["sweep", "quickstart", "--axis", "chip.tiles=4"], "chip.tiles: unknown key"),
        (
            ["sweep", "quickstart", "--axis", "chip.tile=4", "--arm", "x"],
            "--arm x: scenario quickstart has no such arm",
        ),
        (["sweep", "quickstart", "--axis", "data.pool=3", "--workers", "0"], "data.pool"),
        (
            ["sweep", "quickstart", "--axis", "data.pool=2,3", "--plan"],
            "scenario quickstart at data.pool=3 cannot be run: data.pool: ",
        ),
        (
            ["sweep", "quickstart", "--axis", "chip.tile=4,8", "--plan", "--axis", "chip.tile=8,16"],
            "--axis chip.tile: is given twice; give all its places at once: --axis chip.tile=4,8,16",
        ),
        (
            ["sweep", "quickstart", "--set", "arms=[1]", "--axis", "chip.tile=4", "--arm", "x"],
            "arms: must be a mapping",
        ),
        (["sweep", "quickstart", "--axis", "chip.tile=4", "--ray", "local", "--workers", "2"], "give one of them"),
        (["sweep", "quickstart", "--axis", "chip.tile=4", "--device", "tpu"], "--device tpu: not a known device"),
        (["sweep", "nowhere"], "no scenario is called 'nowhere'"),
        (["status", "."], ".: not the folder of a study: holds no plan.json"),
        (["report", "nowhere"], "nowhere: not the folder of a study: there is no such folder"),
        (["resume", ".", "--retry"], "--retry: this is the folder of a run, which has no such option"),
    ],
)
def test_what_cannot_be_is_one_message_and_exit_2(
    arguments: list[str],
    message: str,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(message, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "package", "message"),
    [
        ("--tensorboard", "tensorboard", "--tensorboard: TensorBoard is not installed; install it with: pip install"),
        ("--ray=local", "ray", "--ray: Ray is not installed; install it with: pip install 'analogsim[ray]'"),
    ],
)
def test_extras_that_are_not_installed(
    option: str,
    package: str,
    message: str,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert command("sweep", "quickstart", "--axis", "chip.tile=4", option, "--out", str(tmp_path / "runs")) == 2
    assert message in capsys.readouterr()[1]
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*SWEEP, "--axis", "chip.tile=32,64", "--arm", "danp", "--out", str(tmp_path / "runs")) == 0
    (path,) = (tmp_path / "runs").iterdir()
    capsys.readouterr()
    before = (path / "plan.json").read_bytes()
    for output in (path / "plan.json", tmp_path):
        assert command("report", str(path), "-o", str(output)) == 2
        assert "choose the name of a new file" in capsys.readouterr()[1]
    assert (path / "plan.json").read_bytes() == before
    metrics = next(path.glob("jobs/*/metrics.jsonl"))
    whole = metrics.read_text()
    metrics.write_text("{}\n" + whole)
    assert command("report", str(path)) == 2
    assert "metrics.jsonl: damaged: a line is no evaluation" in capsys.readouterr()[1]
    metrics.write_text(whole)
    assert command("report", str(path), "--format", "csv", "-o", str(tmp_path / "no" / "x.csv")) == 2
    assert "x.csv: cannot be written: No such file or directory; choose another --output" in capsys.readouterr()[1]
