"""Differences by chip, their p-values, and many of them at once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analogsim.statistics import differences, holm, mean_interval, p_value

SKEWED = np.random.default_rng(5).lognormal(size=30).tolist()


def test_differences_are_of_the_same_chip() -> None:
    first, second = {(0, 0): 0.9, (0, 1): 0.7, (1, 0): 0.3}, {(1, 0): 0.1 + 0.2, (0, 1): 0.75, (0, 0): 0.5}
    found = differences(first, second)
    assert found == pytest.approx([0.4, -0.05, 0.0], abs=1e-15)
    assert found[2] == 0  # though 0.3 != 0.1 + 0.2
    assert differences(second, first) == [-gap for gap in reversed(found)]


def test_other_chips_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not the same chips: only bp has \(0, 1\); only np has \(1, 0\); pairs"):
        differences({(0, 0): 1.0, (0, 1): 1.0}, {(0, 0): 1.0, (1, 0): 1.0}, ("bp", "np"))
    with pytest.raises(ValueError, match=r"only the first has 0, 1, 2, 3, 4 and 3 more; pairs"):
        differences(dict.fromkeys(range(8), 0.5), {})


@pytest.mark.parametrize("n", [2, 3, 10, 19])
def test_few_differences_are_tested_by_student(n: int) -> None:
    values = (np.array(SKEWED[:n]) - 1).tolist()
    assert p_value(values) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, rel=1e-9)


def test_from_20_on_by_the_bootstrap_too() -> None:
    """And by Student's t: the larger p counts. Against t of resamples that are drawn here, at shifts with p from 0.001
    to 1: p of one side is a share of 4,999, and the one that it is compared with of 49,999."""
    larger = 0
    generator = np.random.default_rng(6)
    drawn = np.array(SKEWED)[generator.integers(30, size=(49_999, 30))]
    t = (drawn.mean(axis=1) - np.mean(SKEWED)) / (drawn.std(axis=1, ddof=1) / math.sqrt(30))
    for shift in (0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 2.0):
        values = (np.array(SKEWED) - shift).tolist()
        seen = np.mean(values) / (np.std(values, ddof=1) / math.sqrt(30))
        side = min(np.mean(t >= seen), np.mean(t <= seen))
        give = 4 * math.sqrt(max(side, 1e-3) * (1 - side) * (1 / 4999 + 1 / 49_999)) + 1 / 5000
        usual = stats.ttest_1samp(values, 0.0).pvalue
        larger += 2 * side > usual
        assert p_value(values) == pytest.approx(max(usual, min(1, 2 * side)), abs=2 * give)
    assert 1 < larger < 6


@given(st.integers(2, 40), st.floats(-1, 1), st.booleans(), st.integers(0, 2**32), st.sampled_from([0.9, 0.95, 0.99]))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_p_is_small_where_the_interval_excludes_0(
    n: int, shift: float, skewed: bool, seed: int, confidence: float
) -> None:
    generator = np.random.default_rng(seed)
    values = (generator.lognormal(size=n) - 1.6 if skewed else generator.normal(size=n)) + shift
    found = mean_interval(values.tolist(), confidence)
    assert found.low is not None and found.high is not None
    p = p_value(values.tolist())
    assert p is not None
    assert (p <= (1 - confidence) * (1 + 1e-9)) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("n", [12, 20, 30])
def test_at_the_edge_of_the_interval_p_is_5_percent(n: int) -> None:
    """Of resamples one more is counted just inside, which is 0.0004."""
    found = mean_interval(SKEWED[:n])
    for bound, inwards in ((found.low, 1e-9), (found.high, -1e-9)):
        assert bound is not None
        inside, outside = (p_value([value - bound - step for value in SKEWED[:n]]) for step in (inwards, -inwards))
        assert inside is not None and outside is not None
        assert 0.05 < inside < 0.0504001
        assert 0.0499999 < outside <= 0.05


@given(st.lists(st.integers(-20, 20).map(lambda images: images / 100), min_size=2, max_size=40))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_p_knows_neither_order_nor_which_is_first(values: list[float]) -> None:
    p = p_value(values)
    assert p is not None and 0 <= p <= 1
    assert p_value(values[::-1]) == pytest.approx(p, rel=1e-9)
    if len(values) < 20 or abs(np.sum((np.array(values) - np.mean(values)) ** 3)) > 1e-9:
        assert p_value([-value for value in values]) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_equal_differences(n: int) -> None:
    assert p_value([0.0] * n) == 1.0
    assert p_value([0.25] * n) == 0.0
    assert p_value(([-0.3, -(0.1 + 0.2)] * n)[:n]) == 0.0


def test_a_few_dead_chips_are_tested_by_student() -> None:
    values = [0.8, 0.8, *np.random.default_rng(9).normal(0.0, 0.005, 28).tolist()]
    assert p_value(values) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, rel=1e-9)


def test_one_chip_allows_no_test() -> None:
    assert p_value([0.5]) is None
    assert p_value([0.0]) is None


def test_p_takes_the_resamples_that_it_is_given() -> None:
    assert p_value([value + 5 for value in SKEWED]) == pytest.approx(2 / 5000)
    assert p_value([value + 5 for value in SKEWED], resamples=99) == pytest.approx(0.02)
    assert p_value([value - 2 for value in SKEWED]) != p_value([value - 2 for value in SKEWED], seed=1)


@pytest.mark.parametrize(("values", "message"), [([], "no values"), ([0.1, math.inf], "value 1 of 2 is inf")])
def test_what_cannot_be_tested_is_refused(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        p_value(values)


def test_holm_by_hand() -> None:
    """0.01 x 4; 0.02 x 3; 0.03 x 2; 0.035 x 1 is less than the one before."""
    assert holm([0.03, 0.01, 0.035, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.4, 0.6, 0.001]) == pytest.approx([0.8, 0.8, 0.003])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_what_was_not_tested_is_no_member_of_the_family() -> None:
    found = holm([None, 0.02, math.nan, 0.03])
    assert found[0] is None
    assert found[2] is not None and math.isnan(found[2])
    assert found[1::2] == pytest.approx([0.04, 0.04])


@given(st.lists(st.floats(0, 1), max_size=20))
@settings(deadline=None, derandomize=True)
def test_holm_rejects_step_by_step(p: list[float]) -> None:
    """Holm 1979: in ascending order, as long as p_i <= level / (m - i + 1)."""
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for step, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[at] > level / (len(p) - step):
                break
            rejected.add(at)
        close = any(math.isclose(value * (len(p) - i), level) for value in p for i in range(len(p)))
        assert close or {at for at, value in enumerate(adjusted) if value is not None and value <= level} == rejected


@pytest.mark.parametrize("value", [-0.1, 1.1, math.inf])
def test_no_probability(value: float) -> None:
    with pytest.raises(ValueError, match=rf"a p-value lies between 0 and 1 \(got {value}\)"):
        holm([0.5, value])
