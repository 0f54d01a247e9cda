"""Lives and costs in tables and figures, from results made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analogsim.report.cost import accuracy_for_cost, comparable, costs
from analogsim.report.lives import accuracy_over_time, duration, happened, looks
from analogsim.report.table import (
    cost_table,
    equal_table,
    inference_table,
    joules,
    lives_table,
    step_table,
    traffic_table,
)
from analogsim.results import ArmResult, Curve, Life, Moment, Requests, Result, Spent, StepPrice

DAY = 86400.0


def look(seconds: float, *accuracy: float, steps: int = 0, joules: float | None = None) -> Moment:
    spent = None if joules is None else (joules,) * len(accuracy)
    return Moment(
        seconds=seconds, event="evaluate", steps=steps, accuracy=accuracy, loss=(0.5,) * len(accuracy), joules=spent
    )


def event(seconds: float, kind: str, **more: Any) -> Moment:
    return Moment(seconds=seconds, event=kind, steps=0, **more)


@pytest.fixture
def lived(made) -> Result:
    """Chips that share a clock, and chips that live apart and have learned at other times."""
    together = Life(
        chips=(0, 1),
        moments=(look(0, 0.9, 0.8, joules=0.0), event(5.0, "fault"), look(DAY, 0.5, 0.4, joules=2e-3)),
    )
    apart = (
        Life(
            chips=(0,),
            moments=(look(0, 0.9), look(0, 0.1), look(3.0, 0.7), event(9.0, "train"), look(DAY, 0.9, steps=20)),
        ),
        Life(chips=(1,), moments=(look(0, 0.7), look(DAY, 0.7))),
    )
    arms = {"left": made.arm(({}, [0.9, 0.8]), lives=(together,)), "cared": made.arm(({}, [0.9, 0.7]), lives=apart)}
    return made.result(arms)


def test_evaluations_that_chips_have_in_common(lived: Result) -> None:
    left, cared = (looks(arm) for arm in lived.arms.values())
    assert [(each.seconds, each.accuracy) for each in left] == [(0, (0.9, 0.8)), (DAY, (0.5, 0.4))]
    assert [each.joules for each in left] == [0.0, 2e-3]
    assert [(each.seconds, each.accuracy) for each in cared] == [(0, (0.9, 0.7)), (DAY, (0.9, 0.7))]
    assert [each.steps for each in cared] == [0, 10], "a mean over chips"
    assert happened(lived.arms["cared"]) == {"train": 0.5}


def test_a_life_is_drawn_and_told(lived: Result, tmp_path: Path) -> None:
    files = [tmp_path / "figures" / f"life.{kind}" for kind in ("png", "svg")]
    accuracy_over_time(lived, files)
    text = files[1].read_text()
    for word in ("1 day", "fault", "left", "cared", "time after training"):
        assert word in text
    console = Console(width=100)
    with console.capture() as capture:
        console.print(lives_table(lived))
    told = capture.get()
    for word in ("85.00", "45.00", "1 day", "2 mJ", "left: 1 x fault.", "cared: 0.5 x train."):
        assert word in told


def test_requests_are_told_by_percentiles(made) -> None:
    shares = {"50": 2e-7, "100": 7e-5}
    served = event(1.0, "traffic", began=0.5, requests=Requests(count=12, mean=1e-6, percentiles=shares))
    nobody = event(2.0, "traffic", requests=Requests(count=0, mean=None, percentiles={}))
    result = made.result({"a": made.arm(({}, [0.9]), lives=(Life(chips=(0,), moments=(served, nobody)),))})
    console = Console(width=100)
    with console.capture() as capture:
        console.print(traffic_table(result))
    told = " ".join(capture.get().split())
    assert "a 500 ms 1 s 12 1 us 200 ns 70 us" in told
    assert "slowest" in told


def spent(seconds: float) -> Spent:
    return Spent(seconds=seconds, joules=1e-3 * seconds, passes=int(10 * seconds), writes=int(100 * seconds), wear=7)


@pytest.fixture
def priced(made) -> tuple[Result, list[Curve]]:
    """A quick arm that ends at 2 s with 60 %, and a slow one that passes 40 and 80 % at 1 and 4 s."""
    step = StepPrice(seconds=1e-3, joules={"adc": 1e-6, "digital": 3e-6}, occupancy={"array": 0.5})
    arms: dict[str, ArmResult] = {}
    curves: list[Curve] = []
    for name, ends, values in (("quick", (0, 1, 2), (0.1, 0.5, 0.6)), ("slow", (0, 1, 4), (0.1, 0.4, 0.8))):
        arm: ArmResult = made.arm(({}, [values[-1]] * 2), step=step)
        chips = tuple(
            chip.model_copy(update={"spent": spent(ends[-1]), "reached": spent(4) if at and name == "slow" else None})
            for at, chip in enumerate(arm.chips)
        )
        arms[name] = arm.model_copy(update={"chips": chips})
        for number, (end, value) in enumerate(zip(ends, values, strict=True)):
            seen = tuple(made.metrics(value) for _ in chips)
            curves.append(Curve(arm=name, step=number, chips=seen, spent=(spent(end),) * 2))
    return made.result(arms).model_copy(update={"reach": 0.7}), curves


def test_arms_are_compared_at_what_the_thriftiest_needs(priced: tuple[Result, list[Curve]]) -> None:
    result, curves = priced
    assert comparable(result)
    quick, slow = costs(result, curves)
    for what in ("energy", "passes", "time"):
        assert quick.at_equal[what][0] == pytest.approx(0.6)
        assert slow.at_equal[what][0] == pytest.approx(0.4 + 0.4 / 3), "at 2 s, a third of the way from 1 to 4 s"
    assert (quick.seconds, quick.writes, quick.joules) == (2, 200, pytest.approx(2e-3))
    assert quick.reached is not None and quick.reached[1] == 0
    assert slow.reached == (pytest.approx(4e-3), 1)


def test_costs_are_told_and_drawn(priced: tuple[Result, list[Curve]], tmp_path: Path) -> None:
    result, curves = priced
    console = Console(width=110)
    with console.capture() as capture:
        console.print(cost_table(result, curves))
    told = capture.get()
    for word in ("1 ms", "2 mJ", "not reached", "4 mJ (1 of 2)", "70 %", "7"):
        assert word in told
    with console.capture() as capture:
        console.print(equal_table(result, curves))
    assert "53.33" in capture.get()
    files = [tmp_path / f"cost.{kind}" for kind in ("png", "svg")]
    accuracy_for_cost(result, curves, files)
    text = files[1].read_text()
    for word in ("energy of learning", "forward passes of a batch", "simulated time", "mJ", "quick", "slow"):
        assert word in text


def test_without_prices_nothing_is_compared(made) -> None:
    result = made.result({"a": made.arm(({}, [0.9]))})
    assert not comparable(result)
    assert costs(result, made.curves(result)) == []


def test_steps_and_inferences_are_told() -> None:
    kinds = {"dac": 0.0, "array": 1e-9, "adc": 1e-9, "digital": 6e-9, "broadcasts": 0.0}
    each = {
        "passes": 5,
        "step": {"seconds": 7.1e-5, "joules": kinds},
        "inference": {"seconds": 2.66e-7, "interval": 1e-7, "joules": 1.9e-9},
    }
    console = Console(width=100)
    with console.capture() as capture:
        console.print(step_table({"anp": each}))
        console.print(inference_table({"anp": each}))
    told = capture.get()
    for word in ("71 us", "8 nJ", "25", "75", "266 ns", "100 ns", "1.9 nJ"):
        assert word in told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (2.66e-7, "266 ns"),
        (0.5, "500 ms"),
        (1, "1 s"),
        (3600, "1 h"),
        (DAY, "1 day"),
        (2629800, "1 month"),
        (31557600, "1 year"),
    ],
)
def test_durations_are_in_their_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 J"), (3.1e-3, "3.1 mJ"), (2, "2 J"), (5e-13, "0.5 pJ")])
def test_energies_are_in_their_largest_unit(value: float, text: str) -> None:
    assert joules(value) == text
