"""How often intervals, comparisons and windows are right where the truth is known.

`python tests/statistics/coverage.py [REPEATS]` prints the tables. A share p of R repeats has a standard error of
sqrt(p (1 - p) / R): 0.5 % of 95 % in 2,000.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from analogsim.statistics import (
    Interval,
    Window,
    comparisons,
    mean_interval,
    student,
    studentised_bootstrap,
    window,
)

Draw = Callable[[np.random.Generator, Any], Any]


def dead(generator: np.random.Generator, size: Any) -> Any:
    """One chip in ten is at chance level."""
    return np.where(generator.random(size) < 0.1, 0.1, generator.normal(0.95, 0.02, size))


def difference(generator: np.random.Generator, size: Any) -> Any:
    """Of two lognormal numbers: symmetric, with long tails."""
    return generator.lognormal(size=size) - generator.lognormal(size=size)


LAWS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda generator, size: generator.normal(size=size), 0.0),
    "lognormal(0, 1)": (lambda generator, size: generator.lognormal(size=size), math.exp(0.5)),
    "exponential": (lambda generator, size: generator.exponential(size=size), 1.0),
    "difference of two lognormals": (difference, 0.0),
    "beta(50, 1)": (lambda generator, size: generator.beta(50, 1, size), 50 / 51),
    "one in ten dead": (dead, 0.9 * 0.95 + 0.1 * 0.1),
}
"""Laws, and their means."""


def percentile(values: Sequence[float]) -> Interval:
    """The percentile bootstrap, for comparison."""
    sample = np.asarray(values)
    drawn = np.random.default_rng(0).integers(len(sample), size=(1999, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), [0.025, 0.975])
    return Interval(float(sample.mean()), float(low), float(high), len(sample))


METHODS: dict[str, Callable[[Sequence[float]], Interval]] = {
    "student": student,
    "studentised_bootstrap": studentised_bootstrap,
    "mean_interval": mean_interval,
    "percentile bootstrap": percentile,
}


def held(method: str, law: str, n: int, repeats: int, seed: int = 1) -> tuple[float, float, float]:
    """Shares of 95 % intervals of n values that hold the mean, lie below it, and lie above it."""
    draw, mean = LAWS[law]
    found = [METHODS[method](row) for row in draw(np.random.default_rng(seed), (repeats, n)).tolist()]
    below = sum(each.high < mean for each in found) / repeats
    above = sum(each.low > mean for each in found) / repeats
    return 1 - below - above, below, above


def false_alarms(law: str, rules: int, n: int, repeats: int, seed: int = 2) -> float:
    """Share of families of equally good rules, on n chips with good and bad ones, of which some pair is separated."""
    draw, _ = LAWS[law]
    generator = np.random.default_rng(seed)
    wrong = 0
    for _ in range(repeats):
        scores = draw(generator, (rules, n)) + 2 * draw(generator, n)
        families = {str(rule): dict(enumerate(row)) for rule, row in enumerate(scores.tolist())}
        wrong += any(each.adjusted <= 0.05 for each in comparisons(families))
    return wrong / repeats


LEVELS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
MEANS = (0.5, 0.7, 0.88, 0.9, 0.84, 0.6)
REFERENCE, SHARE = 0.95, 0.9
ENDS = tuple(
    low * (high / low) ** ((SHARE * REFERENCE - left) / (right - left))
    for low, high, left, right in ((0.01, 0.03, 0.7, 0.88), (0.1, 0.3, 0.9, 0.84))
)
"""Where the true window begins and ends: 0.0258 and 0.228."""


def windows(kind: str, n: int, repeats: int, seed: int = 3) -> Iterator[Window]:
    """Of n chips, of which some are better than others, with a reference on the same, on 15 others, or exact."""
    generator = np.random.default_rng(seed)
    for _ in range(repeats):
        chips = generator.normal(0.0, 0.02, n)
        scores = np.add(MEANS, chips[:, None] + generator.normal(0.0, 0.02, (n, len(MEANS))))
        same = REFERENCE + chips + generator.normal(0.0, 0.01, n)
        others = REFERENCE + generator.normal(0.0, 0.02, 15)
        reference = {"same": dict(enumerate(same)), "others": dict(enumerate(others, start=1000)), "exact": REFERENCE}
        yield window(LEVELS, dict(enumerate(scores.tolist())), reference[kind], SHARE)


def ends_held(kind: str, n: int, repeats: int) -> tuple[float, float]:
    """Shares of confidence sets of the lower and the upper end that hold it."""
    right = [0, 0]
    for found in windows(kind, n, repeats):
        for at, (end, truth) in enumerate(zip((found.low, found.high), ENDS, strict=True)):
            if end is not None and end.bounds is not None:
                lower, upper = end.bounds.lower, end.bounds.upper
                right[at] += (lower is None or lower <= truth) and (upper is None or truth <= upper)
    return right[0] / repeats, right[1] / repeats


def table(repeats: int) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"{repeats} repeats\n"
    yield "| law | n | method | holds the mean | lies below | lies above |\n|---|---|---|---|---|---|"
    for law in LAWS:
        for n in (3, 8, 10, 20, 30):
            for method in METHODS:
                shares = held(method, law, n, repeats)
                yield f"| {law} | {n} | {method} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |"
    yield "\n| law | rules | n | families with a false alarm |\n|---|---|---|---|"
    for law in ("normal", "lognormal(0, 1)", "beta(50, 1)", "one in ten dead"):
        for n in (10, 20):
            yield f"| {law} | 6 | {n} | {100 * false_alarms(law, 6, n, repeats):.1f} % |"
    yield "\n| reference | n | holds the lower end | holds the upper end |\n|---|---|---|---|"
    for kind in ("same", "others", "exact"):
        for n in (3, 10, 30):
            yield f"| {kind} | {n} | {' | '.join(f'{100 * share:.1f} %' for share in ends_held(kind, n, repeats))} |"


if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else 2000):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
