"""Whether jobs can run on their data: judged at every point, before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from analogsim.errors import DataError, ScenarioError
from analogsim.study.scenario import read_scenario
from analogsim.sweep import feasible
from analogsim.sweep.feasible import require_feasible
from analogsim.sweep.planning import make_plan

BP = [["output_error", "transposed_read"], ["transposed_read"]]


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        (
            {"network.layers": [[8, 10], [8, 9]]},
            r"at network\.layers=\[8, 9\] cannot be run:\n  - network\.layers: the last layer must have the 10 outputs",
        ),
        (
            {"chip.grants": [["activities", "loss", "injection"], ["loss"]]},
            r"at chip\.grants=\[\"loss\"\] cannot be ru",
        ),
        ({"data.batch": [100, 500]}, r"at data\.batch=500 cannot be run:\n  - data\.batch: must not be above the 400"),
        ({"data.pool": [2, 3]}, r"at data\.pool=3 cannot be run: data\.pool: "),
        (
            {"arms.danp.samples": [1, 2], "arms.bp.oracle": BP},
            r"at arms\.danp\.samples=1, arms\.bp\.oracle=\[\"transposed_read\"\] cannot be run:\n  - arms\.bp: ",
        ),
    ],
)
def test_a_point_that_cannot_run_refuses_the_study(axes: dict[str, Any], told: str, studies: Any) -> None:
    draft = studies.plan({"axes": axes})
    with pytest.raises(ScenarioError, match=f"^scenario quickstart {told}"):
        require_feasible(draft)


def test_all_points_that_cannot_run_are_told_and_of_many_the_first(studies: Any) -> None:
    batches = [100, *range(401, 408)]
    with pytest.raises(ScenarioError) as caught:
        require_feasible(studies.plan({"axes": {"data.batch": batches, "data.pool": [2, 3]}}))
    told = str(caught.value).splitlines()
    at = [line for line in told if line.startswith("scenario quickstart at data.batch=")]
    assert [line.split()[3] for line in at] == [f"data.batch={batch}," for batch in batches[1:6]]
    assert (
        told[-1] == "and 3 more such messages"
    )  # the two batches left, and the pool of 3, whose points share one message


def test_a_missing_data_set_does_not_hide_what_cannot_run(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load = feasible.load_data

    def some(scenario: Any, where: str) -> Any:
        if scenario.data.samples == 300:
            raise DataError("gone")
        return load(scenario, where)

    monkeypatch.setattr(feasible, "load_data", some)
    with pytest.raises(DataError, match="gone"):
        require_feasible(studies.plan({"axes": {"data.samples": [300, 400]}}))
    for samples in ([300, 400], [400, 300]):
        with pytest.raises(ScenarioError, match=r"data\.samples=400, data\.batch=401 cannot be run"):
            require_feasible(studies.plan({"axes": {"data.samples": samples, "data.batch": [100, 401]}}))


def test_a_reference_that_cannot_run_refuses_the_study(studies: Any) -> None:
    more = {"axes": studies.axes, "noise": studies.noise, "reference": {"oracle": []}}
    with pytest.raises(
        ScenarioError, match=r"^scenario quickstart: sweep\.reference cannot be run:\n  - arms\.reference"
    ):
        require_feasible(studies.plan(more))


def test_an_arm_is_judged_at_the_points_that_it_has_a_job_at(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[tuple[str, ...]] = []
    monkeypatch.setattr(feasible, "check", lambda scenario, data, where: judged.append(tuple(scenario.arms)))
    require_feasible(studies.plan({"axes": {"arms.danp.samples": [1, 2]}}))
    assert judged == [("danp", "bp"), ("danp",)]


def test_each_data_set_is_loaded_once(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int | None] = []
    load = feasible.load_data

    def counted(scenario: Any, where: str) -> Any:
        loaded.append(scenario.data.samples)
        return load(scenario, where)

    monkeypatch.setattr(feasible, "load_data", counted)
    axes = {"data.batch": [50, 100], "data.loss": ["cross_entropy", "squared"], "data.samples": [200, 400]}
    require_feasible(studies.plan({"axes": axes}))
    assert loaded == [200, 400]


def test_a_student_and_its_teacher_need_no_data() -> None:
    data = read_scenario("papers/hiratani-fig3d", quick=True)
    require_feasible(make_plan(*data, {"axes": {"student_teacher.noise": [0.1, 0.3]}}))
