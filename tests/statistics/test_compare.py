"""All rules against each other."""

import math
from itertools import combinations

import numpy as np
import pytest

from analogsim.statistics import Interval, comparisons, differences, holm, mean_interval, p_value, ranking

CHIPS = [(seed, chip) for seed in range(2) for chip in range(5)]


def _scores(means: dict[str, float], spread: float = 0.01, n: int = 10, seed: int = 1) -> dict[str, dict]:
    """Of rules on chips of which some are far better than others."""
    generator = np.random.default_rng(seed)
    chips = generator.normal(0.0, 0.1, n)
    keys = CHIPS if n == 10 else range(n)
    return {
        name: dict(zip(keys, (mean + chips + generator.normal(0.0, spread, n)).tolist(), strict=True))
        for name, mean in means.items()
    }


@pytest.mark.parametrize("n", [10, 24])
def test_every_pair_is_compared_once(n: int) -> None:
    scores = _scores({"bp": 0.9, "np": 0.88, "danp": 0.895}, n=n)
    found = comparisons(scores)
    assert [(each.first, each.second) for each in found] == [("bp", "np"), ("bp", "danp"), ("np", "danp")]
    gaps = [differences(scores[each.first], scores[each.second]) for each in found]
    assert [each.difference for each in found] == [mean_interval(gap) for gap in gaps]
    assert [each.p for each in found] == [p_value(gap) for gap in gaps]
    assert [each.adjusted for each in found] == holm([each.p for each in found])


def test_pairs_see_what_chips_have_in_common() -> None:
    """Chips differ by 0.1, rules on a chip by 0.01: a gain of 0.02 is found, though the intervals overlap."""
    scores = _scores({"a": 0.92, "b": 0.9})
    first, second = ranking(scores)
    assert (first.name, first.rank, first.tied) == ("a", 1, ())
    assert (second.name, second.rank, second.tied) == ("b", 2, ())
    assert first.score == mean_interval(list(scores["a"].values()))
    assert first.score.low is not None and second.score.high is not None
    assert first.score.low < second.score.high


def test_ranks_count_those_that_are_better() -> None:
    found = ranking(_scores({"d": 0.5, "a": 0.9, "c": 0.7, "b": 0.7001}))
    assert [(each.name, each.rank) for each in found][:1] == [("a", 1)]
    assert {(each.name, each.rank, each.tied) for each in found[1:3]} == {("b", 2, ("c",)), ("c", 2, ("b",))}
    assert [(each.name, each.rank, each.tied) for each in found[3:]] == [("d", 4, ())]


def test_of_losses_the_lowest_is_best() -> None:
    scores = _scores({"a": 0.9, "b": 0.5, "c": 0.5})
    assert [(each.name, each.rank) for each in ranking(scores, higher_is_better=False)][2] == ("a", 3)
    mirrored = {name: {key: -value for key, value in found.items()} for name, found in scores.items()}
    places = [(each.name, each.rank, each.tied) for each in ranking(mirrored)]
    assert places == [(each.name, each.rank, each.tied) for each in ranking(scores, higher_is_better=False)]


def test_ties_are_not_transitive() -> None:
    """a - b and b - c are uncertain, a - c is not: b shares the first rank, and is tied with both."""
    wobble = [0.03, -0.03, 0.02, -0.02, 0.04, -0.04, 0.01, -0.01, 0.03, -0.03]
    scores = {
        "a": {chip: 0.92 + at * 1e-4 for at, chip in enumerate(CHIPS)},
        "b": {chip: 0.91 + shift for chip, shift in zip(CHIPS, wobble, strict=True)},
        "c": dict.fromkeys(CHIPS, 0.90),
    }
    found = {each.name: (each.rank, each.tied) for each in ranking(scores)}
    assert found == {"a": (1, ("b",)), "b": (1, ("a", "c")), "c": (2, ("b",))}


def test_a_rank_is_ordered_by_the_means() -> None:
    """And a rank may hold a mean below those of the next."""
    scores = {
        "a": dict.fromkeys(CHIPS, 0.9),
        "b": dict.fromkeys(CHIPS, 0.8),
        "c": {chip: 1.0 if at else -1.5 for at, chip in enumerate(CHIPS)},  # 0.75
    }
    assert [(each.name, each.rank) for each in ranking(scores)] == [("a", 1), ("c", 1), ("b", 2)]


def test_the_level_is_that_of_the_family() -> None:
    scores = _scores({"a": 0.908, "b": 0.9})
    [only] = comparisons(scores)
    assert only.adjusted is not None and 0 < only.adjusted < 0.5
    assert [each.rank for each in ranking(scores, level=only.adjusted * 1.01)] == [1, 2]
    assert [each.rank for each in ranking(scores, level=only.adjusted * 0.99)] == [1, 1]
    several = _scores({"a": 0.908, "b": 0.9, "c": 0.904, "d": 0.902})
    least = min(each.p for each in comparisons(several) if each.p is not None)
    assert [each.rank for each in ranking(several, level=5.9 * least)] == [1] * 4
    assert [each.rank for each in ranking(several, level=6.1 * least)] != [1] * 4


def test_equal_rules_share_a_rank() -> None:
    scores = _scores({"a": 0.9})
    found = ranking({"a": scores["a"], "b": scores["a"]})
    assert [(each.rank, each.tied) for each in found] == [(1, ("b",)), (1, ("a",))]
    assert comparisons({"a": scores["a"], "b": scores["a"]})[0].p == 1


def test_many_rules_can_be_separated_by_the_bootstrap() -> None:
    """Of 4,999 resamples p is 0.0004 at least, which 153 pairs would adjust to 0.06."""
    scores = _scores({str(at): 0.9 for at in range(17)} | {"worst": 0.5}, n=20)
    adjusted = [each.adjusted for each in comparisons(scores) if each.second == "worst"]
    assert len(adjusted) == 17
    assert all(value is not None and value <= 0.0101 for value in adjusted)


def test_one_chip_separates_nothing() -> None:
    found = ranking({"a": {0: 0.9}, "b": {0: 0.1}})
    assert [(each.name, each.rank, each.score, each.tied) for each in found] == [
        ("a", 1, Interval(0.9, None, None, 1), ("b",)),
        ("b", 1, Interval(0.1, None, None, 1), ("a",)),
    ]
    [only] = comparisons({"a": {0: 0.9}, "b": {0: 0.1}})
    assert (only.p, only.adjusted) == (None, None)


def test_a_rule_alone_and_none() -> None:
    assert [(each.rank, each.tied) for each in ranking({"a": {0: 0.9, 1: 0.8}})] == [(1, ())]
    assert ranking({}) == [] == comparisons({})


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not the same chips: only np has 1; pairs need both"):
        ranking({"bp": {0: 0.9}, "np": {0: 0.9, 1: 0.8}})
    with pytest.raises(ValueError, match="value 1 of 2 is nan"):
        comparisons({"bp": {0: 0.9, 1: math.nan}, "np": {0: 0.9, 1: 0.8}})
    with pytest.raises(ValueError, match=r"a level lies between 0 and 1 \(got 5\)"):
        ranking({"bp": {0: 0.9}}, level=5)
    assert len(list(combinations("abcdef", 2))) == len(comparisons(_scores(dict.fromkeys("abcdef", 0.9))))
