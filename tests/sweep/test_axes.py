"""Axes: how they are written, and the numbers and samples that they are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analogsim.errors import ScenarioError
from analogsim.study.sweep_section import Sample, Sweep
from analogsim.sweep.axes import axes_of_section, label, numbers_of, parse_axis, sampled, title


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("chip.profile=pcm,reram", "chip.profile", ["pcm", "reram"]),
        ("chip.overrides.adc.bits=4,6,8", "chip.overrides.adc.bits", [4, 6, 8]),
        ("a.b=0 %, 0.3 %", "a.b", ["0 %", "0.3 %"]),
        ("network.layers=[64, 10],[128, 10]", "network.layers", [[64, 10], [128, 10]]),
        ("chip.overrides={adc: {bits: 4}},{}", "chip.overrides", [{"adc": {"bits": 4}}, {}]),
        ("x=a=b", "x", ["a=b"]),
    ],
)
def test_axes_of_the_command_line(text: str, path: str, values: list[object]) -> None:
    assert parse_axis(text) == (path, values)


@pytest.mark.parametrize("text", ["chip.profile", "=1,2", "x=", "x=1,,2", "x=[1", "x=1,''"])
def test_what_is_no_axis_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"^--axis"):
        parse_axis(text)


@pytest.mark.parametrize(
    ("labels", "numbers", "unit"),
    [
        (["0 %", "0.3 %", "10 %"], (0.0, 0.3, 10.0), "%"),
        (["0", "0.3 %"], (0.0, 0.3), "%"),
        (["4", "6"], (4.0, 6.0), ""),
        (["1.0e-3", "2e-3"], (1e-3, 2e-3), ""),
        (["1 us", "1 ns"], None, ""),
        (["1", "1 ns"], None, ""),
        (["pcm", "reram"], None, ""),
        (["8 bit", "x"], None, ""),
        (["0.00012345678", "0.00012345679"], (0.00012345678, 0.00012345679), ""),
    ],
)
def test_numbers_of_places(labels: list[str], numbers: tuple[float, ...] | None, unit: str) -> None:
    assert numbers_of(labels) == (numbers, unit)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("chip.overrides.read_noise.sigma", "read noise sigma"),
        ("chip.profile.read_noise.0.sigma", "read noise sigma"),
        ("chip.layers.-1.overrides.adc.bits", "layer -1 adc bits"),
        ("chip.profile", "profile"),
        ("network.layers", "layers"),
        ("arms.np.sigma", "np sigma"),
        ("train.step_time", "step time"),
        ("seed", "seed"),
        ("device", "device"),
    ],
)
def test_titles(name: str, told: str) -> None:
    assert title(name) == told


def test_labels_tell_numbers_apart() -> None:
    assert label(0.1) == "0.1"
    assert label(0.00012345678) == "0.00012345678"


def test_labels_are_as_a_scenario_writes_them() -> None:
    assert [label(value) for value in ("1 %", 4, 0.1, 1e-3, True, [64, 10], None)] == [
        "1 %",
        "4",
        "0.1",
        "0.001",
        "true",
        "[64, 10]",
        "none",
    ]


def test_places_may_be_bundles_of_settings_by_name() -> None:
    section = Sweep.model_validate(
        {"axes": {"device": {"quiet": {"chip.profile": "pcm"}, "loud": {"chip.profile": "pcm", "data.batch": 10}}}}
    )
    (axis,) = axes_of_section(section, 0)
    assert [place.label for place in axis.places] == ["quiet", "loud"]
    assert axis.paths == {"chip.profile", "data.batch"}
    assert axis.shared  # one place sets something of the data
    assert axis.path is None


def test_two_axes_cannot_set_the_same() -> None:
    section = Sweep.model_validate({"axes": {"seed": [1, 2], "both": {"a": {"seed": 3}}}})
    with pytest.raises(ScenarioError, match="seed and both both set seed"):
        axes_of_section(section, 0)


def test_repeats_count_from_the_scenarios_seed() -> None:
    (axis,) = axes_of_section(Sweep(seeds=3), 7)
    assert axis.values == [7, 8, 9]
    with pytest.raises(ScenarioError, match="repeats count from one seed"):
        axes_of_section(Sweep(seeds=3), {"each": [1, 2]})


RANGES = {
    "noise": {"from": "0.1 %", "to": "10 %", "scale": "log"},
    "bits": {"from": 4, "to": 8, "integer": True},
    "rate": {"from": 0.0, "to": 1.0},
}


@given(points=st.integers(2, 40), seed=st.integers(0, 10_000))
def test_a_latin_hypercube_has_one_point_in_each_part_of_each_range(points: int, seed: int) -> None:
    drawn = sampled(Sample.model_validate({"points": points, "seed": seed, "ranges": RANGES}))
    rates = [point["rate"] for point in drawn]
    slack = 1e-3 / points  # of four digits
    assert all(
        place / points - slack <= rate <= (place + 1) / points + slack for place, rate in enumerate(sorted(rates))
    )
    logs = sorted(math.log10(float(point["noise"].split()[0])) for point in drawn)
    assert all(place / points * 2 - 1.001 <= log <= (place + 1) / points * 2 - 0.999 for place, log in enumerate(logs))
    assert {point["bits"] for point in drawn} <= {4, 5, 6, 7, 8}
    if points >= 10:  # each fifth then holds a whole part
        assert len({point["bits"] for point in drawn}) == 5


def test_random_points_are_others_than_those_of_a_hypercube_and_repeat() -> None:
    def draw(method: str) -> list[dict[str, object]]:
        return sampled(Sample.model_validate({"method": method, "points": 20, "ranges": RANGES}))

    assert draw("random") == draw("random")
    parts = {int(20 * float(point["rate"])) for point in draw("random")}  # type: ignore[arg-type]
    assert len(parts) < 20  # 20 independent points fall into 20 parts, one each, in 2e-8 of all samples
    assert draw("latin_hypercube") != draw("random")


@pytest.mark.parametrize(
    "given_range",
    [{"from": 2, "to": 1}, {"from": 0, "to": 1, "scale": "log"}, {"from": "1 %", "to": "1 us"}, {"from": "x", "to": 1}],
)
def test_ranges_that_are_none(given_range: dict[str, object]) -> None:
    with pytest.raises(ScenarioError, match=r"^sweep\.sample\.ranges\.x: "):
        sampled(Sample.model_validate({"points": 2, "ranges": {"x": given_range}}))
