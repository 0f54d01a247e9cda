"""Profiles that extend others: what comes of it, from where paths start, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_models import DeviceProfile, ProfileError, load_profile, preset_names
from device_models._yaml import dump_yaml
from device_models.compose import merge, preset_data

CELL = {"name": "cell", "conductance": {"max": "25 uS"}, "read_noise": {"kind": "additive", "sigma": "1 %"}}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """(path below a fresh folder, data) -> the file's path."""

    def make(name: str, data: dict[str, Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump_yaml(data))
        return path

    return make


def _settings(profile: DeviceProfile) -> dict[str, Any]:
    return {key: value for key, value in profile.to_data().items() if key not in ("name", "description", "references")}


CHANGES = [
    {"adc": {"bits": 6}},
    {"drift": None, "dac": {"scaling": "per_vector"}},
    {"read_noise": {"kind": "additive", "sigma": "2 %"}},
    {"read_noise": {"scale": {"each": [0.5, 1.0]}}},
    {"read_noise": [{"kind": "additive", "sigma": "2 %"}, {"kind": "proportional", "sigma": "1 %"}]},
    {"drift": {"kind": "constant", "t0": "1 s", "mean": 0.1}, "conductance": {"max": "20 uS"}},
    {},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_what_extends_is_laid_over_as_overrides_are(changes: dict[str, Any], write: Any) -> None:
    expected = _settings(DeviceProfile.from_data(merge(preset_data("pcm"), changes)))
    assert _settings(DeviceProfile.from_data({"extends": "pcm", **changes})) == expected
    path = write("mine.yaml", {"name": "mine", "extends": "pcm", **changes})
    assert _settings(load_profile(path)) == expected
    assert _settings(load_profile(write("next.yaml", {"extends": "mine.yaml"}))) == expected
    again = DeviceProfile.from_data(load_profile(path).to_data())
    assert "extends" not in again.to_data()
    assert again == load_profile(path)


def test_paths_start_from_the_file_that_has_them(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("base/cell.yaml", CELL)
    write("base/loud/louder.yaml", {"name": "louder", "extends": "../cell.yaml", "read_noise": {"sigma": "3 %"}})
    top = write("mine.yaml", {"name": "mine", "extends": "base/loud/louder.yaml", "adc": {"bits": 5, "range": 3}})
    write("base/loud/mine.yaml", {"name": "a trap"})
    for folder in (top.parent, top.parent / "base", Path("/")):
        monkeypatch.chdir(folder)
        profile = load_profile(top)
        assert (profile.name, profile.read_noise[0].sigma) == ("mine", 0.03)  # pyright: ignore[reportAttributeAccessIssue]
    data = {"name": "here", "extends": "base/cell.yaml"}
    assert DeviceProfile.from_data(data, folder=top.parent).conductance.max == 25e-6
    monkeypatch.chdir(top.parent)
    assert DeviceProfile.from_data(data).conductance.max == 25e-6


def test_it_has_a_name_and_a_description_of_its_own(write: Any) -> None:
    assert DeviceProfile.from_data({"extends": "pcm"}).name == "pcm, changed"
    twice = write("twice.yaml", {"extends": str(write("once.yaml", {"extends": "pcm", "drift": None}))})
    assert load_profile(twice).name == "pcm, changed"
    changed = DeviceProfile.from_data({"extends": "pcm", "drift": None, "adc": {"bits": 6}})
    assert changed.description == "pcm, but for: drift, adc."
    assert DeviceProfile.from_data({"extends": "pcm"}).description == load_profile("pcm").description
    told = DeviceProfile.from_data({"extends": "pcm", "name": "mine", "description": "Mine.", "drift": None})
    assert (told.name, told.description) == ("mine", "Mine.")


BASE: list[Any] = [
    {"what": "programming, read noise", "cite": "wan2022"},
    {"what": "dac.range, dac.bits, adc", "note": "assumed: so"},
    "an old remark",
]


@pytest.mark.parametrize(
    ("changes", "own", "expected"),
    [
        ({}, [], BASE),
        ({}, ["a remark"], [*BASE, "a remark"]),
        ({}, ["an old remark"], BASE),
        ({}, [{"what": "dac.range", "cite": "joshi2020"}],
         [BASE[0], BASE[1] | {"what": "dac.bits, adc"}, BASE[2], {"what": "dac.range", "cite": "joshi2020"}]),
        ({}, [{"what": "dac, adc", "note": "mine"}], [BASE[0], BASE[2], {"what": "dac, adc", "note": "mine"}]),
        ({"read_noise": None}, [], [{"what": "programming", "cite": "wan2022"}, *BASE[1:]]),
        ({"read_noise": {"sigma": "2 %"}}, [],
         [*BASE, {"what": "read_noise", "note": "set over cell without a reference"}]),
        ({"read_noise": {"sigma": "2 %"}}, [{"what": "read noise", "note": "mine"}],
         [{"what": "programming", "cite": "wan2022"}, *BASE[1:], {"what": "read noise", "note": "mine"}]),
        ({"read_noise": {"sigma": "2 %"}}, ["read noise: mine"], [*BASE, "read noise: mine"]),
    ],
)  # fmt: skip
def test_references_add_up(changes: Any, own: list[Any], expected: list[Any], write: Any) -> None:
    write("cell.yaml", {**CELL, "references": BASE})
    path = write("mine.yaml", {"name": "mine", "extends": "cell.yaml", "references": own, **changes})
    found = load_profile(path).to_data()["references"]
    normal = [
        {**entry, "what": ", ".join(part.strip().replace(" ", "_") for part in entry["what"].split(","))}
        if isinstance(entry, dict)
        else entry
        for entry in found
    ]
    wanted = [
        {**entry, "what": entry["what"].replace("read noise", "read_noise")} if isinstance(entry, dict) else entry
        for entry in expected
    ]
    assert normal == wanted


# Refused


def _refused(path: Path | str) -> str:
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    return str(caught.value)


def test_a_circle_is_told_with_its_chain(write: Any) -> None:
    write("a.yaml", {"name": "a", "extends": "b.yaml"})
    b = write("b.yaml", {"name": "b", "extends": "sub/../a.yaml"})
    c = write("c.yaml", {"name": "c", "extends": "a.yaml"})
    message = _refused(c)
    assert "extends: goes in a circle: a.yaml -> b.yaml -> a.yaml; one of them must stand on its own" in message
    assert "c.yaml ->" not in message
    assert "circle: b.yaml -> a.yaml -> b.yaml" in _refused(b)
    alone = write("self.yaml", {"name": "self", "extends": "self.yaml"})
    assert "circle: self.yaml -> self.yaml;" in _refused(alone)
    with pytest.raises(ProfileError, match=r"circle: a\.yaml -> b\.yaml -> a\.yaml"):
        DeviceProfile.from_data({"name": "x", "extends": "a.yaml"}, folder=c.parent)


def test_a_base_that_is_not_there_is_told_with_what_there_is(write: Any) -> None:
    message = _refused(write("mine.yaml", {"name": "mine", "extends": "pmc"}))
    assert "mine.yaml: extends: no profile is called 'pmc'; there are " in message
    assert all(name in message for name in preset_names())
    write("cell.yaml", CELL)
    message = _refused(write("mine.yaml", {"name": "mine", "extends": "cel.yaml"}))
    assert message.endswith(
        "cel.yaml: cannot be read: No such file or directory; beside it there are cell.yaml, mine.yaml"
    )
    message = _refused(write("mine.yaml", {"name": "mine", "extends": "nowhere/cell.yaml"}))
    assert "nowhere/cell.yaml: cannot be read: No such file or directory" in message


@pytest.mark.parametrize("wanted", [3, "", None, ["pcm"], {"name": "pcm"}])
def test_what_is_extended_is_a_name_or_a_path(wanted: Any, write: Any) -> None:
    message = _refused(write("mine.yaml", {"name": "mine", "extends": wanted}))
    assert f"extends: must be the name of a profile or the path of a .yaml file (got {wanted!r})" in message


def test_a_fault_is_told_of_the_file_that_has_it(write: Any) -> None:
    base = write("base.yaml", {**CELL, "adc": {"bits": 1, "range": 3}})
    message = _refused(write("mine.yaml", {"name": "mine", "extends": "base.yaml", "adc": {"bits": 6}}))
    assert message.splitlines()[0] == f"{base} cannot be used:"
    write("base.yaml", {**CELL, "adc": {"bits": 6, "range": 3}})
    mine = write("mine.yaml", {"name": "mine", "extends": "base.yaml", "adc": {"bits": 1}})
    first, second = _refused(mine).splitlines()
    assert first == f"{mine} cannot be used:"
    assert second.startswith("  - adc.bits: must not be below 2")
    write("base.yaml", [1])  # pyright: ignore[reportArgumentType]
    assert "base.yaml: must be a mapping of settings (got list)" in _refused(mine)


def test_which_of_several_effects_is_meant_is_no_guess(write: Any) -> None:
    two = [{"kind": "additive", "sigma": "1 %"}, {"kind": "proportional", "sigma": "1 %"}]
    write("base.yaml", {**CELL, "read_noise": two})
    message = _refused(write("mine.yaml", {"name": "mine", "extends": "base.yaml", "read_noise": {"sigma": "2 %"}}))
    assert "mine.yaml: read_noise: is a list of 2 effects" in message
