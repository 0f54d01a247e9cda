"""Chips whose loss is not finite, and numbers that a run does not have."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from analogsim.cli.run import show
from analogsim.report import cost, curves, lives
from analogsim.report.summary import standings
from analogsim.report.table import lives_table, standings_table
from analogsim.results import Curve, Life, Moment, Result, Spent, StepPrice, interval, write_result


def _behind(result: Result) -> dict[str, tuple[bool, bool]]:
    [(_, found)] = standings(result)
    return {s.arm: (s.leads, s.behind is not None) for s in found}


def _last_words(result: Result) -> dict[str, str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(standings_table(result))
    lines = [line.split() for line in capture.get().splitlines()]
    return {line[0]: line[-1] for line in lines if len(line) > 1 and line[1] in result.arms}


def test_no_difference_where_a_pair_is_not_finite(made) -> None:
    made.losses()
    numbers = {"good": [0.1, 0.2], "half": [0.1, None], "worse": [0.3, 0.5], "gone": [None, None]}
    result = made.result({name: made.arm(({}, values), family=name) for name, values in numbers.items()})
    assert _behind(result) == {
        "good": (True, False),
        "half": (False, False),
        "worse": (False, True),
        "gone": (False, False),
    }
    last = _last_words(result)
    assert (last["good"], last["half"], last["gone"]) == ("leads", "diverged", "diverged")
    assert last["worse"] == "0.64"  # t(0.975; 1) = 12.706, differences 0.2 and 0.3: 12.706 x 0.05


@pytest.mark.parametrize("values", [[None, None], [0.2, None]])
def test_nobody_leads_where_all_diverged(made, values: list[float | None]) -> None:
    made.losses()
    fit = {"oracle": made.arm(({}, [0.1, 0.1]), oracle=("output_error",), family="oracle")}
    arms = {name: made.arm(({}, values), family=name) for name in ("a", "b")}
    result = made.result({**fit, **arms})
    assert _behind(result) == dict.fromkeys(result.arms, (False, False))
    assert {name: _last_words(result)[name] for name in arms} == {"a": "diverged", "b": "diverged"}


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("accurate", [False, True])
def test_json_has_null_for_what_is_not_finite(
    made, accurate: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.accurate = accurate
    result = made.result({"good": made.arm(({}, [0.1, 0.3])), "gone": made.arm(({}, [0.1, None]))})
    write_result(result, tmp_path / "result.json")
    lines = [json.dumps(curve.model_dump(mode="json")) + "\n" for curve in made.curves(result)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    show(tmp_path, as_json=True)
    good, gone = json.loads(capsys.readouterr().out, parse_constant=_refuse)["rows"]
    shown, absent = ("final", "loss") if accurate else ("loss", "final")
    assert good[shown][0] == pytest.approx(0.2)
    assert gone[shown] == [None, None]
    assert good[absent] == ([0.5, 0.0] if accurate else [None, None])
    assert (gone["chips"], gone["diverged"]) == (2, 1)


class Drawn:
    """The lines and the bands of a figure that would have been saved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.figures: list[Figure] = []
        monkeypatch.setattr(module, "save", lambda figure, files: self.figures.append(figure))

    def line(self) -> list[float | None]:
        """Heights of the first line; None where nothing is drawn."""
        line = self.figures[-1].axes[0].lines[0]
        return [float(y) if np.isfinite(y) else None for y in np.asarray(line.get_ydata(), float)]

    def band(self) -> list[float]:
        """Where the first band is."""
        [path] = self.figures[-1].axes[0].collections[0].get_paths()
        return sorted(set(np.asarray(path.vertices)[:, 0].tolist()))


def _evaluations(made: Any, *each: Sequence[float | None], prices: bool = False) -> list[Curve]:
    """Of an arm `np`, one a step."""
    spent = [Spent(seconds=step, joules=step, passes=step, writes=step, wear=step) for step in range(len(each))]
    return [
        Curve(
            arm="np",
            step=step,
            chips=tuple(made.metrics(value, step) for value in values),
            spent=(spent[step],) * len(values) * prices,
        )
        for step, values in enumerate(each)
    ]


def test_a_learning_curve_is_of_all_chips_those_at_nothing_too(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """An accuracy that is not finite counts as 0; also where no chip has another one."""
    drawn = Drawn(monkeypatch, curves)
    result = made.result({"np": made.arm(({}, [0.6, None, None]))})
    seen = _evaluations(made, [0.1, 0.1, 0.1], [0.6, 0.3, None], [0.6, None, None], [None, None, None])
    curves.learning_curves(result, seen, [])
    assert drawn.line() == pytest.approx([10, 30, 20, 0])


@pytest.mark.parametrize("last", [0.5, 0.1], ids=["mean", "geometric mean"])
def test_a_line_of_losses_ends_where_a_loss_is_not_finite(made, last: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made.losses()
    drawn = Drawn(monkeypatch, curves)
    result = made.result({"np": made.arm(({}, [last, None]))})
    curves.learning_curves(result, _evaluations(made, [1.0, 1.0], [0.8, 0.8], [last, None], [last, None]), [])
    assert drawn.line() == [pytest.approx(1.0), pytest.approx(0.8), None, None]
    assert drawn.band() == [0.0, 1.0]
    curves.learning_curves(result, _evaluations(made, [1.0, 1.0], [last, None]), [])
    assert drawn.line() == [pytest.approx(1.0), None]
    assert drawn.figures[-1].axes[0].lines[0].get_marker() == "o", "a single point makes no line"


def test_losses_may_be_as_far_apart_as_floats_allow(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upper end of the geometric mean's interval is then no float."""
    made.losses()
    drawn = Drawn(monkeypatch, curves)
    result = made.result({"np": made.arm(({}, [1e-12, 1e36]))})
    curves.learning_curves(result, _evaluations(made, [1.0, 1.0], [1e-12, 1e36]), [])
    assert drawn.line() == pytest.approx([1.0, 1e12])


@pytest.fixture
def priced(made) -> tuple[Result, list[Curve]]:
    """Two chips that go on to 90 %, and one that has no number from the first step on."""
    step = StepPrice(seconds=1.0, joules={"adc": 1.0}, occupancy={"array": 0.5})
    seen = _evaluations(made, [0.1, 0.1, 0.1], [0.6, 0.6, None], [0.9, 0.9, None], prices=True)
    arm = made.arm(({}, [0.9, 0.9, None]), step=step)
    chips = tuple(chip.model_copy(update={"spent": seen[-1].spent[0]}) for chip in arm.chips)
    return made.result({"np": arm.model_copy(update={"chips": chips})}), seen


def test_chips_that_are_lost_count_at_equal_cost(priced, made, monkeypatch: pytest.MonkeyPatch) -> None:
    result, seen = priced
    arm = result.arms["np"]
    thrifty = [curve.model_copy(update={"arm": "thrifty"}) for curve in seen[:2]]
    both = result.model_copy(update={"arms": {"np": arm, "thrifty": arm}})
    for found in cost.costs(both, [*seen, *thrifty]):
        for mean, half in found.at_equal.values():
            assert mean == pytest.approx((0.6 + 0.6 + 0) / 3)
            assert half == pytest.approx(interval([0.6, 0.6, 0.0])[1])
    drawn = Drawn(monkeypatch, cost)
    cost.accuracy_for_cost(result, seen, [])
    assert drawn.line() == pytest.approx([40, 60])


def test_chips_that_are_lost_count_as_time_passes(made, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = tuple(
        Moment(seconds=seconds, event="evaluate", steps=0, accuracy=values, loss=(0.5, None))
        for seconds, values in ((1.0, (0.8, 0.6)), (10.0, (0.8, None)))
    )
    life = Life(chips=(0, 1), moments=moments)
    result = made.result({"np": made.arm(({}, [0.8, 0.6]), lives=(life,))})
    drawn = Drawn(monkeypatch, lives)
    lives.accuracy_over_time(result, [])
    assert drawn.line() == pytest.approx([70, 40])
    losses = made.losses().result({"np": made.arm(({}, [0.5, None]), lives=(life,))})
    assert [look.loss for look in lives.looks(losses.arms["np"])] == [(0.5, math.inf)] * 2
    assert not any(look.accuracy for look in lives.looks(losses.arms["np"]))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(lives_table(losses))
    assert capture.get().count("not finite") == 2


def test_intervals_of_losses_as_large_as_floats_allow() -> None:
    mean, half = interval([1e200, 3e200])
    assert (mean, half) == (2e200, pytest.approx(12.706204736e200, rel=1e-9))
    assert math.isnan(interval([math.inf, 1.0])[1] or 0.0)
