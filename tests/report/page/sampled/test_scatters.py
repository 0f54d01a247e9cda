"""Studies whose settings were sampled: a mark for each point."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest

from analogsim.outcomes import StudyFolder
from analogsim.report.page.samples import Sampled, samples
from analogsim.report.page.scatter import MOST_POINTS, log_ticks, scatters
from analogsim.report.page.standing import rankings
from analogsim.report.page.view import View, view
from analogsim.statistics import mean_interval

SIGMA = "chip.overrides.read_noise.sigma"
BITS = "chip.overrides.adc.bits"
LR = "train.optimizer.adam.lr"


def test_each_mark_is_the_mean_over_the_chips_of_a_point(
    folder: StudyFolder, seen: View, found: Sampled, sampling: Any
) -> None:
    [block] = scatters(seen, [found])
    head, *rows = block.table
    assert head == [SIGMA, BITS, LR, "rule", "marks", "setting", "mean", "low", "high", "chips", "diverged"]
    assert len(rows) == 4 * 14
    for row in (dict(zip(head, each, strict=True)) for each in rows):
        each = mean_interval(sampling.chips(folder, str(row["rule"]))[row[SIGMA], row[BITS], row[LR]])
        assert (row["mean"], row["low"], row["high"], row["chips"]) == (each.mean, each.low, each.high, 6)
    assert {row[4] for row in rows if row[3] == "bp"} == {"oracle"}


def test_marks_stand_where_their_settings_are(folder: StudyFolder, seen: View, found: Sampled) -> None:
    [block] = scatters(seen, [found])
    assert [entry.title.replace("\u00a0", " ") for entry in block.legend] == ["bp (oracle)", "np", "danp", "flat"]
    for panel, axis in zip(block.panels, seen.sampled, strict=True):
        root = ElementTree.fromstring(panel.svg)
        texts = [text.text for text in root.iter("text")]
        assert (f"{axis.title}, {axis.unit}" if axis.unit else axis.title) in texts
        uses = list(root.iter("use"))
        np = [mark.numbers[seen.sampled.index(axis)] for mark in found.marks[seen.rules[1]]]
        if axis.sampled.scale == "log":
            np = [math.log10(number) for number in np]
        at = [float(use.attrib["x"]) for use in uses]
        assert len(at) == 4 * 14
        mine = at[14:28]
        slope = (mine[-1] - mine[0]) / (np[-1] - np[0]) if np[-1] != np[0] else 0.0
        spread = [x - slope * number for x, number in zip(mine, np, strict=True)]
        assert axis is seen.sampled[1] or max(spread) - min(spread) < 0.3, "on the axis' scale, to a tenth of a point"
    assert "var(--ground)" in block.panels[0].svg, "those of comparisons are hollow"


def test_losses_that_are_not_finite_are_no_marks(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(5)

    def loss(place: Mapping[str, str], numbers: random.Random) -> float | None:
        return None if place == {**place, **points[0]} else 0.1 + float(place[LR])

    arms = {"np": studies.arm(loss), "anp": studies.arm(lambda place, _: 0.2 + float(place[LR]))}
    folder = studies(arms, sampling.axes(points), points=points, making={"accurate": False})
    seen = view(folder)
    [ranking] = rankings(seen)
    assert {each.rule.name: each.why for each in ranking.standings}[
        "np"
    ] == "its loss is not finite on some sampled points"
    [found] = samples(seen, [ranking])
    assert [found.influences[rule][2].found.n for rule in seen.rules] == [4, 5]
    [block] = scatters(seen, [found])
    assert len(list(ElementTree.fromstring(block.panels[0].svg).iter("use"))) == 9
    assert {each.found.p for each in found.influences[seen.rules[0]] if each.axis.name == LR} == {2 / math.factorial(4)}


def test_of_very_many_points_some_are_drawn_and_all_are_told(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(MOST_POINTS + 1)
    folder = studies(
        {"np": studies.arm(sampling.falls(0.6))}, sampling.axes(points), points=points, making={"chips": 1}
    )
    seen = view(folder)
    [block] = scatters(seen, samples(seen, rankings(seen)))
    assert block.caption == f"101 of {MOST_POINTS + 1} points are drawn; all are in the CSV file."
    assert len(block.table) == 1 + MOST_POINTS + 1
    assert len(list(ElementTree.fromstring(block.panels[0].svg).iter("use"))) == 101


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.1, 30, [0.1, 0.3, 1, 3, 10, 30]),
        (1e-4, 1, [1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (2, 9, [2, 3, 4, 5, 7]),
        (0.0002, 0.006, [0.0002, 0.0005, 0.001, 0.002, 0.005]),
        (1.1, 1.3, [1.1, 1.3]),
        (1e-9, 1e9, [1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9]),
    ],
)
def test_ticks_of_log_scales_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)
