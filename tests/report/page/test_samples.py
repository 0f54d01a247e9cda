"""Studies whose settings were sampled: points are what counts, and which settings matter is told."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from scipy.stats import spearmanr

from analogsim.outcomes import StudyFolder, outcomes
from analogsim.report.page import markdown
from analogsim.report.page.influence import dependences, influence_table, matters
from analogsim.report.page.learning import histories, learning_curves
from analogsim.report.page.samples import Sampled, samples
from analogsim.report.page.scatter import MOST_POINTS, log_ticks, scatters
from analogsim.report.page.sentences import lead, survives
from analogsim.report.page.standing import rankings
from analogsim.report.page.view import View, view
from analogsim.statistics import comparisons, holm, mean_interval, student, window

SIGMA, BITS, LR = "chip.overrides.read_noise.sigma", "chip.overrides.adc.bits", "train.optimizer.adam.lr"


def drawn(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Points: two settings that a chip has, and one that the reference has, too."""
    numbers = random.Random(seed)
    return [
        {
            SIGMA: f"{10 ** numbers.uniform(-1, 1):.4g} %",
            BITS: str(numbers.randint(4, 8)),
            LR: f"{numbers.uniform(0.001, 0.01):.4g}",
        }
        for _ in range(count)
    ]


def axes(studies: Any, points: list[dict[str, str]]) -> list[Any]:
    places = {name: [point[name] for point in points] for name in (SIGMA, BITS, LR)}
    return [
        studies.sampled(SIGMA, "read noise sigma", places[SIGMA], 0.1, 10, unit="%", scale="log"),
        studies.sampled(BITS, "adc bits", places[BITS], 4, 8),
        studies.sampled(LR, "lr", places[LR], 0.001, 0.01, shared=True),
    ]


def falls(top: float, slope: float = 0.1, own: float = 0.03, salt: str = "") -> Callable[..., float]:
    """Falls with the logarithm of noise; chips differ, and points have something of their own."""

    def value(place: Mapping[str, str], numbers: random.Random) -> float:
        of_point = random.Random(f"{salt}{place[SIGMA]}").uniform(-own, own)
        return top - slope * math.log10(float(place[SIGMA].split()[0])) + of_point + numbers.uniform(-0.02, 0.02)

    return value


POINTS = drawn(14)


@pytest.fixture(scope="module")
def folder(studies: Any) -> StudyFolder:
    arms = {
        "bp": studies.arm(falls(0.85), "bp", oracle=("output_error",)),
        "np": studies.arm(falls(0.6)),
        "danp": studies.arm(falls(0.62, salt="danp")),
        "flat": studies.arm(falls(0.4, slope=0.0)),
    }
    making = {"chips": 3, "epochs": (0.0, 1.0, 2.0)}
    everything = [*axes(studies, POINTS), studies.seeds(2, folded=False)]
    return studies(arms, everything, points=POINTS, reference=lambda *_: 0.95, making=making)


@pytest.fixture(scope="module")
def seen(folder: StudyFolder) -> View:
    return view(folder)


@pytest.fixture(scope="module")
def found(seen: View) -> Sampled:
    [only] = samples(seen, rankings(seen))
    return only


@pytest.fixture(scope="module")
def tables(studies: Any, folder: StudyFolder) -> dict[str, list[dict[str, str]]]:
    return studies.tables(studies.page(folder))


def chips(folder: StudyFolder, arm: str) -> dict[tuple[str, ...], list[float]]:
    """By point, accuracies of an arm's chips."""
    points: dict[tuple[str, ...], list[float]] = {}
    for row in outcomes(folder):
        if row.arm == arm:
            points.setdefault(tuple(row.place.values()), []).append(row.accuracy or 0.0)
    return points


def means(folder: StudyFolder, arm: str) -> dict[tuple[str, ...], float]:
    return {point: math.fsum(values) / len(values) for point, values in chips(folder, arm).items()}


def written(values: list[float]) -> str:
    each = mean_interval(values)
    return f"{100 * each.mean:.2f} [{100 * each.low:.2f}, {100 * each.high:.2f}]".replace("-", "−")


def test_sampled_points_are_no_devices(seen: View) -> None:
    assert [device.label for device in seen.devices] == [""]
    assert (seen.replicates, seen.points) == ("sampled points", 14)
    [(_, cell)] = seen.cells(seen.rules[1], seen.devices[0])
    assert len(cell.best.values) == 14
    assert {len(each.rows) for each in cell.best.points.values()} == {6}, "2 seeds of 3 chips at each"


def test_devices_are_what_is_not_sampled(studies: Any) -> None:
    points = drawn(4)
    folder = studies(
        {"np": studies.arm(falls(0.6))}, [studies.profiles("pcm", "reram"), *axes(studies, points)], points=points
    )
    seen = view(folder)
    assert [device.label for device in seen.devices] == ["pcm", "reram"]
    assert [each.device.label for each in samples(seen, rankings(seen))] == ["pcm", "reram"]
    assert {"sampled-settings-1.csv", "sampled-settings-2.csv"} <= set(studies.held(studies.page(folder))["files"])
    assert {row["device"] for row in studies.tables(studies.page(folder))["influences"]} == {"pcm", "reram"}


def test_rules_are_compared_by_their_differences_at_the_same_points(folder: StudyFolder, tables: Any) -> None:
    scores = {arm: means(folder, arm) for arm in ("np", "danp", "flat")}
    expected = {frozenset((each.first, each.second)): each for each in comparisons(scores)}
    assert len(tables["comparisons"]) == 3
    for row in tables["comparisons"]:
        gaps = [value - scores[row["second"]][point] for point, value in scores[row["first"]].items()]
        assert len(gaps) == 14
        assert row["difference"] == written(gaps)
        pair = expected[frozenset((row["first"], row["second"]))]
        for head, p in (("p", pair.p), ("p (Holm)", pair.adjusted)):
            assert row[head] == ("< 0.001" if p < 0.001 else f"{p:.2g}")
    for row in tables["ranking"][:4]:
        assert row["mean test accuracy, %"] == written(list(means(folder, row["rule"].split(" (")[0]).values()))


def test_each_mark_is_the_mean_over_the_chips_of_a_point(folder: StudyFolder, seen: View, found: Sampled) -> None:
    [block] = scatters(seen, [found])
    head, *rows = block.table
    assert head == [SIGMA, BITS, LR, "rule", "marks", "setting", "mean", "low", "high", "chips", "diverged"]
    assert len(rows) == 4 * 14
    for row in (dict(zip(head, each, strict=True)) for each in rows):
        each = mean_interval(chips(folder, str(row["rule"]))[row[SIGMA], row[BITS], row[LR]])
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


def test_influences_are_rank_correlations_of_point_means(folder: StudyFolder, tables: Any) -> None:
    expected = {}
    for arm, (at, name) in itertools.product(
        ("bp", "np", "danp", "flat"), enumerate(("read noise sigma", "adc bits", "lr"))
    ):
        scores = means(folder, arm)
        expected[arm, name] = spearmanr([float(point[at].split()[0]) for point in scores], list(scores.values()))
    adjusted = dict(zip(expected, holm([float(each.pvalue) for each in expected.values()]), strict=True))
    shown = tables["influences"]
    assert len(shown) == 12
    for row in shown:
        key = (row["rule"].split(" (")[0], row["setting"])
        assert row["rank correlation"] == f"{expected[key].statistic:.2f}".replace("-", "−").replace("−0.00", "0.00")
        assert row["p (Holm)"] == ("< 0.001" if adjusted[key] < 0.001 else f"{adjusted[key]:.2g}")
        assert row["points"] == "14"
        assert row["test accuracy"] == ("falls with it" if adjusted[key] <= 0.05 else "not told from chance")
    assert [row["test accuracy"] for row in shown if row["setting"] == "read noise sigma"] == [
        "falls with it", "falls with it", "not told from chance", "falls with it",
    ]  # fmt: skip


def test_what_a_reader_learns_is_said(seen: View, found: Sampled) -> None:
    assert [each.text for each in matters(seen, found)] == [
        "read noise sigma matters to danp, np and bp (oracle).",
        "Whether adc bits or lr matters to any rule, 14 points do not tell.",
    ]
    told = {seen.rules[at].name: sentence.text for at, sentence in dependences(seen, found)}
    assert list(told) == ["danp", "np", "flat", "bp"]
    assert re.fullmatch(r"np: test accuracy falls with read noise sigma \(−0\.9\d, p < 0\.001\)\.", told["np"])
    assert told["flat"] == "flat: no influence of read noise sigma is told from chance."
    [ranking] = rankings(seen)
    assert re.fullmatch(
        r"danp leads, with a mean test accuracy of 6\d\.\d % \[.*\] over 14 sampled points, 1\.\d points more than np "
        r"\(p = 0\.0\d+\)\.",
        lead(seen, ranking).text.replace("\u00a0", " "),
    )
    said = survives(seen, seen.devices[0], ranking.standings[0]).text.replace("\u00a0", " ")
    assert re.search(r"ends with 6\d\.\d % \[.*\] on average, 6\d\.\d % of digital BP's 95\.0 %\.", said)


def test_where_nothing_is_told_it_is_said_once(studies: Any) -> None:
    points = drawn(3)
    seen = view(studies({"np": studies.arm(falls(0.6))}, axes(studies, points), points=points))
    [found] = samples(seen, rankings(seen))
    assert [each.text for each in matters(seen, found)] == [
        "Whether read noise sigma, adc bits or lr matters to np, 3 points do not tell."
    ]
    assert dependences(seen, found) == []


def test_what_falls_and_what_rises_is_told_in_one_sentence(studies: Any) -> None:
    points = drawn(30)

    def value(place: Mapping[str, str], numbers: random.Random) -> float:
        return 0.5 + 0.04 * int(place[BITS]) - 0.1 * math.log10(float(place[SIGMA].split()[0]))

    seen = view(studies({"np": studies.arm(value)}, axes(studies, points), points=points))
    [found] = samples(seen, rankings(seen))
    [(_, said)] = dependences(seen, found)
    assert re.fullmatch(
        r"np: test accuracy falls with read noise sigma \(−0\.\d\d, p .*\) and rises with adc bits \(0\.\d\d, p .*\)\.",
        said.text,
    )


def test_the_page_has_what_there_is_and_no_more(studies: Any, folder: StudyFolder) -> None:
    html = studies.page(folder)
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections == ["summary", "ranks", "sampled", "devices", "learning", "costs", "all", "method"]
    text = " ".join(re.sub(r"<[^>]*>", " ", html).split()).replace("\u00a0", " ")
    assert "sampled from 0.1 % to 10 % (log scale)" in text
    assert "14, independent of each other" in text
    assert "6 at each point, of 2 seeds (0, 1)" in text
    assert "Latin hypercube" not in text
    assert "operating window" not in text.lower()
    plain = view(studies({"np": studies.arm(lambda *_: 0.9)}, [studies.profiles("pcm", "reram")]))
    assert samples(plain, rankings(plain)) == []
    assert 'id="sampled"' not in studies.page(studies({"np": studies.arm(lambda *_: 0.9)}, [studies.bits(4, 8)]))


def test_markdown_has_the_same_sentences_and_table(folder: StudyFolder, seen: View, found: Sampled) -> None:
    text = markdown(folder)
    assert "## Which settings matter?\n\n**read noise sigma** matters to " in text
    table = influence_table(seen, [found])
    for row in table.rows:
        cells = [each.text.replace("<", "\\<") for each in row.cells]
        assert f"| {' | '.join(cells)} |" in text


def test_of_a_latin_hypercube_it_is_said_that_intervals_are_wide(studies: Any) -> None:
    points = drawn(4)
    drawn_axes = [
        axis.model_copy(update={"sampled": axis.sampled.model_copy(update={"method": "latin_hypercube"})})
        for axis in axes(studies, points)
    ]
    html = studies.page(studies({"np": studies.arm(falls(0.6))}, drawn_axes, points=points))
    assert "4, a Latin hypercube" in html
    assert "McKay, Beckman and Conover, Technometrics 1979; Stein, Technometrics 1987" in html


def test_with_noise_marks_are_means_over_it_and_windows_are_those_of_points(studies: Any) -> None:
    noise, points = studies.noise("0 %", "1 %", "10 %"), drawn(6)

    def value(place: Mapping[str, str], numbers: random.Random) -> float:
        level = float(place[studies.NOISE].split()[0])
        return 0.9 - 0.05 * level + 10 * float(place[LR]) * 0.1 + numbers.uniform(-0.01, 0.01)

    folder = studies(
        {"np": studies.arm(value)},
        [*axes(studies, points), noise],
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


def test_learning_curves_are_means_over_points(folder: StudyFolder, seen: View) -> None:
    history = histories(folder, seen)
    last = history[seen.rules[1], seen.devices[0], seen.levels[0]][2.0]
    expected = student(list(means(folder, "np").values()))
    assert (last.n, last.mean, last.low) == (14, pytest.approx(expected.mean), pytest.approx(expected.low))
    [block] = learning_curves(seen, history)
    assert block.table[0][-1] == "points"


def test_points_that_some_rules_lack_are_left_out(studies: Any) -> None:
    points = drawn(6)
    first = f"-{re.sub(r'[^0-9A-Za-z.]+', '-', points[0][SIGMA])}"
    arms = {"np": studies.arm(falls(0.6)), "anp": studies.arm(falls(0.5))}
    folder = studies(arms, axes(studies, points), points=points, failed={f"anp{first}": "no memory"})
    seen = view(folder)
    [ranking] = rankings(seen)
    assert ranking.chips == 5
    assert "over 5 of 6 sampled points, those that all have" in lead(seen, ranking).text
    [found] = samples(seen, [ranking])
    assert [len(found.marks[rule]) for rule in seen.rules] == [6, 5]
    late = [f"anp-{re.sub(r'[^0-9A-Za-z.]+', '-', point[SIGMA])}" for point in points[:4]]
    [ranking] = rankings(view(studies(arms, axes(studies, points), points=points, missing=late)))
    assert [(each.rule.name, each.why) for each in ranking.standings] == [
        ("np", ""),
        ("anp", "it has results at 2 of 6 sampled points"),
    ]


def test_one_point_and_one_chip_allow_no_test(studies: Any) -> None:
    points = drawn(1)
    arms = {"np": studies.arm(falls(0.6)), "anp": studies.arm(falls(0.5))}
    folder = studies(arms, axes(studies, points), points=points, making={"chips": 1})
    seen = view(folder)
    [ranking] = rankings(seen)
    assert lead(seen, ranking).text.endswith("One sampled point of each allows no test.")
    [found] = samples(seen, [ranking])
    assert {each.found.p for influences in found.influences.values() for each in influences} == {None}
    tables = studies.tables(studies.page(folder))
    assert {row["test accuracy"] for row in tables["influences"]} == {"no test"}


def test_losses_that_are_not_finite_are_no_marks(studies: Any) -> None:
    points = drawn(5)

    def loss(place: Mapping[str, str], numbers: random.Random) -> float | None:
        return None if place == {**place, **points[0]} else 0.1 + float(place[LR])

    arms = {"np": studies.arm(loss), "anp": studies.arm(lambda place, _: 0.2 + float(place[LR]))}
    folder = studies(arms, axes(studies, points), points=points, making={"accurate": False})
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


def test_of_very_many_points_some_are_drawn_and_all_are_told(studies: Any) -> None:
    points = drawn(MOST_POINTS + 1)
    folder = studies({"np": studies.arm(falls(0.6))}, axes(studies, points), points=points, making={"chips": 1})
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
