"""Studies whose settings were sampled: points are what counts."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any

import pytest

from analogsim.outcomes import StudyFolder, outcomes
from analogsim.report.page.learning import histories, learning_curves
from analogsim.report.page.samples import samples
from analogsim.report.page.sentences import lead
from analogsim.report.page.standing import rankings
from analogsim.report.page.view import View, view
from analogsim.statistics import comparisons, student, window

SIGMA = "chip.overrides.read_noise.sigma"
BITS = "chip.overrides.adc.bits"
LR = "train.optimizer.adam.lr"


def test_sampled_points_are_no_devices(seen: View) -> None:
    assert [device.label for device in seen.devices] == [""]
    assert (seen.replicates, seen.points) == ("sampled points", 14)
    [(_, cell)] = seen.cells(seen.rules[1], seen.devices[0])
    assert len(cell.best.values) == 14
    assert {len(each.rows) for each in cell.best.points.values()} == {6}, "2 seeds of 3 chips at each"


def test_devices_are_what_is_not_sampled(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(4)
    folder = studies(
        {"np": studies.arm(sampling.falls(0.6))},
        [studies.profiles("pcm", "reram"), *sampling.axes(points)],
        points=points,
    )
    seen = view(folder)
    assert [device.label for device in seen.devices] == ["pcm", "reram"]
    assert [each.device.label for each in samples(seen, rankings(seen))] == ["pcm", "reram"]
    assert {"sampled-settings-1.csv", "sampled-settings-2.csv"} <= set(studies.held(studies.page(folder))["files"])
    assert {row["device"] for row in studies.tables(studies.page(folder))["influences"]} == {"pcm", "reram"}


def test_rules_are_compared_by_their_differences_at_the_same_points(
    folder: StudyFolder, tables: Any, sampling: Any
) -> None:
    scores = {arm: sampling.means(folder, arm) for arm in ("np", "danp", "flat")}
    expected = {frozenset((each.first, each.second)): each for each in comparisons(scores)}
    assert len(tables["comparisons"]) == 3
    for row in tables["comparisons"]:
        gaps = [value - scores[row["second"]][point] for point, value in scores[row["first"]].items()]
        assert len(gaps) == 14
        assert row["difference"] == sampling.written(gaps)
        pair = expected[frozenset((row["first"], row["second"]))]
        for head, p in (("p", pair.p), ("p (Holm)", pair.adjusted)):
            assert row[head] == ("< 0.001" if p < 0.001 else f"{p:.2g}")
    for row in tables["ranking"][:4]:
        assert row["mean test accuracy, %"] == sampling.written(
            list(sampling.means(folder, row["rule"].split(" (")[0]).values())
        )


def test_with_noise_marks_are_means_over_it_and_windows_are_those_of_points(studies: Any, sampling: Any) -> None:
    noise, points = studies.noise("0 %", "1 %", "10 %"), sampling.drawn(6)

    def value(place: Mapping[str, str], numbers: random.Random) -> float:
        level = float(place[studies.NOISE].split()[0])
        return 0.9 - 0.05 * level + 10 * float(place[LR]) * 0.1 + numbers.uniform(-0.01, 0.01)

    folder = studies(
        {"np": studies.arm(value)},
        [*sampling.axes(points), noise],
        points=points,
        reference=lambda place, _: 0.8 + 10 * float(place[LR]),
    )
    seen = view(folder)
    [ranking] = rankings(seen)
    [found] = samples(seen, [ranking])
    [standing] = ranking.standings
    assert standing.score.n == 6
    marks = found.marks[standing.rule]
    assert math.fsum(mark.score.mean for mark in marks) / 6 == pytest.approx(standing.score.mean)
    assert {mark.score.n for mark in marks} == {4}
    rows = [row for row in outcomes(folder) if not row.reference and row.place[LR] == marks[0].place[2]]
    at = {level: [row.accuracy for row in rows if row.place[studies.NOISE] == level] for level in ("1 %", "10 %")}
    assert marks[0].score.mean == pytest.approx(sum(at["1 %"] + at["10 %"]) / 8), "the area between two levels"
    reference = seen.reference(seen.devices[0])
    assert reference is not None
    assert reference.sampled == (LR,)
    assert len(reference.values) == 6
    curves = {
        point: [
            math.fsum(
                row.accuracy
                for row in outcomes(folder)
                if row.place == {**dict(zip((SIGMA, BITS, LR), point, strict=True)), studies.NOISE: level}
            )
            / 4
            for level in noise.places
        ]
        for point in (mark.place for mark in marks)
    }
    asked = {point: 0.8 + 10 * float(point[2]) for point in curves}
    expected = window((0.0, 1.0, 10.0), curves, asked, 0.9).high  # each point is measured by its own reference
    assert standing.window is not None and standing.window.high is not None
    assert expected is not None and expected.bounds is not None
    assert standing.window.high.noise == pytest.approx(expected.noise)
    assert standing.window.high.bounds is not None
    assert standing.window.high.bounds.lower == pytest.approx(expected.bounds.lower)
    assert standing.window.high.bounds.upper == pytest.approx(expected.bounds.upper)
    assert " over 1 % to 10 % read noise sigma (log scale) and 6 sampled points" in lead(seen, ranking).text.replace(
        "\u00a0", " "
    )
    assert "noise" in re.findall(r'<section id="(\w+)"', studies.page(folder))


def test_learning_curves_are_means_over_points(folder: StudyFolder, seen: View, sampling: Any) -> None:
    history = histories(folder, seen)
    last = history[seen.rules[1], seen.devices[0], seen.levels[0]][2.0]
    expected = student(list(sampling.means(folder, "np").values()))
    assert (last.n, last.mean, last.low) == (14, pytest.approx(expected.mean), pytest.approx(expected.low))
    [block] = learning_curves(seen, history)
    assert block.table[0][-1] == "points"


def test_points_that_some_rules_lack_are_left_out(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(6)
    first = f"-{re.sub(r'[^0-9A-Za-z.]+', '-', points[0][SIGMA])}"
    arms = {"np": studies.arm(sampling.falls(0.6)), "anp": studies.arm(sampling.falls(0.5))}
    folder = studies(arms, sampling.axes(points), points=points, failed={f"anp{first}": "no memory"})
    seen = view(folder)
    [ranking] = rankings(seen)
    assert ranking.chips == 5
    assert "over 5 of 6 sampled points, those that all have" in lead(seen, ranking).text
    [found] = samples(seen, [ranking])
    assert [len(found.marks[rule]) for rule in seen.rules] == [6, 5]
    late = [f"anp-{re.sub(r'[^0-9A-Za-z.]+', '-', point[SIGMA])}" for point in points[:4]]
    [ranking] = rankings(view(studies(arms, sampling.axes(points), points=points, missing=late)))
    assert [(each.rule.name, each.why) for each in ranking.standings] == [
        ("np", ""),
        ("anp", "it has results at 2 of 6 sampled points"),
    ]


def test_one_point_and_one_chip_allow_no_test(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(1)
    arms = {"np": studies.arm(sampling.falls(0.6)), "anp": studies.arm(sampling.falls(0.5))}
    folder = studies(arms, sampling.axes(points), points=points, making={"chips": 1})
    seen = view(folder)
    [ranking] = rankings(seen)
    assert lead(seen, ranking).text.endswith("One sampled point of each allows no test.")
    [found] = samples(seen, [ranking])
    assert {each.found.p for influences in found.influences.values() for each in influences} == {None}
    tables = studies.tables(studies.page(folder))
    assert {row["test accuracy"] for row in tables["influences"]} == {"no test"}
