"""Whether the jobs of a plan can run, on their data: judged before there is a folder."""

from __future__ import annotations

from analogsim.errors import DataError, ScenarioError
from analogsim.study.check import check
from analogsim.study.run import load_data
from analogsim.study.scenario import only_arms
from analogsim.study.schema import Scenario
from analogsim.sweep.job import name_of_data
from analogsim.sweep.planning import Draft

_SHOWN = 5  # points that cannot run


def require_feasible(draft: Draft) -> None:
    """That each job of a plan can run: its network fits the data, and its arm asks for no more than its chip grants.

    Each data set is loaded once and let go before the next.

    Args:
        draft: of the study.

    Raises:
        ScenarioError: points cannot be run; their places and faults are in the message.
        DataError: data files are missing or damaged.
    """
    arms: dict[str, list[str]] = {}
    for job in draft.plan.jobs:
        arms.setdefault(job.scenario, []).append(job.arm)
    points: dict[str, list[tuple[str, Scenario]]] = {}
    for name, scenario in draft.points.items():
        if isinstance(scenario, Scenario):
            points.setdefault(name_of_data(scenario), []).append((name, scenario))
    told: list[str] = []
    missing: DataError | None = None
    for alike in points.values():
        first, scenario = alike[0]
        try:
            data = load_data(scenario, draft.where[first])
        except ScenarioError as error:
            told.append(str(error))
            continue
        except DataError as error:  # told if all that can be judged is in order
            missing = missing or error
            continue
        for name, scenario in alike:
            own = scenario if len(arms[name]) == len(scenario.arms) else only_arms(scenario, arms[name])
            assert isinstance(own, Scenario)
            try:
                check(own, data, draft.where[name])
            except ScenarioError as error:
                told.append(str(error))
        del data
    if told:
        more = len(told) - _SHOWN
        raise ScenarioError("\n".join([*told[:_SHOWN], *([f"and {more} more such messages"] if more > 0 else [])]))
    if missing is not None:
        raise missing
