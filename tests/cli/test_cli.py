"""The command line as a person meets it: output, exit codes, one message for an error and no traceback."""

import json
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from analogsim.cli.main import main

TINY = ["--set", "train.epochs=1", "--set", "chip.population=2", "--set", "data.batch=200"]


def test_run_prints_a_table_and_writes_the_folder(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("run", "quickstart", *TINY, "--out", str(tmp_path)) == 0
    out, err = capsys.readouterr()
    for word in ("bp (oracle)", "danp", "95 % interval", "run folder:", "for comparison only"):
        assert word in " ".join(out.split())
    assert "danp (4/4) epoch 1: accuracy" in err
    [folder] = tmp_path.iterdir()
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {
        "scenario.yaml",
        "metrics.jsonl",
        "result.json",
        "info.json",
        "figures/learning_curves.png",
        "figures/learning_curves.svg",
    }


def test_run_as_json(command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = [*TINY, "--set", "chip.overrides.read_noise.sigma={each: [0 %, 1 %]}"]
    assert command("run", "quickstart", *settings, "--out", str(tmp_path), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert [row["arm"] for row in summary["rows"]] == ["bp", "bp", "np", "np", "anp", "anp", "danp", "danp"]
    assert summary["rows"][0]["oracle"] == ["output_error", "transposed_read"]
    assert summary["rows"][4]["point"] == {"chip.profile.read_noise.0.sigma": "0 %"}
    assert summary["rows"][4]["silent"] == 1.0
    assert summary["rows"][5]["silent"] == 0.0
    assert Path(summary["folder"]).is_dir()


@pytest.mark.parametrize("name", ["profiles", "scenarios", "rules"])
def test_lists_and_shows_in_both_forms(
    name: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(name, "list") == 0
    text = capsys.readouterr().out
    assert command(name, "list", "--json") == 0
    entries = json.loads(capsys.readouterr().out)
    for entry in entries:
        assert entry["name"] in text
        assert command(name, "show", entry["name"]) == 0
        assert entry["name"].removeprefix("papers/") in capsys.readouterr().out
        assert command(name, "show", entry["name"], "--json") == 0
        json.loads(capsys.readouterr().out)


def test_a_shown_scenario_runs_and_a_shown_profile_loads(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("profiles", "show", "noisy", "--yaml") == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    assert command("scenarios", "show", "quickstart") == 0
    (tmp_path / "study.yaml").write_text(capsys.readouterr().out)
    profile = f"chip.profile={tmp_path / 'mine.yaml'}"
    scenario = str(tmp_path / "study.yaml")
    assert command("run", scenario, *TINY, "--set", profile, "--out", str(tmp_path / "runs")) == 0


def test_a_profile_is_shown_with_figures_units_and_sources(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: pcm\nadc: {bits: 5}\n")
    assert command("profiles", "show", str(tmp_path / "mine.yaml")) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "mine pcm, but for: adc. conductance 0 S to 25 uS",
        "ADC 5 bits, +-12 in units of the pre-activations, step 0.8",
        "of a device at 0 S 1.25 uS 5 uS 12.5 uS 25 uS",
        "costs DAC: 0 s, 3.13 pJ a row array: 250 ns, 6.25 fJ a device",
        "programming: sd of a write 263 nS 359 nS 610 nS 953 nS 1.06 uS",
        "drift: left after a day 43.3 % 55.3 % 66.2 % 66.4 % 66.4 %",
        "sources conductance.max, programming, drift, read noise Nandakumar et al. (2019), doi:10.1109/",
        "adc set over pcm without a reference",
        "assumed conductance.min, timing devices reset to 0",
    ):
        assert words in text


def test_citations_are_bibtex(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("profiles", "show", "pcm", "--citation") == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("@")] == [
        "@inproceedings{nandakumar2019,",
        "@article{joshi2020,",
        "@inproceedings{lee2009,",
    ]
    assert command("profiles", "show", "ideal", "--citation") == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "profile ideal cites no published work\n")


def test_the_schema_is_json_schema(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("scenarios", "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    kinds = [schema["$defs"][kind["$ref"].rpartition("/")[2]] for kind in schema["anyOf"]]
    assert {"name", "data", "network", "chip", "train", "arms"} <= set(kinds[0]["required"])
    assert {"name", "student_teacher", "arms"} <= set(kinds[1]["required"])
    assert "Number K" in json.dumps(schema)  # settings of the rules, with their descriptions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nosuch"], "no scenario is called 'nosuch'; there are cifar-convnet, "),
        (["run", "nosuch.yaml"], "nosuch.yaml: cannot be read: No such file or directory"),
        (["run", "quickstart", "--set", "data.bacth=1"], "data.bacth: unknown key"),
        (["run", "quickstart", "--set", "arms.bp.oracle=[]"], "rule 'bp' needs"),
        (["run", "quickstart", "--device", "tpu"], "--device tpu: not a known device; choose auto, cpu or cuda"),
        (["profiles", "show", "nosuch"], "no profile is called 'nosuch'"),
        (["profiles", "show", "pcm", "--yaml", "--citation"], "--yaml, --json and --citation are three forms"),
        (["rules", "show", "nosuch"], "no rule is called 'nosuch'"),
        (["scenarios", "show", "nosuch"], "no scenario is called 'nosuch'"),
    ],
)
def test_errors_are_one_message_and_exit_2(
    arguments: list[str],
    message: str,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(message, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_one_message(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr("analogsim.study.run.prepare", full)
    assert command("run", "quickstart", *TINY, "--out", str(tmp_path)) == 2
    assert capsys.readouterr().err.endswith(
        "error: not enough memory: Unable to allocate 7 TiB; choose smaller sizes\n"
    )


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from analogsim.errors import ScenarioError

    monkeypatch.setattr(sys, "argv", ["analogsim", "run", "nosuch", "--debug"])
    with pytest.raises(ScenarioError):
        main()


def test_a_terminal_gets_a_bar_with_the_live_accuracy(tmp_path: Path) -> None:
    reader, writer = pty.openpty()
    arguments = ["run", "quickstart", "--quick", *TINY, "--out", str(tmp_path)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "analogsim", *arguments],
        stdout=subprocess.PIPE,
        stderr=writer,
        env=environment,
        text=True,
    ) as process:
        os.close(writer)
        shown = b""
        try:
            while part := os.read(reader, 65536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        assert process.wait() == 0
    assert b"accuracy" in shown
    assert b"danp (4/4)" in shown
    assert b"100 %" in shown


def test_no_terminal_is_too_narrow_for_whole_numbers(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The words of both outputs are the same, wherever lines are broken."""
    assert command("run", "quickstart", "--arm", "np", *TINY, "--out", str(tmp_path)) == 0
    capsys.readouterr()
    (folder,) = tmp_path.iterdir()
    printed = []
    for columns in ("160", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        assert command("resume", str(folder)) == 0  # prints what is finished
        out, _ = capsys.readouterr()
        printed.append(Counter(word for word in out.split() if re.fullmatch(r"[-+\d.e]+", word)))
    assert printed[0] == printed[1]
    assert sum(printed[0].values()) > 10
