"""Every number in the tables of a page is the one that the tidy rows give."""

import math
import random
import re
from collections.abc import Mapping

import pytest

from analogsim.outcomes import Outcome, StudyFolder, outcomes
from analogsim.statistics import areas, comparisons, mean_interval, ranking, window

LEVELS = ("0 %", "0.1 %", "1 %", "10 %")
NUMBERS = (0.0, 0.1, 1.0, 10.0)


def falls(top: float, edge: float, spread: float = 0.01):
    """An accuracy that falls with noise; at 10 % every now and then a chip diverges."""

    def value(place: Mapping[str, str], numbers: random.Random) -> float | None:
        numbers = random.Random(f"{top} {numbers.random()}")
        noise = float(place["chip.profile.read_noise.0.sigma"].split()[0])
        lost = noise >= 10 and numbers.random() < 0.3
        better = 0.01 if place["chip.profile"] == "reram" else 0.0
        return None if lost else better + top / (1 + noise / edge) + numbers.uniform(-spread, spread)

    return value


@pytest.fixture(scope="module")
def folder(studies) -> StudyFolder:
    arms = {
        "bp": studies.arm(falls(0.95, 50), "bp", oracle=("output_error",), passes=1),
        "np_1": studies.arm(falls(0.90, 4), family="NP"),
        "np_2": studies.arm(falls(0.88, 6), family="NP"),
        "danp": studies.arm(falls(0.91, 20, spread=0.03), passes=5),
        "dfa": studies.arm(falls(0.909, 20, spread=0.03)),
    }
    axes = [studies.profiles("pcm", "reram"), studies.noise(*LEVELS), studies.seeds(2, folded=False)]
    return studies(arms, axes, reference=lambda place, numbers: 0.96 + numbers.uniform(-0.01, 0.01))


@pytest.fixture(scope="module")
def rows(folder: StudyFolder) -> list[Outcome]:
    return list(outcomes(folder))


@pytest.fixture(scope="module")
def tables(studies, folder: StudyFolder) -> dict[str, list[dict[str, str]]]:
    return studies.tables(studies.page(folder))


def accuracies(rows: list[Outcome], arm: str, profile: str, level: str) -> dict[tuple[str, int], float]:
    found = [row for row in rows if row.arm == arm and row.place.get("chip.profile") == profile]
    return {row.key: row.accuracy or 0.0 for row in found if row.place["chip.profile.read_noise.0.sigma"] == level}


def curves(rows: list[Outcome], arms: tuple[str, ...], profile: str) -> dict[tuple[str, int], list[float]]:
    """By chip, of the arm that is best at each level."""
    best = []
    for level in LEVELS:
        each = [accuracies(rows, arm, profile, level) for arm in arms]
        best.append(max(each, key=lambda values: sum(values.values())))
    return {key: [values[key] for values in best] for key in best[0]}


def written(values: list[float]) -> str:
    found = mean_interval(values)
    return f"{100 * found.mean:.2f} [{100 * found.low:.2f}, {100 * found.high:.2f}]".replace("-", "−")


RULES = {"NP": ("np_1", "np_2"), "danp": ("danp",), "dfa": ("dfa",)}


def test_results_have_every_arm_at_every_point(rows: list[Outcome], tables) -> None:
    table = tables["results"]
    assert len(table) == 1 + 5 * 2 * len(LEVELS)
    for row in table[1:]:
        arm = row["arm"].split(" (")[0]
        values = accuracies(rows, arm, row["profile"], row["read noise sigma"])
        assert row["test accuracy, %"] == written(list(values.values()))
        assert row["chips"] == "8"
        assert row["diverged"] == (str(list(values.values()).count(0.0)) if 0.0 in values.values() else "–")
        assert row["lr"] == "0.01"
        assert row["passes"] == {"bp": "100", "danp": "500"}.get(arm, "200")
        assert row["energy"] == {"bp": "2.00 µJ", "danp": "10.00 µJ"}.get(arm, "4.00 µJ").replace(" ", "\u00a0")
        rivals = {name: accuracies(rows, name, row["profile"], row["read noise sigma"]) for name in RULES["NP"]}
        best = max(rivals, key=lambda name: sum(rivals[name].values()))
        assert (row["stands for its rule"] == "yes") == (arm == best)
    assert any(row["diverged"] != "–" for row in table)
    reference = [row.accuracy or 0.0 for row in rows if row.reference]
    assert table[0]["arm"] == "digital BP (reference)"
    assert table[0]["test accuracy, %"] == written(reference)


@pytest.mark.parametrize("profile", ["pcm", "reram"])
def test_ranks_are_by_the_area_under_the_curve(rows: list[Outcome], tables, profile: str) -> None:
    scores = {name: areas(NUMBERS, curves(rows, arms, profile)) for name, arms in RULES.items()}
    expected = ranking(scores)
    shown = [row for row in tables["ranking"] if row["device"] == profile]
    assert [(row["rule"], row["rank"]) for row in shown[:3]] == [(each.name, str(each.rank)) for each in expected]
    for row, each in zip(shown, expected, strict=False):
        assert row["mean test accuracy, %"] == written(list(scores[each.name].values()))
        assert row["not told from"] == (" and ".join(each.tied) or "–")
        if each is not expected[0]:
            gaps = [scores[expected[0].name][key] - value for key, value in scores[each.name].items()]
            assert row["behind"] == written(gaps)
    assert {each.rank for each in expected} != {1, 2, 3}, "two that cannot be told apart"


@pytest.mark.parametrize("profile", ["pcm", "reram"])
def test_pairs_have_holms_p(rows: list[Outcome], tables, profile: str) -> None:
    scores = {name: areas(NUMBERS, curves(rows, arms, profile)) for name, arms in RULES.items()}
    expected = {frozenset((each.first, each.second)): each for each in comparisons(scores)}
    shown = [row for row in tables["comparisons"] if row["device"] == profile]
    assert len(shown) == 3
    for row in shown:
        first, second = row["first"], row["second"]
        found = expected[frozenset((first, second))]
        assert row["difference"] == written([scores[first][key] - value for key, value in scores[second].items()])
        for head, p in (("p", found.p), ("p (Holm)", found.adjusted)):
            assert row[head] == ("< 0.001" if p < 0.001 else f"{p:.2g}")


@pytest.mark.parametrize("profile", ["pcm", "reram"])
def test_windows_are_those_of_the_statistics(rows: list[Outcome], tables, profile: str) -> None:
    reference = {row.key: row.accuracy or 0.0 for row in rows if row.reference}
    for row in tables["ranking"]:
        if row["device"] != profile or row["rule"].startswith("digital"):
            continue
        arms = RULES.get(row["rule"], ("bp",))
        found = window(NUMBERS, curves(rows, arms, profile), reference, 0.9)
        assert row["90\u00a0% of digital BP from"] == "0\u00a0%", "open: it begins at no noise"
        end = float(row["to"].split("\u00a0")[0])
        assert end == pytest.approx(found.high.noise, rel=0.05)
        bounds = found.high.bounds
        low, high = re.findall(r"\[(.*), (.*)\]", row["to"])[0]
        assert float(low) == pytest.approx(bounds.lower, rel=0.05)
        assert high == "beyond 10" if bounds.upper is None else float(high) == pytest.approx(bounds.upper, rel=0.05)


def test_oracles_are_marked_and_not_ranked(tables) -> None:
    found = [row for row in tables["ranking"] if "bp" in row["rule"].lower()]
    assert [row["rule"] for row in found] == ["bp (oracle)", "digital BP (reference)"] * 2
    assert {row["rank"] for row in found} == {"–"}
    assert not any("bp" in row["first"] + row["second"] for row in tables["comparisons"])
    assert {row["arm"] for row in tables["results"] if row["arm"].startswith("bp")} == {"bp (oracle)"}


def test_and_are_set_apart(studies, folder: StudyFolder) -> None:
    html = (folder.path / "report.html").read_text()
    quiet = re.findall(r'<tr class="quiet[^>]*>(?:<td[^>]*>([^<]*))(?:<td[^>]*>[^<]*)(?:<td[^>]*>([^<]*))', html)
    assert {name for cells in quiet for name in cells if "(" in name} == {"bp (oracle)", "digital BP (reference)"}
    assert len(quiet) == 2 * 2 + 2 + 2 * len(LEVELS) + 1, "in the tables of ranks, of costs and of results"


def test_costs_are_means_and_searches_of_all_settings(tables) -> None:
    by_rule = {row["rule"]: row for row in tables["cost"] if row["device"] == "pcm"}
    assert [by_rule[name]["settings"] for name in ("NP", "danp", "bp (oracle)")] == ["2", "1", "1"]
    assert [by_rule[name]["passes/step"] for name in ("NP", "danp", "bp (oracle)")] == ["2", "5", "1"]
    assert by_rule["NP"]["tuning passes"] == "1\u2009600", "800 of each setting"
    assert by_rule["danp"]["tuning passes"] == "2\u2009000"
    assert by_rule["danp"]["passes"] == "500"
    assert by_rule["danp"]["writes"] == "5\u2009000"
    assert by_rule["danp"]["time"] == "100.00\u00a0µs"


def test_without_prices_there_is_no_energy(studies) -> None:
    tables = studies.tables(studies.page(studies({"np": studies.arm(lambda *_: 0.9)}, making={"priced": False})))
    assert {"energy", "time"}.isdisjoint(tables["cost"][0])
    assert "passes" in tables["cost"][0]


def test_an_axis_may_be_called_what_a_column_is(studies) -> None:
    axis = studies.axis("train.steps", "steps", "7", "8", shared=True)
    rows = studies.tables(studies.page(studies({"np": studies.arm(lambda *_: 0.9)}, [axis])))["results"]
    assert [(row["train.steps"], row["steps"]) for row in rows] == [("7", "100"), ("8", "100")]


def test_nothing_is_lost_to_rounding() -> None:
    from analogsim.report.page.estimate import fixed, significant

    assert [fixed(value, 1) for value in (-0.04, -0.06, 99.96, math.inf)] == ["0.0", "−0.1", "100.0", "not finite"]
    assert [significant(value) for value in (3.41, 0.0324, 5, 123.4, 1e-9)] == ["3.4", "0.032", "5.0", "120", "1.0e-09"]
    assert significant(0.09996, 3) == "0.100"
