"""The page as a whole: determinism, plain data, the figure, and the command as a person meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analogsim.characterize import characterize, draw_page
from analogsim.characterize.page import Absent, Axis, Map, Page, Panel
from analogsim.characterize.panels import spectrum
from analogsim.characterize.registry import PANELS
from device_models import DeviceProfile, ProfileError, load_profile, preset_names

ProfileOf = Callable[..., DeviceProfile]


@pytest.fixture(autouse=True)
def short_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "_SLOW", 16)
    monkeypatch.setattr(spectrum, "_SERIES", 3)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_page(name: str, tmp_path: Path) -> None:
    profile = load_profile(name)
    page = characterize(profile, devices=12)
    assert {*page.panels, *page.absent} >= set(PANELS) - {"spectrum", "staircase", "unit_memory"}
    for panel in page.panels.values():
        assert panel.traces
        assert 0 < len(panel.note) <= 60
    json.dumps(page.to_data(), allow_nan=False)
    draw_page(page, [tmp_path / "page.png"])
    with Image.open(tmp_path / "page.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[1] == 1210
    assert 0.005 < (pixels < 128).mean() < 0.3
    for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
        assert edge.min() > 128  # nothing is cut off


def test_a_seed_gives_one_page_and_another_seed_another() -> None:
    profile = load_profile("pcm")
    first, again, other = (characterize(profile, devices=8, seed=seed).to_data() for seed in (1, 1, 2))
    assert first == again
    for name in ("programming", "drift", "read_noise", "spectrum"):
        assert first["panels"][name] != other["panels"][name]


def test_a_page_is_drawn_to_the_same_bytes(profile_of: ProfileOf, tmp_path: Path) -> None:
    profile = profile_of(programming={"kind": "constant", "sigma": "1 uS"})
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        draw_page(characterize(profile, devices=8), [tmp_path / name])
    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_a_new_panel_is_one_entry(monkeypatch: pytest.MonkeyPatch, profile_of: ProfileOf, tmp_path: Path) -> None:
    def checks(lab: Any) -> Panel:
        return Panel("Checks", Axis("row"), Axis("column"), (Map(np.eye(3), "%"),), "made up", (("checks", "3"),))

    def lacking(lab: Any) -> Absent:
        return Absent("Nothing to check.")

    monkeypatch.setitem(PANELS, "checks", checks)
    monkeypatch.setitem(PANELS, "lacking", lacking)
    page = characterize(profile_of(), devices=2)
    assert list(page.panels) == ["checks"]
    assert page.absent["lacking"] == "Nothing to check."
    assert page.figures[-1] == ("checks", "3")
    draw_page(page, [tmp_path / "page.svg"])
    text = (tmp_path / "page.svg").read_text()
    for word in ("Checks", "Nothing to check.", "checks: 3", "made up", "on/off 12.5"):
        assert word in text


def test_json_has_no_numbers_that_are_none() -> None:
    panel = Panel("x", Axis("a"), Axis("b"), (Map(np.array([[1.0, np.nan], [np.inf, 1 / 3]]), "%"),))
    page = Page("n", "", (), (), {"x": panel}, {}, 1, 0)
    [trace] = json.loads(json.dumps(page.to_data(), allow_nan=False))["panels"]["x"]["traces"]
    assert trace == {"values": [[1.0, None], [None, 0.3333333]], "unit": "%", "label": "", "kind": "map"}


def test_values_per_chip_and_no_devices_are_refused(profile_of: ProfileOf) -> None:
    profile = profile_of(read_noise={"sigma": {"each": ["0 %", "1 %"]}})
    with pytest.raises(ProfileError, match=r"profile test: a page shows one kind of device: read_noise.sigma: `each`"):
        characterize(profile)
    with pytest.raises(ValueError, match=r"at least one device must be simulated \(got 0\)"):
        characterize(profile_of(), devices=0)


def test_the_command_writes_two_files(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "pages"
    assert command("profiles", "plot", "ideal", "-o", str(folder), "--devices", "20") == 0
    out = capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["ideal.png", "ideal.svg"]
    for word in ("conductance: 0 µS", "No drift", f"page: {folder / 'ideal.png'}, {folder / 'ideal.svg'}"):
        assert word in out


def test_the_command_as_json_and_a_profile_of_ones_own(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: a b/c\nconductance: {max: 10 uS}\nprogramming: {kind: constant, sigma: 1 uS}\n")
    assert command("profiles", "plot", str(mine), "-o", str(tmp_path), "--devices", "5", "--seed", "7", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["files"] == [str(tmp_path / f"a-b-c.{kind}") for kind in ("png", "svg")]
    assert (data["name"], data["devices"], data["seed"]) == ("a b/c", 5, 7)
    assert [trace["kind"] for trace in data["panels"]["programming"]["traces"]][:3] == ["band", "line", "points"]
    assert data["absent"]["drift"].startswith("No drift")
    assert data["figures"][-1][0] == "programming sd"


def test_a_folder_is_tried_before_the_work(
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(*arguments: Any) -> Page:
        raise AssertionError("measured although nothing can be written")

    monkeypatch.setattr("analogsim.characterize.characterize", work)
    assert command("profiles", "plot", "ideal", "-o", "/proc") == 2  # not writable, not even for an administrator
    assert "error: /proc: cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "no profile is called 'nosuch'; there are capacitor, "),
        (["nosuch.yaml"], "nosuch.yaml: cannot be read: No such file or directory"),
        (["ideal", "-o", "taken"], "taken: cannot be written: File exists; choose another folder with -o"),
        (["ideal", "-o", "taken/below"], "taken/below: cannot be written: Not a directory; choose another folder"),
        (["ideal", "--devices", "0"], "--devices: must not be below 1 (got 0)"),
        (["ideal", "--seed", "-1"], "--seed: must not be below 0 (got -1)"),
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
    (tmp_path / "taken").write_text("")
    assert refused(message, "profiles", "plot", *arguments).count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
