"""Operating windows: where a mean crosses what is asked, and how well that is known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from analogsim.results import interval
from analogsim.statistics import Bounds, End, Window, window
from analogsim.statistics.margin import at_most_zero

T = 12.706204736432095  # Student's, one degree of freedom, 97.5 %
LEVELS = (1.0, 10.0, 100.0)


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[float], dict[int, list[float]]]:
    """Levels and the scores of chips, in 64ths, so that sums are exact; 1/2 is asked."""
    count = draw(st.integers(2, 6))
    steps = draw(st.lists(st.floats(0.1, 3), min_size=count, max_size=count))
    levels = np.exp(np.cumsum(steps) - 3).tolist()
    if draw(st.booleans()):
        levels[0] = 0.0
    score = st.integers(0, 64).map(lambda part: part / 64)
    chips = draw(st.lists(st.lists(score, min_size=count, max_size=count), min_size=1, max_size=6))
    return levels, dict(enumerate(chips))


def _interpolated(levels: Sequence[float], scores: Sequence[float], noise: float) -> float:
    """By numpy."""
    if levels[0] == 0 and noise <= levels[1]:
        return float(np.interp(noise, levels[:2], scores[:2]))
    skipped = int(levels[0] == 0)
    return float(np.interp(math.log(noise), np.log(levels[skipped:]), scores[skipped:]))


def _values(found: Window) -> list[float | None]:
    ends = [end for end in (found.low, found.high) if end is not None]
    bounds = [bound for end in ends if end.bounds for bound in (end.bounds.lower, end.bounds.upper)]
    return [end.noise for end in ends] + bounds


def _same(first: Window, second: Window, factor: float = 1.0) -> None:
    for one, other in zip(_values(first), _values(second), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert factor * one == pytest.approx(other, rel=1e-6)
    assert (first.gaps, first.certain, first.reached) == (second.gaps, second.certain, second.reached)


@pytest.mark.parametrize(
    ("levels", "scores", "low", "high"),
    [
        (LEVELS, [0.5, 0.9, 0.5], (math.sqrt(10), False), (10 * math.sqrt(10), False)),
        (LEVELS, [0.8, 0.8, 0.4], (1, True), (10 * 10**0.25, False)),
        (LEVELS, [0.4, 0.8, 0.8], (10**0.75, False), (100, True)),
        (LEVELS, [0.7, 0.8, 0.7], (1, True), (100, True)),  # at the edge is within
        (LEVELS, [0.1, 0.7, 0.1], (10, False), (10, False)),
        ((0.0, 1.0, 10.0), [0.9, 0.5, 0.1], (0, True), (0.5, False)),  # between 0 and 1 along noise itself
        ((0.0, 1.0, 10.0), [0.6, 0.8, 0.6], (0.5, False), (math.sqrt(10), False)),
        ((0, 1, 10), [0.9, 0.8, 0.6], (0, True), (math.sqrt(10), False)),
        ((1.0, 100.0), [0.9, 0.5], (1, True), (10, False)),
    ],
)
def test_windows_by_hand(
    levels: Sequence[float], scores: list[float], low: tuple[float, bool], high: tuple[float, bool]
) -> None:
    """0.7 is asked; one chip has no bounds."""
    found = window(levels, {0: scores}, reference=1.0, share=0.7)
    assert found.low is not None and found.high is not None
    assert (found.low.noise, found.low.open) == (pytest.approx(low[0], rel=1e-12), low[1])
    assert (found.high.noise, found.high.open) == (pytest.approx(high[0], rel=1e-12), high[1])
    assert (found.low.bounds, found.high.bounds, found.certain, found.gaps) == (None, None, None, False)
    assert found.reached


def test_a_window_that_is_not_there() -> None:
    assert window(LEVELS, {0: [0.1, 0.69, 0.1]}, 1.0, 0.7) == Window(None, None, False, None)
    assert not window(LEVELS, {0: [0.1, 0.69, 0.1]}, 1.0, 0.7).reached
    sure = window(LEVELS, {0: [0.1, 0.11, 0.1], 1: [0.1, 0.1, 0.1]}, 1.0, 0.7)
    assert sure == Window(None, None, False, True)
    assert window(LEVELS, {0: [0.1, 0.69, 0.1], 1: [0.1, 0.5, 0.1]}, 1.0, 0.7) == Window(None, None, False, False)


def test_rounding_decides_nothing() -> None:
    """0.3 is asked, as 0.1 + 0.2."""
    found = window(LEVELS, {0: [0.1, 0.3, 0.1]}, 1.0, 0.1 + 0.2)
    assert found.low == found.high == End(10.0, False, None)


def test_gaps_are_told() -> None:
    found = window((1.0, 10.0, 100.0, 1000.0), {0: [0.8, 0.6, 0.8, 0.6]}, 1.0, 0.7)
    assert found.gaps
    assert found.low == End(1.0, True, None)
    assert found.high is not None and found.high.noise == pytest.approx(100 * math.sqrt(10))


def test_bounds_by_hand() -> None:
    """Margins of two chips +-d about 1 - 2 u: the set is |1 - 2 u| <= t d."""
    d = 0.05
    found = window((1.0, 10.0), {0: [2 + d, 0 + d], 1: [2 - d, 0 - d]}, reference=1.0, share=1.0)
    assert found.high is not None and found.high.bounds is not None
    assert found.high.noise == pytest.approx(math.sqrt(10))
    assert found.high.bounds.lower == pytest.approx(10 ** ((1 - T * d) / 2))
    assert found.high.bounds.upper == pytest.approx(10 ** ((1 + T * d) / 2))
    assert found.low == End(1.0, True, Bounds(None, 1.0))  # the interval at the lowest level lies above 0
    assert found.certain


def test_bounds_of_scores_that_fan_out() -> None:
    """Margins of two chips 1 - 2 u +- d u: |1 - 2 u| = t d u at 1 / (2 +- t d)."""
    d = 0.05
    found = window((1.0, 10.0), {0: [2, 0 + d], 1: [2, 0 - d]}, reference=1.0, share=1.0)
    assert found.high is not None and found.high.bounds is not None
    assert found.high.bounds.lower == pytest.approx(10 ** (1 / (2 + T * d)))
    assert found.high.bounds.upper == pytest.approx(10 ** (1 / (2 - T * d)))


def test_bounds_may_be_open() -> None:
    """t d = 1.27 is more than the margin at any level: neither end is known, nor that there is a window."""
    d = 0.1
    chips = {at: [1 + sign * d - 0.5, 1 + sign * d + 0.5, 1 + sign * d - 0.5] for at, sign in enumerate((1, -1))}
    found = window(LEVELS, chips, reference=1.0, share=1.0)
    assert found.low is not None and found.high is not None
    assert found.low.bounds == found.high.bounds == Bounds(None, None)
    assert found.certain is False


def test_bounds_of_an_open_end_that_may_lie_within() -> None:
    """The margin is 0.5, 0.5, 0.1 with t d = 0.32: above the middle the end may be anywhere."""
    d = 0.025
    chips = {at: [1.5 + sign * d, 1.5 + sign * d, 1.1 + sign * d] for at, sign in enumerate((1, -1))}
    found = window(LEVELS, chips, reference=1.0, share=1.0)
    assert found.high is not None and found.high.bounds is not None
    assert (found.high.noise, found.high.open, found.high.bounds.upper) == (100.0, True, None)
    assert found.high.bounds.lower == pytest.approx(10 * 10 ** ((0.5 - T * d) / 0.4))
    assert found.low == End(1.0, True, Bounds(None, 1.0))


def test_a_reference_on_the_same_chips_is_paired() -> None:
    """Chips differ, but each by as much as its reference: the end is known exactly."""
    scores = {at: [0.9 + shift, 0.7 + shift] for at, shift in enumerate((-0.05, 0.0, 0.05))}
    reference = {at: 1.6 + 2 * shift for at, shift in enumerate((-0.05, 0.0, 0.05))}
    found = window((1.0, 100.0), scores, reference | {3: 5.0}, 0.5)
    assert found.high is not None and found.high.bounds is not None
    assert [found.high.noise, found.high.bounds.lower, found.high.bounds.upper] == pytest.approx([10] * 3, rel=1e-6)
    free = window((1.0, 100.0), scores, 0.8, 1.0)
    assert free.high is not None and free.high.bounds is not None
    assert free.high.noise == pytest.approx(10)
    assert free.high.bounds == Bounds(None, None)


@pytest.mark.parametrize("reference", [{8: 0.7, 9: 0.9}, {0: 0.7, 9: 0.9}])
def test_a_reference_on_other_chips_adds_its_variance(reference: dict[int, float]) -> None:
    """Three exact chips, 1.2 - u of 0.8 asked; the reference's error is 0.1, with one degree of freedom."""
    scores = {key: [1.2, 0.2] for key in range(3)}
    found = window((1.0, 10.0), scores, {key: value * 10 for key, value in reference.items()}, 0.1)
    assert found.high is not None and found.high.bounds == Bounds(None, None)
    narrow = {key: 8 + (value - 0.8) / 4 for key, value in reference.items()}  # error of 0.1 x it: 0.0025
    found = window((1.0, 10.0), scores, narrow, 0.1)
    assert found.high is not None and found.high.bounds is not None
    assert found.high.noise == pytest.approx(10**0.4)
    assert found.high.bounds.lower == pytest.approx(10 ** (0.4 - T * 0.0025))
    assert found.high.bounds.upper == pytest.approx(10 ** (0.4 + T * 0.0025))


def test_a_reference_of_one_other_chip_allows_no_bounds() -> None:
    found = window((1.0, 10.0), {key: [1.2, 0.2] for key in range(3)}, {9: 0.8}, 1.0)
    assert found.high is not None
    assert (found.high.bounds, found.certain) == (None, None)


def test_equal_chips_know_the_end_exactly() -> None:
    found = window(LEVELS, {0: [0.5, 0.9, 0.2], 1: [0.5, 0.9, 0.2]}, 1.0, 0.7)
    for end in (found.low, found.high):
        assert end is not None and end.bounds is not None
        assert [end.bounds.lower, end.bounds.upper] == pytest.approx([end.noise] * 2, rel=1e-6)
    assert found.certain


@given(studies(), st.sampled_from([1e-6, 0.01, 3.0, 1e9]))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_the_unit_of_noise_does_not_matter(study: tuple[list[float], dict[int, list[float]]], factor: float) -> None:
    levels, scores = study
    _same(window(levels, scores, 1.0, 0.5), window([factor * level for level in levels], scores, 1.0, 0.5), factor)


@given(studies(), st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_the_order_of_chips_does_not_matter(study: tuple[list[float], dict[int, list[float]]], random) -> None:
    levels, scores = study
    keys = list(scores)
    random.shuffle(keys)
    _same(window(levels, scores, 1.0, 0.5), window(levels, {key: scores[key] for key in keys}, 1.0, 0.5))


@given(studies())
@settings(deadline=None, derandomize=True, max_examples=100)
def test_scores_that_fall_with_noise_have_one_end(study: tuple[list[float], dict[int, list[float]]]) -> None:
    levels, scores = study
    found = window(levels, {key: sorted(values, reverse=True) for key, values in scores.items()}, 1.0, 0.5)
    assert not found.gaps
    assert found.low is None or (found.low.noise, found.low.open) == (levels[0], True)
    assert found.high is None or found.high.noise >= levels[0]


@given(studies())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_ends_lie_where_the_mean_is_what_is_asked(study: tuple[list[float], dict[int, list[float]]]) -> None:
    """Between levels, or at the outermost where open; and beyond them no level is reached."""
    levels, scores = study
    means = np.mean(list(scores.values()), axis=0)
    found = window(levels, scores, 1.0, 0.5)
    assert found.reached == bool((means >= 0.5).any())
    if found.low is None or found.high is None:
        return
    assert levels[0] <= found.low.noise <= found.high.noise <= levels[-1]
    for end, level in ((found.low, 0), (found.high, -1)):
        assert end.open == (means[level] >= 0.5)
        if end.open:
            assert end.noise == levels[level]
        else:
            assert _interpolated(levels, means, end.noise) == pytest.approx(0.5, abs=1e-9)
    inside = [found.low.noise <= level <= found.high.noise for level in levels]
    assert all(mean < 0.5 for mean, within in zip(means, inside, strict=True) if not within)
    assert found.gaps == any(mean < 0.5 for mean, within in zip(means, inside, strict=True) if within)


@given(studies(), st.floats(0, 1))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_bounds_are_where_the_interval_of_interpolated_margins_ends(
    study: tuple[list[float], dict[int, list[float]]], part: float
) -> None:
    """0 is at the edge of it there, and within it in between."""
    levels, scores = study
    assume(len(scores) > 1)
    found = window(levels, scores, 1.0, 0.5)
    for end in (found.low, found.high):
        if end is None:
            continue
        assert end.bounds is not None
        lower, upper = end.bounds.lower, end.bounds.upper
        low, high = levels[0] if lower is None else lower, levels[-1] if upper is None else upper
        assert levels[0] <= low <= end.noise * (1 + 1e-9)
        assert end.noise * (1 - 1e-9) <= high <= levels[-1]
        for noise, edge in ((lower, True), (upper, True), (low + part * (high - low), False)):
            if noise is None or noise in levels[:: len(levels) - 1]:
                continue
            mean, half = interval([_interpolated(levels, chip, noise) - 0.5 for chip in scores.values()])
            assert half is not None
            assert abs(mean) <= half + 1e-6
            assert not edge or abs(mean) >= half - 1e-6


@given(st.tuples(*[st.integers(-50, 50).map(lambda part: part / 10)] * 3))
@example((1.0, 0.0, -1.0))  # straight lines
@example((-1.0, 0.0, 1.0))
@settings(deadline=None, derandomize=True, max_examples=500)
def test_quadratics_are_solved(quadratic: tuple[float, float, float]) -> None:
    """Against 1,001 points; within 1e-9 of 0 the sign is rounding's."""
    left, mixed, right = quadratic
    u = np.linspace(0, 1, 1001)
    value = (1 - u) ** 2 * left + 2 * u * (1 - u) * mixed + u**2 * right
    found = at_most_zero(*quadratic)
    inside = np.any([(low <= u) & (u <= high) for low, high in found], axis=0) if found else np.zeros(1001, bool)
    assert np.all((inside == (value <= 0)) | (np.abs(value) < 1e-9))
    assert all(0 <= low <= high <= 1 for low, high in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [1.0]}, r"two levels of noise at least \(got 1\)"),
        ({"levels": [1.0, 1.0]}, r"finite and ascend \(got 1.0, 1.0\)"),
        ({"levels": [-1.0, 1.0]}, r"0 or more, finite and ascend \(got -1.0, 1.0\)"),
        ({"levels": [1.0, math.inf]}, "finite and ascend"),
        ({"levels": [math.nan, 1.0]}, "finite and ascend"),
        ({"scores": {}}, "no chips"),
        ({"scores": {(0, 3): [0.5]}}, r"chip \(0, 3\) has 1 scores for 2 levels of noise; give one each"),
        ({"scores": {(0, 3): [0.5, math.nan]}}, r"chip \(0, 3\): value 1 of 2 is nan"),
        ({"reference": math.nan}, "value 0 of 1 is nan"),
        ({"reference": {}}, "no values"),
        ({"reference": {(0, 0): math.inf}}, "value 0 of 1 is inf"),
        ({"share": 0.0}, r"share of the reference is above 0 \(got 0.0\)"),
        ({"share": math.inf}, "share of the reference"),
        ({"confidence": 95}, r"confidence lies between 0 and 1 \(got 95\)"),
    ],
)
def test_bad_input_is_refused(change: dict, message: str) -> None:
    given_ = {"levels": [1.0, 2.0], "scores": {(0, 0): [0.5, 0.4]}, "reference": 1.0, "share": 0.9}
    with pytest.raises(ValueError, match=message):
        window(**{**given_, **change})
