"""Plans: points, what folds into populations, references, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from analogsim.errors import ScenarioError
from analogsim.outcomes import Drawn
from analogsim.study.kinds import AnyScenario
from analogsim.study.packaged import scenario_names
from analogsim.study.scenario import read_scenario
from analogsim.study.schema import Scenario
from analogsim.sweep.planning import make_plan

NOISE = "chip.overrides.read_noise.sigma"


def of_chips(scenario: AnyScenario) -> Scenario:
    assert isinstance(scenario, Scenario)
    return scenario


def axis(plan: Any, name: str) -> Any:
    return next(axis for axis in plan.axes if axis.name == name)


def test_what_populations_can_hold_is_folded_and_said(studies: Any) -> None:
    plan = studies.plan({"axes": studies.axes, "noise": studies.noise, "seeds": 3}).plan
    noise, bits, seed = axis(plan, studies.noise), axis(plan, "chip.overrides.adc.bits"), axis(plan, "seed")
    assert (noise.kind, noise.coordinate, noise.coordinates) == (
        "noise",
        "chip.profile.read_noise.0.sigma",
        ("0 %", "3 %"),
    )
    assert (noise.numbers, noise.unit) == ((0.0, 3.0), "%")
    assert (bits.kind, bits.coordinate) == ("setting", None)
    assert (seed.kind, seed.coordinate, seed.shared) == ("seed", "seed", True)
    assert plan.notes[:3] == (
        "adc bits: 2 places, jobs of their own",
        "read noise sigma: 2 places folded into populations",
        "seed: 3 places folded into populations",
    )
    trained = [job for job in plan.jobs if not job.reference]
    assert [(job.arm, job.place, job.chips) for job in trained] == [
        (arm, {"chip.overrides.adc.bits": bits}, 12) for bits in ("4", "8") for arm in ("danp", "bp")
    ]
    assert len({job.id for job in plan.jobs}) == len(plan.jobs)


def test_an_axis_of_one_place_makes_no_jobs(studies: Any) -> None:
    plan = studies.plan({"axes": {**studies.axes, "chip.overrides.adc.bits": [8]}}).plan
    assert plan.notes[0] == "adc bits: 1 place for all jobs"
    assert len(plan.jobs) == 2


@pytest.mark.parametrize("fold", ["all", "none"])
def test_an_axis_of_drift_without_time_is_told_beforehand(studies: Any, fold: str) -> None:
    section = {"axes": {"chip.overrides.drift.scale": [1, 2]}, "fold": fold}
    told = [note for note in studies.plan(section, "chip.profile=pcm").plan.notes if "no time passes" in note]
    assert len(told) == 1
    assert "drift.scale: drift does nothing here" in told[0]
    with_time = {"axes": {"train.step_time": ["0 s", "1 s"], **section["axes"]}, "fold": fold}
    for more in (with_time, {"axes": {"chip.overrides.drift.scale": [2], "chip.tile": [16, 32]}, "fold": fold}):
        assert "no time passes" not in str(studies.plan(more, "chip.profile=pcm").plan.notes)
    for passes in ("train.step_time=1 s", "timeline=[{do: idle, time: 1 day}, {do: evaluate}]"):
        assert "no time passes" not in str(studies.plan(section, "chip.profile=pcm", passes).plan.notes)


def test_nothing_is_folded_where_one_says_so(studies: Any) -> None:
    plan = studies.plan({"axes": studies.axes, "fold": "none"}).plan
    assert all(axis.coordinate is None for axis in plan.axes)
    assert len(plan.jobs) == 8
    assert {job.chips for job in plan.jobs} == {2}


def test_only_what_is_named_is_folded(studies: Any) -> None:
    plan = studies.plan({"axes": studies.axes, "seeds": 2, "fold": ["seed"]}).plan
    assert [axis.name for axis in plan.axes if axis.coordinate] == ["seed"]


def test_no_population_grows_beyond_its_limit_and_the_noise_axis_comes_first(studies: Any) -> None:
    plan = studies.plan({"axes": studies.axes, "noise": studies.noise, "seeds": 3, "chips_per_job": 4}).plan
    assert [axis.name for axis in plan.axes if axis.coordinate] == [studies.noise]
    assert {job.chips for job in plan.jobs if not job.reference} == {4}


def test_an_axis_that_no_population_has_can_not_be_folded(studies: Any) -> None:
    with pytest.raises(ScenarioError, match=r"sweep\.fold: chip\.overrides\.adc\.bits cannot be an axis of a popul"):
        studies.plan({"axes": studies.axes, "fold": ["chip.overrides.adc.bits"]})
    with pytest.raises(ScenarioError, match=r"sweep\.fold: there is no axis x; there are chip\.overrides\.adc\.bits"):
        studies.plan({"axes": studies.axes, "fold": ["x"]})


def test_an_axis_that_folds_at_some_points_only_is_not_folded(studies: Any) -> None:
    how = {"shared": {}, "own": {"arms.danp.optimizer": {"sgd": {"lr": 0.1}}}}  # there danp has not the axis of rates
    plan = studies.plan(
        {"axes": {"how": how, "train.optimizer.adam.lr": [1e-3, 3e-3], studies.noise: ["0 %", "3 %"]}}
    ).plan
    assert [axis.name for axis in plan.axes if axis.coordinate] == [studies.noise]
    assert "train.optimizer.adam.lr is not folded: not every point can have it" in plan.notes[0]


def test_a_fault_at_one_point_is_told_of_that_point(studies: Any) -> None:
    kinds = {"known": {}, "unknown": {"chip.profile": "nosuch"}}
    with pytest.raises(ScenarioError, match=r"(?s)at kinds=unknown.*no profile is called 'nosuch'"):
        studies.plan({"axes": {"kinds": kinds, studies.noise: ["0 %", "3 %"]}})


def test_axes_of_the_scenario_itself_are_axes_of_the_study(studies: Any) -> None:
    plan = studies.plan(
        {"axes": {"chip.overrides.adc.bits": [4, 8]}, "noise": "read noise sigma"},
        "chip.overrides.read_noise.sigma={each: [0 %, 1 %, 3 %]}",
    ).plan
    noise = plan.noise
    assert noise is not None
    assert (noise.name, noise.places) == ("chip.profile.read_noise.0.sigma", ("0 %", "1 %", "3 %"))
    assert noise.coordinate == noise.name


def test_an_axis_of_one_arm_multiplies_that_arm_alone(studies: Any) -> None:
    draft = studies.plan({"axes": {"arms.danp.samples": [1, 2, 4]}})
    plan = draft.plan
    assert [(job.arm, job.place) for job in plan.jobs] == [
        ("danp", {"arms.danp.samples": "1"}),
        ("bp", {}),
        ("danp", {"arms.danp.samples": "2"}),
        ("danp", {"arms.danp.samples": "4"}),
    ]
    assert plan.settings == ()
    scenario = of_chips(draft.points[plan.jobs[3].scenario])
    assert scenario.arms["danp"].build_rule().samples == 4  # type: ignore[union-attr]


def test_learning_rates_fold_into_populations(studies: Any) -> None:
    plan = studies.plan({"axes": {"train.optimizer.adam.lr": [1e-3, 3e-3]}}).plan
    assert (plan.axes[0].coordinate, plan.axes[0].coordinates) == ("lr", ("0.001", "0.003"))


def test_rates_of_single_arms_are_axes_of_those_arms(studies: Any) -> None:
    axes = {f"arms.{arm}.optimizer.adam.lr": rates for arm, rates in (("danp", [1e-3, 3e-3]), ("bp", [1e-2, 3e-2]))}
    plan = studies.plan({"axes": axes}).plan
    assert [(axis.arm, axis.coordinate, axis.coordinates) for axis in plan.axes] == [
        ("danp", "lr", ("0.001", "0.003")),
        ("bp", "lr", ("0.01", "0.03")),
    ]
    assert {job.place == {} for job in plan.jobs} == {True}


def test_one_name_in_coordinates_is_not_two_axes(studies: Any) -> None:
    axes = {"train.optimizer.adam.lr": [1e-3, 3e-3], "arms.danp.optimizer.adam.lr": [1e-2, 3e-2]}
    plan = studies.plan({"axes": axes}).plan
    assert [axis.name for axis in plan.axes if axis.coordinate] == ["arms.danp.optimizer.adam.lr"]


def test_an_axis_that_one_arm_has_by_itself_is_that_arms(studies: Any) -> None:
    own = "arms.danp.optimizer={adam: {lr: {each: [1.0e-3, 3.0e-3]}}}"
    plan = studies.plan({"axes": {"chip.overrides.adc.bits": [4, 8]}}, own).plan
    assert [(axis.name, axis.arm) for axis in plan.axes] == [("chip.overrides.adc.bits", None), ("lr", "danp")]
    with pytest.raises(ScenarioError, match="arms danp, bp have axes lr with different places"):
        studies.plan(
            {"axes": {"chip.overrides.adc.bits": [4, 8]}}, own, "arms.bp.optimizer={adam: {lr: {each: [0.1, 0.3]}}}"
        )


def test_two_stages_that_learn_do_not_fold_rates(studies: Any) -> None:
    stages = "arms={two: [{rule: danp}, {rule: danp}]}"
    plan = studies.plan({"axes": {"train.optimizer.adam.lr": [1e-3, 3e-3]}}, stages).plan
    assert len(plan.jobs) == 2


@pytest.mark.parametrize(
    "name", [name for name in scenario_names() if "sweep" in (read_scenario(name)[0])], ids=lambda name: name
)
@pytest.mark.parametrize("quick", [False, True])
def test_packaged_studies_can_be_planned(name: str, quick: bool) -> None:
    assert make_plan(*read_scenario(name, quick=quick)).plan.jobs


def test_the_reference_is_backpropagation_on_ideal_chips_at_points_that_it_knows(studies: Any) -> None:
    axes = {**studies.axes, "network.layers": [[8, 10], [16, 10]]}
    draft = studies.plan({"axes": axes, "noise": studies.noise, "seeds": 2})
    references = [job for job in draft.plan.jobs if job.reference]
    assert [job.place for job in references] == [{"network.layers": "[8, 10]"}, {"network.layers": "[16, 10]"}]
    assert {job.chips for job in references} == {4}  # two chips of two seeds
    scenario = of_chips(draft.points[references[1].scenario])
    assert scenario.chip.mapping.range == "follow"
    assert isinstance(scenario.chip.profile, dict)
    assert scenario.chip.profile["name"] == "ideal"
    assert list(scenario.arms) == ["reference"]
    assert scenario.data == of_chips(draft.points["0000"]).data


@pytest.mark.parametrize(
    ("reference", "number"), [(None, 0), (True, 1), (False, 0), ({"optimizer": {"adam": {"lr": 0.01}}}, 1)]
)
def test_without_a_noise_axis_there_is_a_reference_on_request(reference: Any, number: int, studies: Any) -> None:
    draft = studies.plan({"axes": {"chip.overrides.adc.bits": [4, 8]}, "reference": reference})
    found = [job for job in draft.plan.jobs if job.reference]
    assert len(found) == number
    if isinstance(reference, dict):
        assert of_chips(draft.points[found[0].scenario]).arms["reference"].optimizer.lr == 0.01  # type: ignore[union-attr]


def test_a_sample_makes_points_and_not_their_product(studies: Any) -> None:
    ranges = {
        "chip.overrides.adc.bits": {"from": 4, "to": 8, "integer": True},
        studies.noise: {"from": "0 %", "to": "3 %"},
    }
    draft = studies.plan({"sample": {"points": 6, "ranges": ranges}, "seeds": 2})
    plan = draft.plan
    assert len(plan.jobs) == 12
    bits = axis(plan, "chip.overrides.adc.bits")
    assert bits.numbers == tuple(sorted(bits.numbers))
    assert bits.sampled == Drawn(method="latin_hypercube", low=4, high=8, scale="linear")
    assert axis(plan, studies.noise).sampled == Drawn(method="latin_hypercube", low=0, high=3, scale="linear")
    assert axis(plan, "seed").sampled is None
    assert [each.name for each in plan.sampled] == list(ranges)
    for job in plan.jobs:
        chip = of_chips(draft.points[job.scenario]).chip
        assert isinstance(chip.profile, dict)
        assert str(chip.profile["adc"]["bits"]) == job.place["chip.overrides.adc.bits"]
        assert chip.profile["read_noise"][0]["sigma"] == job.place[studies.noise]


def test_a_student_and_its_teacher_can_be_swept(studies: Any) -> None:
    data = read_scenario("papers/hiratani-fig3d", quick=True)
    plan = make_plan(*data, {"axes": {"student_teacher.noise": [0.1, 0.3]}}).plan
    assert len(plan.jobs) == 12
    assert not any(job.reference for job in plan.jobs)


def test_what_axes_are_called(studies: Any) -> None:
    called = {studies.noise: {"title": "noise of reads", "unit": "x"}, "seed": {"title": "wafer", "unit": "no."}}
    plan = studies.plan({"axes": studies.axes, "seeds": 2, "called": called}).plan
    assert [(axis.title, axis.unit) for axis in plan.axes] == [
        ("adc bits", ""),
        ("noise of reads", "%"),  # its places have one
        ("wafer", "no."),
    ]
    assert "noise of reads: 2 places folded into populations" in plan.notes


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"axes": {"chip.overrides.adc.bitz": [4]}}, r"at chip\.overrides\.adc\.bitz=4 cannot.*adc\.bitz: unknown key"),
        ({"axes": {"chip.profile": ["noisy", "nosy"]}}, r"at chip\.profile=nosy cannot.*no profile is called 'nosy'"),
        ({"axes": {"foo.bar": [1]}}, r"foo: unknown key"),
        ({"axes": {"chip.overrides.read_noise.sigma": ["1 %", "x"]}}, r"read_noise\.sigma=x cannot be used"),
        ({"axes": {"chip.tile": []}}, r"sweep\.axes\.chip\.tile: must not be empty"),
        ({"axes": {"chip.tile": [8, 8]}}, r"chip\.tile: names each place once"),
        ({"axes": {"chip.tile": 8}}, r"sweep\.axes\.chip\.tile"),
        ({"axes": {}, "seeds": 1}, "sweep: has no axis"),
        ({"axes": {"chip.tile": [8]}, "fol": "all"}, r"sweep\.fol: unknown key; is fold meant\?"),
        ({"axes": {"chip.tile": [8]}, "fold": "auto"}, r"sweep\.fold: not a known choice \(got 'auto'\); choose 'all'"),
        ({"axes": {"chip.tile": [8]}, "fold": [3]}, r"sweep\.fold\.0: must be text \(got 3\)"),
        ({"axes": {"chip.tile": [8, 4]}, "noise": "chip.tile"}, "must be ascending numbers"),
        ({"axes": {"chip.profile": ["noisy", "reram"]}, "noise": "chip.profile"}, "must be ascending numbers"),
        ({"axes": {"chip.tile": [8]}, "noise": "chip.tiles"}, r"there is no axis chip\.tiles; there are chip\.tile"),
        ({"axes": {"seed": [1, 2]}, "seeds": 2}, "repeats count from one seed"),
        (
            {"axes": {"chip.tile": [8]}, "called": {"tile": {"title": "x"}}},
            r"sweep\.called: there is no axis tile; there",
        ),
        ({"axes": {"arms.np.sigma": [1.0]}}, "rule"),
        ({"axes": {"chip.tile": [8, 8.0]}}, "names each place once"),
        ({"axes": {"chip.tile": [4, "4"]}}, "names each place once"),
        ({"axes": {"chip.overrides.read_noise.sigma": ["1 %", "1.0 %"]}}, "names each place once"),
        ({"axes": {"chip.overrides.adc.bits": [4, 8], "chip.overrides": [{}, {"adc": {"bits": 6}}]}}, "both set chip"),
        (
            {"axes": {"kind": {"a": {NOISE: {"each": ["0 %", "1 %"]}}, "b": {NOISE: {"each": ["3 %", "9 %"]}}}}},
            "at kind=b: its populations have other axes",
        ),
        (
            {
                "axes": {
                    "train": {"a": {"train.tune": {"lr": [0.1, 0.2], "validation": 50}}},
                    "train.optimizer.adam.lr": [1],
                }
            },
            "both set|searches learning rates, and an axis gives them",
        ),
        ({"axes": {"chip.tile": [8]}, "reference": {"rule": "nosuch"}}, r"sweep\.reference cannot be used.*nosuch"),
    ],
)
def test_studies_that_cannot_be(more: dict[str, Any], told: str, studies: Any) -> None:
    with pytest.raises(ScenarioError, match=rf"(?s){told}"):
        studies.plan(more)
