"""What the timelines of a scenario cannot be: by themselves, and with the data and the chips at hand."""

from __future__ import annotations

from collections.abc import Iterator

from analogsim.study.condition import MEASURED_BY
from analogsim.study.profiles import profiles_of
from analogsim.study.schema import Scenario
from analogsim.study.stages import stages_of
from analogsim.study.timeline_section import Event, SelfTest, Timeline, Traffic, Train
from analogsim.tasks import DataSet


def impossible_events(scenario: Scenario) -> Iterator[str]:
    """Faults of timelines that need no data to be seen."""
    for name, arm in scenario.arms.items():
        learns = stages_of(scenario, arm)[-1].learns
        yield from timeline_faults(scenario.timeline, arm.timeline, f"arms.{name}.timeline", learns)


def timeline_faults(common: Timeline, own: Timeline, where: str, learns: bool) -> Iterator[str]:
    """What an arm's timeline cannot be.

    Args:
        common: events of the scenario, which all arms share.
        own: those of the arm.
        where: path of the latter.
        learns: whether the arm's last stage has a rule.
    """
    every = [*_placed("timeline", common), *_placed(where, own)]
    measured = {each.do for _, event in every for each in (event, *event.then)}
    for place, event in every:
        condition = event.condition
        if condition is not None and MEASURED_BY[condition.metric] not in measured:
            yield (
                f"{place}.when: nobody measures {condition.metric} (got {event.when}); add an event "
                f"{{do: {MEASURED_BY[condition.metric]}, ...}} to the timeline"
            )
        idle = next((each.do for each in (event, *event.then) if each.do == "train"), None)
        if not learns and idle is not None:
            arm = where.split(".")[1]
            yield f"{place}: the last stage of arm {arm} is {{rule: none}}, so nobody is there to {idle}"
    if every and not any(_ends(event) for _, event in every):
        yield (
            f"{where if own else 'timeline'}: has no end, since its events only recur or wait; give one `until`, or "
            "add an event with a time, such as {do: evaluate, at: 1 year}"
        )


def _ends(event: Event) -> bool:
    """Whether it happens at times that are known, so that a timeline ends."""
    return event.until is not None or (event.every is None and event.when is None)


def unfit_events(scenario: Scenario, data: DataSet) -> Iterator[str]:
    """Events that the data, or the chips, do not allow."""
    every = list(_placed("timeline", scenario.timeline))
    for name, arm in scenario.arms.items():
        every += _placed(f"arms.{name}.timeline", arm.timeline)
        plan = stages_of(scenario, arm)[-1]
        if any(profile.costs is None for profile in profiles_of(plan.chip, scenario.network.depth)):
            own = [*_placed("timeline", scenario.timeline), *_placed(f"arms.{name}.timeline", arm.timeline)]
            yield from _unpriced(own, scenario.train.step_time)
    for where, event in every:
        asks = event.condition is not None and event.condition.metric != "loss"
        tests = [each for each in (event, *event.then) if isinstance(each, SelfTest)]
        if not data.classes and (asks or tests):
            yield f"{where}: asks for an accuracy, and in {scenario.data.set} there is none; use the loss"
        largest, held = max((each.samples for each in tests), default=0), len(data.train_inputs)
        if largest > held:
            yield (
                f"{where}.samples: must not be above the {held} training samples of {scenario.data.set} (got {largest})"
            )


def _unpriced(every: list[tuple[str, Event]], step_time: float) -> Iterator[str]:
    """Events that take a time which nobody knows."""
    for where, event in every:
        kinds = {type(each) for each in (event, *event.then)}
        if Train in kinds and not step_time:
            yield (
                f"{where}: nobody knows how long a learning step takes: give train.step_time, or a device profile with "
                "`costs`"
            )
        if Traffic in kinds:
            yield f"{where}: nobody knows how long a request takes: it needs a profile with `costs`"


def _placed(where: str, events: Timeline) -> Iterator[tuple[str, Event]]:
    """Events with their paths."""
    return ((f"{where}.{index}", event) for index, event in enumerate(events))
