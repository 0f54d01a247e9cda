"""Studies whose settings were sampled: which settings matter is told."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping
from typing import Any

from scipy.stats import spearmanr

from analogsim.outcomes import StudyFolder
from analogsim.report.page import markdown
from analogsim.report.page.influence import dependences, influence_table, matters
from analogsim.report.page.samples import Sampled, samples
from analogsim.report.page.sentences import lead, survives
from analogsim.report.page.standing import rankings
from analogsim.report.page.view import View, view
from analogsim.statistics import holm

SIGMA = "chip.overrides.read_noise.sigma"
BITS = "chip.overrides.adc.bits"


def test_influences_are_rank_correlations_of_point_means(folder: StudyFolder, tables: Any, sampling: Any) -> None:
    expected = {}
    for arm, (at, name) in itertools.product(
        ("bp", "np", "danp", "flat"), enumerate(("read noise sigma", "adc bits", "lr"))
    ):
        scores = sampling.means(folder, arm)
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


def test_where_nothing_is_told_it_is_said_once(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(3)
    seen = view(studies({"np": studies.arm(sampling.falls(0.6))}, sampling.axes(points), points=points))
    [found] = samples(seen, rankings(seen))
    assert [each.text for each in matters(seen, found)] == [
        "Whether read noise sigma, adc bits or lr matters to np, 3 points do not tell."
    ]
    assert dependences(seen, found) == []


def test_what_falls_and_what_rises_is_told_in_one_sentence(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(30)

    def value(place: Mapping[str, str], numbers: random.Random) -> float:
        return 0.5 + 0.04 * int(place[BITS]) - 0.1 * math.log10(float(place[SIGMA].split()[0]))

    seen = view(studies({"np": studies.arm(value)}, sampling.axes(points), points=points))
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


def test_of_a_latin_hypercube_it_is_said_that_intervals_are_wide(studies: Any, sampling: Any) -> None:
    points = sampling.drawn(4)
    own_axes = [
        axis.model_copy(update={"sampled": axis.sampled.model_copy(update={"method": "latin_hypercube"})})
        for axis in sampling.axes(points)
    ]
    html = studies.page(studies({"np": studies.arm(sampling.falls(0.6))}, own_axes, points=points))
    assert "4, a Latin hypercube" in html
    assert "McKay, Beckman and Conover, Technometrics 1979; Stein, Technometrics 1987" in html
