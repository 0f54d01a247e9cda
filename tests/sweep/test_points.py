"""The points of a study: those that some arm has a job at, no more and no fewer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analogsim.errors import ScenarioError
from analogsim.study.population import lay_out, size
from analogsim.study.schema import Scenario
from analogsim.sweep.axes import Place, PlannedAxis
from analogsim.sweep.points import combined

BITS = "chip.overrides.adc.bits"
TWO = {  # axes of two single arms, and one of both
    "arms.danp.samples": [1, 2, 4],
    BITS: [4, 8],
    "arms.bp.optimizer": [{"sgd": {"lr": 0.1}}, {"sgd": {"lr": 0.2}}, {"sgd": {"lr": 0.3}}],
}


def axis(number: int, arm: str | None, places: int) -> PlannedAxis:
    path = f"arms.{arm}.x{number}" if arm else f"x{number}"
    return PlannedAxis(path, tuple(Place(str(place), {path: place}) for place in range(places)), path)


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(1, 3)), max_size=6))
def test_points_are_those_of_the_grid_that_give_an_arm_another_place(asked: list[tuple[str | None, int]]) -> None:
    axes = [axis(number, arm, places) for number, (arm, places) in enumerate(asked)]
    seen: set[Any] = set()
    expected = []
    for places in itertools.product(*(each.places for each in axes)):
        own = {
            (arm, tuple(place.label for each, place in zip(axes, places, strict=True) if each.arm in (None, arm)))
            for arm in ("a", "b", "c", "d")
        }
        if not own <= seen:
            expected.append(places)
        seen |= own
    assert list(combined(axes)) == expected


def test_axes_of_single_arms_add_up_and_do_not_multiply(studies: Any) -> None:
    draft = studies.plan({"axes": TWO})
    assert len(draft.points) == 2 * (1 + 2 + 2)
    jobs = draft.plan.jobs
    assert [job.id for job in jobs] == [f"{number:05d}-{job.arm}" for number, job in enumerate(jobs)]
    assert {job.scenario for job in jobs} == set(draft.points)
    danp = [(job.place["arms.danp.samples"], job.place[BITS]) for job in jobs if job.arm == "danp"]
    assert danp == list(itertools.product("124", "48"))
    assert sum(job.arm == "bp" for job in jobs) == 3 * 2
    for job in jobs:
        scenario = draft.points[job.scenario]
        assert str(scenario.chip.profile["adc"]["bits"]) == job.place[BITS]
        if job.arm == "danp":
            assert str(scenario.arms["danp"].build_rule().samples) == job.place["arms.danp.samples"]
        else:
            assert str(scenario.arms["bp"].optimizer.lr) in job.place["arms.bp.optimizer"]


def test_many_axes_of_single_arms_are_a_sum(studies: Any) -> None:
    names = [f"np_{number}" for number in range(5)]
    arms = ", ".join(f"{name}: {{rule: np}}" for name in names)
    draft = studies.plan({"axes": {f"arms.{name}.sigma": [0.1, 0.3, 1.0] for name in names}}, f"arms={{{arms}}}")
    assert len(draft.points) == 1 + 5 * 2  # of 3**5
    assert len(draft.plan.jobs) == 5 * 3


def test_a_fault_at_a_place_of_any_arm_is_found(studies: Any) -> None:
    axes = {**TWO, "arms.bp.optimizer": [{"sgd": {"lr": 0.1}}, {"nosuch": {}}]}
    with pytest.raises(ScenarioError, match=r"(?s)at arms\.danp\.samples=1, .*bp\.optimizer=.*nosuch.* cannot be used"):
        studies.plan({"axes": axes})


def test_folded_axes_of_single_arms_are_no_points(studies: Any) -> None:
    axes = {
        "arms.bp.optimizer.adam.lr": [1e-3, 3e-3],
        "arms.danp.samples": [1, 2],
        "arms.bp.weight_decay": [0.1, 0.2],
        "arms.danp.optimizer.adam.lr": [1e-3, 3e-3, 1e-2],
    }
    draft = studies.plan({"axes": axes})
    folded = ["arms.bp.optimizer.adam.lr", "arms.danp.optimizer.adam.lr"]
    assert [axis.name for axis in draft.plan.axes if axis.coordinate] == folded
    assert len(draft.points) == 3
    assert [(job.arm, job.place, job.chips) for job in draft.plan.jobs] == [
        ("danp", {"arms.danp.samples": "1"}, 6),
        ("bp", {"arms.bp.weight_decay": "0.1"}, 4),
        ("bp", {"arms.bp.weight_decay": "0.2"}, 4),
        ("danp", {"arms.danp.samples": "2"}, 6),
    ]


def test_references_are_at_the_places_of_shared_axes(studies: Any) -> None:
    axes = {**TWO, studies.noise: ["0 %", "3 %"], "network.layers": [[8, 10], [16, 10]]}
    draft = studies.plan({"axes": axes, "noise": studies.noise})
    references = [job for job in draft.plan.jobs if job.reference]
    assert [job.place for job in references] == [{"network.layers": "[8, 10]"}, {"network.layers": "[16, 10]"}]
    first, second = (draft.points[job.scenario].network for job in references)
    assert first != second
    assert len(draft.points) == 2 + 2 * 2 * (1 + 2 + 2)


def test_a_sampled_point_that_is_drawn_twice_is_one_point(studies: Any) -> None:
    ranges = {BITS: {"from": 4, "to": 5, "integer": True}}
    draft = studies.plan({"sample": {"points": 6, "ranges": ranges}})
    assert list(draft.points) == ["0000", "0001"]
    assert [(job.arm, job.scenario) for job in draft.plan.jobs] == [
        (arm, point) for point in ("0000", "0001") for arm in ("danp", "bp")
    ]
    assert draft.plan.notes == ("2 sampled points, jobs of their own",)


def test_populations_keep_to_their_limit_at_every_point(studies: Any) -> None:
    axes = {"chip.population": [2, 40], studies.noise: ["0 %", "3 %"]}
    plan = studies.plan({"axes": axes, "noise": studies.noise, "seeds": 3}).plan
    assert {job.chips for job in plan.jobs} == {2, 40}
    assert not any(axis.coordinate for axis in plan.axes)
    assert plan.notes[:2] == (
        f"{studies.noise} is not folded: at chip.population=40 it would make a population of 80 chips, and "
        "chips_per_job allows 64",
        "seed is not folded: at chip.population=40 it would make a population of 120 chips, and "
        "chips_per_job allows 64",
    )


def test_the_noise_axis_stays_folded_where_repeats_do_not_fit(studies: Any) -> None:
    axes = {"chip.population": [2, 20], studies.noise: ["0 %", "1 %", "3 %"]}
    plan = studies.plan({"axes": axes, "noise": studies.noise, "seeds": 2}).plan
    assert [axis.name for axis in plan.axes if axis.coordinate] == [studies.noise]
    assert {job.chips for job in plan.jobs if not job.reference} == {6, 60}
    assert "at chip.population=20 it would make a population of 120 chips" in plan.notes[0]


def test_an_axis_of_one_arm_fills_that_arms_populations_alone(studies: Any) -> None:
    rates = "arms.danp.optimizer.adam.lr"
    axes = {"chip.population": [2, 20], rates: [1e-3, 3e-3], studies.noise: ["0 %", "3 %"]}
    plan = studies.plan({"axes": axes, "noise": studies.noise, "seeds": 1, "chips_per_job": 40}).plan
    assert [axis.name for axis in plan.axes if axis.coordinate] == [studies.noise]
    assert plan.notes[0].startswith(f"{rates} is not folded: at chip.population=20 it would make a population of 80")
    plan = studies.plan({"axes": axes, "fold": [rates], "chips_per_job": 40}).plan
    assert {(job.arm, job.chips) for job in plan.jobs} == {("danp", 4), ("danp", 40), ("bp", 2), ("bp", 20)}


@pytest.mark.parametrize(
    ("population", "rates", "folded"),
    [
        ([2, 10], [0.1, 0.3], ["arms.danp.optimizer.adam.lr", "seed"]),  # 60 chips of each arm
        ([2, 4], [round(0.01 * n, 2) for n in range(1, 21)], ["arms.danp.optimizer.adam.lr"]),  # bp: 80 by itself
    ],
)
def test_an_axis_of_one_arm_says_nothing_of_the_populations_of_others(
    population: list[int], rates: list[float], folded: list[str], studies: Any
) -> None:
    own = f"arms.bp.optimizer={{adam: {{lr: {{each: {rates}}}}}}}"
    axes = {"chip.population": population, "arms.danp.optimizer.adam.lr": [1e-3, 3e-3]}
    seeds = 3 if "seed" in folded else 1
    plan = studies.plan({"axes": axes, "seeds": seeds}, own).plan
    assert [axis.name for axis in plan.axes if axis.coordinate and axis.name != "lr"] == folded


def test_a_chip_that_is_not_there_is_refused_at_every_point(studies: Any) -> None:
    with pytest.raises(ScenarioError, match=r"chip\.only: there is no chip 3 in a population of 2"):
        studies.plan({"axes": {"chip.population": [4, 2]}}, "chip.only=[3]")


def test_sizes_are_those_of_populations_laid_out(studies: Any) -> None:
    draft = studies.plan({"axes": studies.axes, "noise": studies.noise, "seeds": 3}, "chip.only=[1]")
    for scenario in draft.points.values():
        assert isinstance(scenario, Scenario)
        for arm in scenario.arms.values():
            assert size(scenario, arm) == len(lay_out(scenario, arm).ids)
