"""How often intervals, comparisons and windows are right where the truth is known; `coverage.py` measures it."""

import math
import runpy
from pathlib import Path

import pytest

MEASURE = runpy.run_path(str(Path(__file__).with_name("coverage.py")))
REPEATS = 2000


def _error(share: float, repeats: int = REPEATS) -> float:
    """4 standard deviations of a share: one in 16,000."""
    return 4 * math.sqrt(share * (1 - share) / repeats)


@pytest.mark.parametrize("method", ["student", "studentised_bootstrap", "mean_interval"])
@pytest.mark.parametrize("n", [8, 10, 30])
def test_of_95_intervals_5_miss(method: str, n: int) -> None:
    """Normal numbers. The error of the share is 0.5 %, so 4 of them are 2 %; on each side 0.2 % is that of the 4,999
    resamples, which all samples have in common."""
    holds, below, above = MEASURE["held"](method, "normal", n, REPEATS)
    assert abs(holds - 0.95) < 0.02
    assert max(below, above) < 0.025 + _error(0.025) + 0.002


def test_and_on_the_right_side_of_skewed_numbers() -> None:
    """Accuracies near 1: Student's intervals lie above the mean too often, the bootstrap's less."""
    _, _, above = MEASURE["held"]("studentised_bootstrap", "beta(50, 1)", 30, REPEATS)
    _, _, above_of_student = MEASURE["held"]("student", "beta(50, 1)", 30, REPEATS)
    assert above_of_student > 0.025 + _error(0.025)
    assert above < above_of_student - 0.02


@pytest.mark.parametrize(
    ("law", "weak"), [("exponential", "student"), ("difference of two lognormals", "studentised_bootstrap")]
)
def test_the_farther_bounds_hold_where_one_method_fails(law: str, weak: str) -> None:
    """20 values of a skewed law, and of one with long tails."""
    assert MEASURE["held"](weak, law, 20, REPEATS)[0] < 0.95 - _error(0.95)
    assert abs(MEASURE["held"]("mean_interval", law, 20, REPEATS)[0] - 0.95) < _error(0.95)


def test_equal_rules_are_seldom_separated() -> None:
    """In at most 5 % of families, by Holm's bound; not far below it, where pairs were less dependent than they are."""
    wrong = MEASURE["false_alarms"]("normal", rules=6, n=10, repeats=REPEATS)
    assert 0.02 < wrong < 0.05 + _error(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["normal", "lognormal(0, 1)", "beta(50, 1)"])
def test_nor_with_20_chips(law: str) -> None:
    """By the bootstrap alone they would be, of lognormal scores in 9 % of families."""
    assert MEASURE["false_alarms"](law, rules=6, n=20, repeats=REPEATS) < 0.05 + _error(0.05)


@pytest.mark.parametrize("kind", ["same", "exact"])
@pytest.mark.parametrize("n", [3, 10])
def test_ends_of_windows_are_held(kind: str, n: int) -> None:
    """Exact at each noise; the part that hangs together with the end holds it as often, but for rare second parts."""
    for share in MEASURE["ends_held"](kind, n, REPEATS):
        assert abs(share - 0.95) < _error(0.95)


def test_also_with_a_reference_on_other_chips() -> None:
    """Its 15 chips and 10 of the rule: at least 95 %, as degrees of freedom are those of the smaller sample."""
    for share in MEASURE["ends_held"]("others", 10, REPEATS):
        assert 0.95 - _error(0.95) < share < 0.985


def test_the_tables_can_be_printed() -> None:
    lines = "\n".join(MEASURE["table"](2)).splitlines()
    assert sum("%" in line for line in lines) == 6 * 5 * 4 + 4 * 2 + 3 * 3
