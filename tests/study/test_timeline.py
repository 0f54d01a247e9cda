"""Timelines without chips: what happens when, in which order, and where it ends."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np
import pytest
import simpy
from pydantic import TypeAdapter

from analogsim.clock import TICKS, Server, SharedChip, ticks
from analogsim.errors import RunError
from analogsim.study.condition import Condition
from analogsim.study.timeline import Seen, Timeline
from analogsim.study.timeline_faults import timeline_faults
from analogsim.study.timeline_section import Evaluate, SelfTest, Traffic, lives_apart
from analogsim.study.timeline_section import Timeline as Events

EVENTS: TypeAdapter[Any] = TypeAdapter(Events)
BUSY = {"self_test": 5.0, "compensate": 2.0, "reprogram": 50.0}


class Recorder:
    """A body without chips: writes down what happens, and measures what it is told."""

    step_time = 1.0

    def __init__(self, accuracies: list[float]) -> None:
        self.done_at: list[tuple[float, str]] = []
        self.steps, self._accuracies = 0, accuracies

    def learn(self) -> None:
        self.steps += 1

    def busy(self, event: Any) -> float:
        return BUSY.get(event.do, 0.0)

    def act(self, event: Any) -> Seen | None:
        if not isinstance(event, Evaluate | SelfTest):
            return None
        value = self._accuracies.pop(0) if self._accuracies else 1.0
        return Seen((value,), (0.0,))

    def done(self, event: Any, seconds: float, seen: Seen | None = None) -> dict[str, float]:
        self.done_at.append((seconds, event.do))
        name = "accuracy" if isinstance(event, Evaluate) else "self_test"
        return {} if seen is None else {name: seen.accuracy[0] or 0.0}

    def serve(self, event: Traffic, environment: simpy.Environment, chip: SharedChip) -> Server:
        times = takewhile(lambda time: time <= event.time, event.arrivals.times(np.random.default_rng(0)))
        begin = environment.now
        return Server(environment, (begin + ticks(t) for t in times), TICKS // 4, TICKS, event.priority, chip)

    def served(self, event: Traffic, seconds: float, server: Server) -> None:
        self.done_at.append((seconds, f"traffic of {len(server.latencies)}"))


def exhaust(timeline: Timeline, most: int = 10_000) -> None:
    while not timeline.over:
        timeline.turn()
        assert timeline.turns < most


def lived(
    *own: dict[str, Any],
    common: tuple[dict[str, Any], ...] = (),
    accuracies: tuple[float, ...] = (),
    begin: float = 0.0,
    most: int = 10_000,
) -> Recorder:
    body = Recorder(list(accuracies))
    events = [EVENTS.validate_python(list(each)) for each in (common, own)]
    timeline = Timeline(*events, body, simpy.Environment(ticks(begin)))
    exhaust(timeline, most)
    return body


def test_events_without_times_follow_each_other() -> None:
    body = lived({"do": "train", "steps": 3}, {"do": "idle", "time": "1 min"}, {"do": "self_test"}, {"do": "evaluate"})
    assert body.done_at == [(3.0, "train"), (65.0 + 3.0, "self_test"), (68.0, "evaluate")]
    assert body.steps == 3


@pytest.mark.parametrize("begin", [0.0, 12.5])
def test_times_count_from_the_beginning_of_the_timeline(begin: float) -> None:
    body = lived({"do": "evaluate", "at": ["0 s", "1 s", "1 h"]}, {"do": "compensate", "at": "10 s"}, begin=begin)
    assert body.done_at == [(0.0, "evaluate"), (1.0, "evaluate"), (12.0, "compensate"), (3600.0, "evaluate")]


def test_recurring_events_end_with_the_others_or_at_their_own_time() -> None:
    body = lived({"do": "compensate", "every": "10 s"}, {"do": "evaluate", "at": "35 s"})
    assert [s for s, do in body.done_at if do == "compensate"] == [12.0, 22.0, 32.0]
    body = lived({"do": "compensate", "every": "10 s", "since": "5 s", "until": "25 s"})
    assert body.done_at == [(7.0, "compensate"), (17.0, "compensate"), (27.0, "compensate")]


def test_a_time_that_is_missed_is_left_out() -> None:
    # 50 s of work every 20 s: begun at 20, next possible time 80 (70 is past 40 and 60).
    body = lived({"do": "reprogram", "every": "20 s", "until": "150 s"})
    assert body.done_at == [(70.0, "reprogram"), (130.0, "reprogram"), (190.0, "reprogram")]


def test_who_looks_at_the_same_time_comes_first() -> None:
    again = {"every": "10 s", "until": "30 s"}
    body = lived({"do": "evaluate", **again}, common=({"do": "temperature", "to": "310 K", **again},))
    assert body.done_at == [(s, do) for s in (10.0, 20.0, 30.0) for do in ("evaluate", "temperature")]


def test_a_condition_is_looked_at_after_each_measurement() -> None:
    body = lived(
        {"do": "train", "steps": 2, "when": "accuracy < 90 %"},
        common=({"do": "evaluate", "at": ["10 s", "20 s", "30 s", "40 s"]},),
        accuracies=(0.95, 0.89, 0.9, 0.2),
    )
    # What the last measurement brings about is done, too.
    assert [each for each in body.done_at if each[1] == "train"] == [(22.0, "train"), (42.0, "train")]
    assert body.steps == 4


def test_a_condition_hears_what_is_measured_at_the_very_beginning() -> None:
    body = lived({"do": "evaluate"}, {"do": "train", "steps": 1, "when": "accuracy < 1"}, accuracies=(0.5,))
    assert body.done_at == [(0.0, "evaluate"), (1.0, "train")]


def test_what_recurs_without_an_end_stops_with_the_rest() -> None:
    body = lived({"do": "train", "steps": 1, "every": "1 s"}, {"do": "evaluate", "at": "2.5 s"})
    assert body.done_at == [(2.0, "train"), (2.5, "evaluate")], "the second step, of 1 s, began at 2 s"
    assert body.steps == 2
    requests = {"do": "traffic", "periodic": "1 s", "time": "30 s", "every": "20 s"}
    body = lived(requests, {"do": "evaluate", "at": "50 s"})
    assert len([1 for _, kind in body.done_at if kind.startswith("traffic")]) == 2


def test_events_that_bring_about_each_other_for_ever_are_told() -> None:
    with pytest.raises(RunError, match="10000 events at one moment, 1 s: events on conditions"):
        lived(
            {"do": "calibrate", "when": "accuracy < 2 %", "then": [{"do": "evaluate"}]},
            {"do": "calibrate", "when": "accuracy < 3 %", "then": [{"do": "evaluate"}]},
            common=({"do": "evaluate", "at": "1 s"},),
            accuracies=(0.0,) * 20_000,
            most=200_000,
        )


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_what_goes_wrong_in_an_event_is_told_at_once(at: int) -> None:
    class BrokenError(BaseException):
        pass

    class Breaking(Recorder):
        def act(self, event: Any) -> Seen | None:
            self.steps += 1
            if self.steps == at:
                raise BrokenError
            return super().act(event)

    body = Breaking([])
    events = [{"do": "evaluate", "at": ["0 s", "1 s"]}, {"do": "evaluate", "at": ["0 s", "1 s"]}]
    timeline = Timeline(EVENTS.validate_python(events), (), body, simpy.Environment(0))
    with pytest.raises(BrokenError):
        exhaust(timeline)
    assert body.steps == at


def test_recurrences_do_not_drift() -> None:
    body = lived({"do": "evaluate", "every": "0.1 s", "until": "0.7 s"})
    assert [seconds for seconds, _ in body.done_at] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_what_comes_from_outside_waits_for_nobody() -> None:
    body = lived({"do": "reprogram", "at": "0 s"}, {"do": "temperature", "to": "330 K", "at": "1 s"})
    assert body.done_at == [(1.0, "temperature"), (50.0, "reprogram")]


def test_what_follows_at_once() -> None:
    body = lived({"do": "train", "steps": 2, "every": "10 s", "until": "20 s", "then": [{"do": "evaluate"}]})
    assert body.done_at == [(12.0, "train"), (12.0, "evaluate"), (22.0, "train"), (22.0, "evaluate")]


def test_the_chip_does_one_thing_at_a_time() -> None:
    body = lived({"do": "reprogram", "at": "0 s"}, {"do": "self_test", "at": "1 s"}, {"do": "evaluate", "at": "2 s"})
    assert body.done_at == [(2.0, "evaluate"), (50.0, "reprogram"), (55.0, "self_test")]


def test_traffic_goes_on_beside_and_is_waited_for() -> None:
    body = lived({"do": "traffic", "periodic": "2 s", "time": "30 s"}, {"do": "train", "steps": 4})
    # Steps of 1 s go on until 2 s, when a request waits: served first, for 0.25 s; so again at 4.25 s.
    assert body.done_at == [(4.25, "train"), (30.25, "traffic of 15")]


def test_conditions() -> None:
    condition = Condition.parse(" self_test >= 12.5 % ")
    assert condition == ("self_test", ">=", 0.125)
    assert condition.holds(0.125) and not condition.holds(0.124)
    assert Condition.parse(str(condition)) == condition
    nan = float("nan")
    assert Condition.parse("accuracy < 0.5").holds(nan) and not Condition.parse("accuracy > 0.5").holds(nan)
    assert Condition.parse("loss > 0.5").holds(nan) and not Condition.parse("loss < 0.5").holds(nan)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"do": "nap"}, "does not match any of the expected tags"),
        ({"do": "evaluate", "at": "-1 s"}, "must not be below 0 s"),
        ({"do": "evaluate", "at": ["2 s", "1 s"]}, "must rise"),
        ({"do": "evaluate", "every": "0 s"}, "must be above 0 s"),
        ({"do": "evaluate", "at": "1 s", "every": "1 s"}, "at and every: an event has one of them"),
        ({"do": "evaluate", "until": "1 s"}, "until: of events that recur"),
        ({"do": "evaluate", "every": "10 s", "until": "5 s"}, "lies before the first time, 10 s"),
        ({"do": "idle", "time": "1 s", "at": "1 s"}, "so it takes no at, every or when"),
        ({"do": "train", "steps": 0}, "greater than 0"),
        ({"do": "train", "steps": 1, "when": "accuracy"}, "not a condition"),
        ({"do": "train", "steps": 1, "when": "accuracy < 90"}, "accuracy is a share, from 0 to 1 or in percent"),
        ({"do": "evaluate", "at": []}, "an empty list of times"),
        ({"do": "fault", "faults": {"stuck_low": {"each": ["1 %"]}}}, "stuck_low: strikes all chips alike"),
        ({"do": "train", "steps": 1, "when": "accurcy < 1"}, "no metric is called 'accurcy'"),
        ({"do": "train", "steps": 1, "when": "accuracy < 1e"}, "is not a finite number"),
        ({"do": "evaluate", "at": "1 s", "then": [{"do": "evaluate", "at": "2 s"}]}, "follow at once"),
        ({"do": "traffic", "time": "1 s"}, "give one of poisson, periodic and trace"),
        ({"do": "traffic", "time": "1 day", "poisson": "1 MHz"}, "at most 1e\\+07"),
        ({"do": "traffic", "time": "1 s", "trace": ["2 s", "1 s"]}, "must not fall"),
        ({"do": "fault", "faults": {"stuck_low": "120 %"}, "at": "1 s"}, "must not be above 100 %"),
    ],
)
def test_events_that_cannot_be(event: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EVENTS.validate_python([event])


def test_timelines_that_cannot_be() -> None:
    def told(*events: dict[str, Any], learns: bool = True) -> list[str]:
        return list(timeline_faults((), EVENTS.validate_python(list(events)), "arms.a.timeline", learns))

    training = {"do": "train", "steps": 1, "when": "self_test < 0.9"}
    (fault,) = told(training, {"do": "evaluate", "at": "1 s"})
    assert fault.startswith("arms.a.timeline.0.when: nobody measures self_test (got self_test < 0.9)")
    assert not told(training, {"do": "self_test", "at": "1 s"})
    assert not told(training, {"do": "evaluate", "at": "1 s", "then": [{"do": "self_test"}]})
    (fault,) = told({"do": "compensate", "every": "1 day"})
    assert fault.startswith("arms.a.timeline: has no end")
    (fault,) = told({"do": "train", "steps": 1}, learns=False)
    assert fault.startswith("arms.a.timeline.0: the last stage of arm a is {rule: none}, so nobody is there to train")
    assert not told()


def test_chips_live_apart_where_they_decide() -> None:
    events = EVENTS.validate_python([{"do": "evaluate", "at": "1 s"}])
    assert not lives_apart(events)
    assert lives_apart((*events, *EVENTS.validate_python([{"do": "compensate", "when": "accuracy < 0.5"}])))
