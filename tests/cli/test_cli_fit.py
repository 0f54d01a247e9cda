"""`analogsim profiles fit` as a person meets it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_models import DeviceProfile, load_profile
from device_models.fit import synthetic

US = 1e-6


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three tables measured on known devices, as the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    pcm, plain = load_profile("pcm"), {"kind": "constant", "t0": "20 s", "mean": 0.06, "sd": 0.01}
    still = DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, "drift": plain})
    targets = np.repeat(np.linspace(0, 25, 11), 20) * US
    synthetic.write_table(tmp_path / "writes.csv", synthetic.programmed(pcm, targets, rng), ["made up"])
    reads = synthetic.reads(load_profile("noisy"), np.geomspace(5, 25, 20) * US, np.arange(20) * 1e-3, rng)
    synthetic.write_table(tmp_path / "reads.csv", reads)
    drift = synthetic.drift(still, np.full(20, 10 * US), np.geomspace(20, 1e4, 5), rng)
    drift["conductance"] = drift["conductance"] * np.exp(0.01 * rng.standard_normal(100))
    synthetic.write_table(tmp_path / "drift.csv", drift)
    return tmp_path


def test_several_tables_become_one_profile(
    tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["profiles", "fit", "writes.csv", "reads.csv", "drift.csv", "-o", "mine.yaml"]
    assert command(*fit) == 0
    out, err = capsys.readouterr()
    assert err == ""
    text = " ".join(out.split())
    for word in (
        "programming.coefficients.1",
        "±",
        "95 % interval",
        "read_noise.sigma",
        "drift.sd",
        "p =",
        "not determined",
    ):
        assert word in text
    assert {path.name for path in tables.iterdir() if path.suffix != ".csv"} == {"mine.yaml", "mine.png", "mine.svg"}
    profile = load_profile(tables / "mine.yaml")
    assert profile.name == "mine"
    assert profile.conductance.max == pytest.approx(25 * US)
    assert profile.dac is None
    assert [(entry.what, entry.note) for entry in profile.references[:3]] == [
        ("programming", "fitted to writes.csv (devices not named, 220 points)"),
        ("drift", "fitted to drift.csv (20 devices, 100 points)"),
        ("read_noise", "fitted to reads.csv (20 devices, 400 points)"),
    ]
    notes = [entry.note for entry in profile.references]
    assert any(note.startswith("not determined by the data") and "conductance.max" in note for note in notes)
    assert command("profiles", "show", "mine.yaml") == 0
    assert "fitted to writes.csv" in capsys.readouterr().out


def test_the_same_tables_give_the_same_bytes(
    tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("profiles", "fit", "reads.csv", "-o", "mine.yaml") == 0
    written = [(tables / f"mine.{kind}").read_bytes() for kind in ("yaml", "svg")]
    assert command("profiles", "fit", "reads.csv", "-o", "mine.yaml", "--force") == 0
    assert written == [(tables / f"mine.{kind}").read_bytes() for kind in ("yaml", "svg")]


def test_a_base_gives_what_was_not_measured(
    tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["profiles", "fit", "reads.csv", "-o", "mine.yaml", "--base", "pcm", "--json"]
    assert command(*arguments) == 0
    told = json.loads(capsys.readouterr().out)
    base, profile = load_profile("pcm"), load_profile(tables / "mine.yaml")
    assert told["profile"] == profile.to_data()
    assert (profile.programming, profile.drift, profile.dac, profile.adc) == (
        base.programming,
        base.drift,
        base.dac,
        base.adc,
    )
    assert profile.read_noise != base.read_noise
    assert any("programming" in entry.settings and entry.cite for entry in profile.references), "the base's own"
    (fit,) = told["fits"]
    (sigma,) = fit["estimates"]
    assert sigma["low"] < 1 < sigma["high"]
    assert {"statistic", "p", "means", "name"} == set(fit["checks"][0])


def test_options_are_given_and_told(
    tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--g-max", "50 uS", "--degree", "1", "--t0", "10 s", "--t-r", "20 us", "--read-noise", "flicker"]
    arguments = ["profiles", "fit", "writes.csv", "reads.csv", "drift.csv", "-o", "mine.yaml", "--json", *options]
    assert command(*arguments, "--drift", "constant") == 0
    data = json.loads(capsys.readouterr().out)["profile"]
    assert data["conductance"]["max"] == "50 uS"
    assert len(data["programming"]["coefficients"]) == 2
    assert data["drift"]["t0"] == "10 s"
    assert data["read_noise"][0]["kind"] == "flicker"
    profile = load_profile(tables / "mine.yaml")
    assert profile.timing.pass_time == pytest.approx(20e-6), "passes cannot follow faster than reads last"
    assert data["read_noise"][0]["t_r"] == "20 us"


@pytest.mark.parametrize(("unit", "code"), [("nS", 0), ("mS", 2)])
def test_a_wrong_unit_is_suspected(
    unit: str, code: int, tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    reads = (tables / "reads.csv").read_text()
    assert "conductance [uS]" in reads
    (tables / "wrong.csv").write_text(reads.replace("conductance [uS]", f"conductance [{unit}]"))
    arguments = ["profiles", "fit", "writes.csv", "wrong.csv", "-o", "mine.yaml", "--g-max", "25 uS"]
    assert command(*arguments) == code
    told = "".join(capsys.readouterr())
    assert "wrong.csv: its largest conductance is " in told
    assert "and that of the range 25 uS; is the unit of its column right?" in told
    assert "writes.csv: its" not in told
    assert (tables / "mine.yaml").exists() == (code == 0)


@pytest.mark.parametrize("there", ["mine.yaml", "mine.svg"])
def test_nothing_is_overwritten_without_force(
    there: str, tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tables / there).write_text("precious")
    assert command("profiles", "fit", "reads.csv", "-o", "mine.yaml") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: -o mine.yaml: {there} exists; choose another name, or --force to overwrite\n"
    assert (tables / there).read_text() == "precious"
    assert len([path for path in tables.iterdir() if path.suffix != ".csv"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bad.csv"], "bad.csv: line 3, column 'conductance [uS]': not a number (got 'x')"),
        (["reads.csv", "bad.csv"], "bad.csv: line 3, column 'conductance [uS]': not a number (got 'x')"),
        (["none.csv"], "none.csv: cannot be read: No such file or directory"),
        (["reads.csv", "--g-max", "25"], "--g-max: the unit is missing (got '25'); for example '25 uS'"),
        (["reads.csv", "--t-r", "1 uS"], "--t-r: 'uS' is not a unit of this quantity"),
        (["reads.csv", "--base", "nosuch"], "no profile is called 'nosuch'"),
        (["reads.csv", "--read-noise", "pink"], "--read-noise pink: not a known choice; choose additive"),
        (["writes.csv", "--degree", "8", "--g-max", "0 uS"], "--g-max: must be positive"),
        (["reads.csv", "--degree", "2"], "--degree: no table of writes is given, so it would do nothing; leave it out"),
        (["writes.csv", "reads.csv", "--drift", "constant"], "--drift: no table of drift is given"),
        (["writes.csv", "--read-noise", "flicker"], "--read-noise: no table of reads is given"),
        (["writes.csv", "--t0", "20 s"], "--t0: no table of drift or reads is given"),
        (["writes.csv", "--t-r", "1 us"], "--t-r: no table of drift or reads is given"),
        (["few.csv", "--degree", "3"], "few.csv: a polynomial of degree 3 needs 4 distinct targets (got 2)"),
    ],
)
def test_errors_are_one_message_exit_2_and_nothing_written(
    arguments: list[str],
    message: str,
    tables: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tables / "bad.csv").write_text("device,time [s],conductance [uS]\na,0,1\na,1,x\n")
    (tables / "few.csv").write_text("target [uS],conductance [uS]\n1,1.1\n2,2.1\n1,0.8\n2,1.7\n")
    before = {path.name for path in tables.iterdir()}
    assert command("profiles", "fit", *arguments, "-o", "mine.yaml") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert "Traceback" not in err
    assert {path.name for path in tables.iterdir()} == before


@pytest.mark.parametrize("name", ["mine.csv", "nowhere/mine.yaml"])
def test_a_profile_needs_a_name_that_can_be_written(
    name: str, tables: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("profiles", "fit", "reads.csv", "-o", name) == 2
    assert capsys.readouterr().err.startswith(f"error: -o {name}: ")
