"""Profiles: what is read, what is refused and how, and how overrides are laid over them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from device_models import DeviceProfile, ProfileError, load_profile, preset_names
from device_models._yaml import dump_yaml, load_yaml
from device_models.compose import merge, preset_data

FULL: dict[str, Any] = {
    "name": "full",
    "description": "Everything at once.",
    "conductance": {"min": "0.1 uS", "max": "25 uS"},
    "programming": {"kind": "constant", "sigma": {"each": ["0.2 uS", "0.3 uS"]}},
    "granularity": "0.1 uS",
    "drift": {"kind": "constant", "t0": "1 min", "mean": {"each": [0.0, 0.1]}, "sd": 0.05},
    "read_noise": [{"kind": "additive", "sigma": "1 %"}, {"kind": "proportional", "sigma": {"each": ["1 %", "3 %"]}}],
    "column_noise": {"sigma": "0.3 %"},
    "dac": {"bits": 7, "range": 1.7, "scaling": "per_vector", "encoding": "bit_serial", "polarity": "two_phase"},
    "adc": {
        "bits": 9,
        "range": 0.1,
        "gain_error": {"each": ["7 %", "21 %"]},
        "offset_error": 1.5,
        "nonlinearity": -2.0,
        "correction": {"gain_error": "2 %"},
    },
    "slices": {"count": 2, "bits": 3},
    "cell": "reference",
    "unit_noise": {"kind": "telegraph", "mean": 0.04, "amplitude": {"each": [0.006, 0.01]}, "flip": "8.09 %"},
    "references": ["one", "two"],
}


def _with(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(FULL), **changes}


def _message(data: Any) -> str:
    with pytest.raises(ProfileError) as caught:
        DeviceProfile.from_data(data)
    return str(caught.value)


def test_a_full_profile_is_read() -> None:
    profile = DeviceProfile.from_data(FULL)
    assert (profile.conductance.min, profile.conductance.max) == (1e-7, 25e-6)
    assert [noise.kind for noise in profile.read_noise] == ["additive", "proportional"]
    assert profile.read_noise[0].sigma == 0.01
    assert profile.programming is not None
    assert profile.drift is not None
    assert (profile.granularity, profile.drift.t0) == (1e-7, 60.0)
    assert profile.column_noise is not None
    assert profile.column_noise.sigma == 0.003
    assert profile.dac is not None
    assert (profile.dac.bits, profile.dac.range, profile.dac.scaling) == (7, 1.7, "per_vector")
    assert profile.adc is not None
    assert (profile.adc.bits, profile.adc.range) == (9, 0.1)
    assert [reference.note for reference in profile.references] == ["one", "two"]


def test_an_effect_that_is_left_out_is_absent() -> None:
    profile = DeviceProfile.from_data({"name": "bare", "conductance": {"max": "25 uS"}})
    assert profile.conductance.min == 0
    assert profile.read_noise == ()
    assert profile.column_noise is profile.dac is profile.adc is profile.programming is profile.drift is None
    assert profile.granularity == 0
    device = profile.build(2, torch.device("cpu"), torch.float32)
    assert device.read_noise == ()
    assert device.column_noise is device.dac is device.adc is None
    assert device.full_scale == 1


@pytest.mark.parametrize("noise", [{"sigma": "2 %"}, {"kind": "additive", "sigma": "2 %"}, [{"sigma": "2 %"}]])
def test_one_read_noise_needs_no_list_and_is_additive_unless_it_says_otherwise(noise: Any) -> None:
    expected = DeviceProfile.from_data(_with(read_noise=[{"kind": "additive", "sigma": "2 %"}]))
    assert DeviceProfile.from_data(_with(read_noise=noise)) == expected


def test_null_means_without() -> None:
    profile = DeviceProfile.from_data(_with(read_noise=None, column_noise=None, dac=None, adc=None))
    assert profile.read_noise == ()
    assert profile.column_noise is profile.dac is profile.adc is None


def test_a_profile_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DeviceProfile.from_data(FULL).name = "other"  # pyright: ignore[reportAttributeAccessIssue]


REFUSED = [
    ({"wirez": 1}, "wirez: unknown key; is wires meant?"),
    ({"adc": {"bits": 8, "range": 1, "offset": 0}}, "adc.offset: unknown key"),
    ({"conductance": {"min": "0 uS", "max": "25 uS", "typical": "1 uS"}}, "conductance.typical: unknown key"),
    ({"read_noise": [{"kind": "additive", "sigma": "1 %", "sd": "1 %"}]}, "read_noise.0.sd: unknown key; remove it"),
    ({"column_noise": {"sigma": "1 %", "kind": "white"}}, "column_noise.kind: unknown key"),
    ({"adc": {"range": 1}}, "adc.bits: is missing"),
    ({"conductance": {"min": "1 uS"}}, "conductance.max: is missing"),
    ({"column_noise": {}}, "column_noise.sigma: is missing"),
    ({"name": ""}, "name: "),
    ({"dac": {"bits": 1, "range": 1}}, "dac.bits: "),
    ({"dac": {"bits": 17, "range": 1}}, "dac.bits: "),
    ({"adc": {"bits": 1, "range": 1}}, "adc.bits: "),
    ({"adc": {"bits": 17, "range": 1}}, "adc.bits: "),
    ({"adc": {"bits": 8.5, "range": 1}}, "adc.bits: "),
    ({"adc": {"bits": 8, "range": 0}}, "adc.range: "),
    ({"adc": {"bits": 8, "range": -1}}, "adc.range: "),
    ({"adc": {"bits": 8, "range": float("inf")}}, "adc.range: "),
    ({"adc": {"bits": 8, "range": float("nan")}}, "adc.range: "),
    ({"dac": {"bits": 8, "range": float("inf")}}, "dac.range: "),
    ({"dac": {"bits": 8, "range": 1, "scaling": "vector"}}, "dac.scaling: not a known choice (got 'vector')"),
    ({"conductance": {"min": "25 uS", "max": "25 uS"}}, "conductance: min must lie below max"),
    ({"conductance": {"min": "26 uS", "max": "25 uS"}}, "conductance: min must lie below max"),
    ({"conductance": {"max": "0 uS"}}, "conductance: min must lie below max"),
    ({"conductance": {"min": "-1 uS", "max": "25 uS"}}, "conductance.min: must not be below 0 uS"),
    ({"conductance": {"max": 25e-6}}, "conductance.max: needs a number and its unit"),
    ({"conductance": {"max": "25"}}, "conductance.max: the unit is missing"),
    ({"conductance": {"max": "25 ms"}}, "conductance.max: 'ms' is not a unit of this quantity"),
    ({"read_noise": {"sigma": 0.01}}, "read_noise.0.sigma: needs a number and its unit"),
    ({"read_noise": {"sigma": "-1 %"}}, "read_noise.0.sigma: must not be below 0 %"),
    ({"read_noise": {"sigma": {"each": ["1 %", "2"]}}}, "read_noise.0.sigma.each.1: the unit is missing"),
    ({"read_noise": {"sigma": {"each": []}}}, "read_noise.0.sigma.each: "),
    ({"read_noise": {"kind": "pink", "sigma": "1 %"}}, "read_noise.0.kind: not a known choice (got 'pink')"),
    ({"read_noise": "1 %"}, "read_noise.0: "),
    ({"programming": {"kind": "cubic"}}, "programming.kind: not a known choice (got 'cubic')"),
    ({"programming": {"sigma": "1 uS"}}, "programming: must say which kind it is"),
    ({"programming": {"kind": "polynomial", "coefficients": ["1 uS"]}}, "programming.reference: is missing"),
    (
        {"programming": {"kind": "polynomial", "coefficients": ["1 uS", 2], "reference": "25 uS"}},
        "programming.coefficients.1: needs a number and its unit",
    ),
    ({"programming": {"kind": "constant", "sigma": {"each": ["1 %"]}}}, "programming.sigma.each.0: '%' is not a"),
    ({"granularity": "-1 uS"}, "granularity: must not be below 0 uS"),
    ({"drift": {"kind": "constant", "t0": "20 uS", "mean": 0.1}}, "drift.t0: 'uS' is not a unit of this quantity"),
    ({"drift": {"kind": "constant", "t0": "0 s", "mean": 0.1}}, "drift.t0: "),
    ({"drift": {"kind": "constant", "t0": "20 s", "mean": -0.1}}, "drift.mean: "),
    (
        {
            "drift": {
                "kind": "logarithmic",
                "t0": "20 s",
                "mean": {"slope": 0, "offset": 0, "min": 1, "max": 0},
                "sd": {"slope": 0, "offset": 0, "min": 0, "max": 0},
            }
        },
        "drift.mean: min must not lie above max",
    ),
    ({"half_select": {"fraction": "1 %"}}, "half_select: it is pulses that disturb, and there are none; give `update`"),
    ({"references": "one"}, "references: "),
    ({"references": [1]}, "references.0: "),
]


WORDS_AND_NUMBERS = [
    ({"additive": 1}, "additive: unknown key"),
    ({"read_noise": {"sigma": "1 %", "one": 1}}, "read_noise.0.one: unknown key"),
    ({"dac": {"bits": 8, "range": True}}, "dac.range: "),
    ({"dac": {"bits": "8", "range": 1}}, "dac.bits: "),
]


@pytest.mark.parametrize(
    ("changes", "fault"), [*REFUSED, *WORDS_AND_NUMBERS], ids=[fault for _, fault in (*REFUSED, *WORDS_AND_NUMBERS)]
)
def test_a_fault_is_refused_with_its_path(changes: dict[str, Any], fault: str) -> None:
    lines = _message(_with(**changes)).splitlines()
    assert lines[0] == "profile cannot be used:"
    assert len(lines) == 2, lines
    assert lines[1].startswith(f"  - {fault}")


def test_all_faults_stand_in_one_message() -> None:
    faults = {
        "conductance.max: the unit is missing": {"conductance": {"min": "1 uS", "max": "25"}},
        "read_noise.0.sigma: 'uS' is not a unit": {"read_noise": [{"sigma": "1 uS"}, {"kind": "proportional"}]},
        "read_noise.1.sigma: is missing": {},
        "dac.bits: ": {"dac": {"bits": 20, "range": -1}},
        "dac.range: ": {},
        "adc.bits: is missing": {"adc": {"range": 1, "step": 2}},
        "adc.step: unknown key": {},
        "wirez: unknown key": {"wirez": {}},
    }
    changes = {key: value for change in faults.values() for key, value in change.items()}
    lines = _message({**_with(**changes)}).splitlines()[1:]
    assert len(lines) == len(faults)
    for fault in faults:
        assert sum(line.startswith(f"  - {fault}") for line in lines) == 1, fault


@pytest.mark.parametrize("data", [None, [], "noisy", 3])
def test_what_is_no_mapping_is_refused(data: Any) -> None:
    assert "must be a mapping of settings" in _message(data)


@pytest.mark.parametrize("part", ["read_noise", "column_noise"])
def test_each_must_fit_the_number_of_chips(part: str) -> None:
    data = {"name": "x", "conductance": {"max": "25 uS"}, part: {"sigma": {"each": ["1 %", "2 %"]}}}
    profile = DeviceProfile.from_data(data)
    profile.build(2, torch.device("cpu"), torch.float32)
    for chips in (1, 3):
        with pytest.raises(ProfileError, match=rf"^{part}\.sigma: `each` gives 2 values for {chips} chips"):
            profile.build(chips, torch.device("cpu"), torch.float32)


# Files and presets


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_file_of_ones_own_is_loaded_by_its_path(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_text(dump_yaml(FULL))
    assert load_profile(path) == load_profile(str(path)) == DeviceProfile.from_data(FULL)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "must be a mapping of settings"),
        ("# only a comment\n", "must be a mapping of settings"),
        ("- name: x\n", "must be a mapping of settings"),
        ("name: x\nname: y\nconductance: {max: 1 uS}\n", "line 2: name: this key stands twice"),
        ("name: !!python/name:os.system\n", "line 1: not readable as YAML"),
        ("name: x\nconductance: {max: 1}\nwires: 1\n", "conductance.max: needs a number and its unit"),
    ],
)
def test_a_faulty_file_is_refused_by_name(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    assert str(caught.value).startswith(str(path))
    assert what in str(caught.value)


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(ProfileError, match="no profile is called 'noisey'") as caught:
        load_profile("noisey")
    for name in preset_names():
        assert name in str(caught.value)


def test_there_are_presets() -> None:
    assert {"ideal", "noisy", "pcm", "reram"} <= set(preset_names())


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_and_says_what_it_is(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    assert name == "ideal" or profile.references, "figures need a source"
    profile.build(3, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("data", [FULL, *map(preset_data, preset_names())], ids=["full", *preset_names()])
def test_a_profile_survives_writing_and_reading(data: dict[str, Any]) -> None:
    profile = DeviceProfile.from_data(data)
    assert DeviceProfile.from_data(profile.to_data()) == profile
    assert DeviceProfile.from_data(load_yaml(dump_yaml(profile.to_data()), "text")) == profile


def test_the_ideal_preset_has_no_imperfection() -> None:
    profile = load_profile("ideal")
    assert profile.read_noise == ()
    assert profile.column_noise is profile.dac is profile.adc is None
    assert profile.conductance.min == 0


# Overrides


@pytest.mark.parametrize(
    ("base", "overrides", "result"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"x": {"p": 1, "q": 2}}}, {"a": {"x": {"q": 3}}}, {"a": {"x": {"p": 1, "q": 3}}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"n": {"kind": "p", "s": 1}}, {"n": {"s": 2}}, {"n": {"kind": "p", "s": 2}}),
        ({"n": {"kind": "p", "s": 1}}, {"n": {"kind": "p", "s": 2}}, {"n": {"kind": "p", "s": 2}}),
        ({"n": {"kind": "p", "s": 1}}, {"n": {"kind": "q", "t": 2}}, {"n": {"kind": "q", "t": 2}}),
        ({"n": [{"kind": "p", "s": 1}]}, {"n": {"s": 2}}, {"n": {"kind": "p", "s": 2}}),
        ({"n": [{"s": 1}, {"s": 2}]}, {"n": [{"s": 3}]}, {"n": [{"s": 3}]}),
        ({"s": "1 %"}, {"s": {"each": ["2 %"]}}, {"s": {"each": ["2 %"]}}),
        ({"s": {"each": ["2 %"]}}, {"s": "1 %"}, {"s": "1 %"}),
        ({"s": {"each": ["2 %", "3 %"]}}, {"s": {"each": ["4 %"]}}, {"s": {"each": ["4 %"]}}),
        ({"s": {"each": ["2 %", "3 %"]}}, {"s": {"x": 1}}, {"s": {"x": 1}}),
        ({"s": {"x": 1}}, {"s": {"each": ["2 %"]}}, {"s": {"each": ["2 %"]}}),
    ],
)
def test_overrides_are_laid_over_mapping_by_mapping(base: Any, overrides: Any, result: Any) -> None:
    before = copy.deepcopy((base, overrides))
    assert merge(base, overrides) == result
    assert (base, overrides) == before, "merging must not write into what it merges"


def test_which_of_several_effects_an_override_means_is_no_guess() -> None:
    with pytest.raises(ProfileError, match="n: is a list of 2 effects; an override must give the whole list"):
        merge({"n": [{"s": 1}, {"s": 2}]}, {"n": {"s": 3}})


def test_overrides_of_a_preset() -> None:
    overrides = {"read_noise": {"sigma": {"each": ["0 %", "1 %"]}}, "adc": {"bits": 6}, "dac": None}
    for data in (preset_data("noisy"), load_profile("noisy").to_data()):
        profile = DeviceProfile.from_data(merge(data, overrides))
        assert profile.read_noise[0].sigma.values == (0.0, 0.01)  # pyright: ignore[reportAttributeAccessIssue]
        assert profile.adc is not None
        assert (profile.adc.bits, profile.adc.range) == (6, 12)
        assert profile.dac is None
