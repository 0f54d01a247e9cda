"""The operating window: from which noise to which noise a rule reaches a share of what a reference reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analogsim.statistics.curves import curves, noise_at
from analogsim.statistics.margin import Margin, margin
from analogsim.statistics.paired import Key
from analogsim.statistics.sample import checked, mean_and_error


@dataclass(frozen=True)
class Bounds:
    """A confidence set of an end, in the unit of the levels.

    Attributes:
        lower: the end may lie this low; None: as low as the lowest level, or lower.
        upper: the end may lie this high; None: as high as the highest level, or higher.
    """

    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class End:
    """One end of a window.

    Attributes:
        noise: where the mean score crosses what is asked, in the unit of the levels; of an open end the last level.
        open: whether the lowest (highest) level is within the window, which then ends beyond it, or nowhere.
        bounds: where the end may lie; None below two chips.
    """

    noise: float
    open: bool
    bounds: Bounds | None


@dataclass(frozen=True)
class Window:
    """The levels of noise at which a mean score is at least what is asked.

    Attributes:
        low: its lower end; None where no level is reached.
        high: its upper end; None where no level is reached.
        gaps: whether the mean is below what is asked somewhere between the ends.
        certain: whether the intervals say so, too. Of a window: at one level or more the whole interval lies above what
            is asked. Of none: at every level it lies below. None below two chips.
    """

    low: End | None
    high: End | None
    gaps: bool
    certain: bool | None

    @property
    def reached(self) -> bool:
        """Whether there is a window."""
        return self.low is not None


def window(
    levels: Sequence[float],
    scores: Mapping[Key, Sequence[float]],
    reference: float | Mapping[Key, float],
    share: float,
    confidence: float = 0.95,
) -> Window:
    """The lowest and the highest noise at which the mean score is at least share x reference.

    The score of each chip is linear in log noise between levels, and in noise between 0 and the first positive level.

    An end's confidence set holds each noise x at which Student's interval of the mean over chips of score(x) - share x
    reference contains 0, as far as it hangs together with the end: a test turned round (Fieller 1954), exact at each x
    for normal margins, with any number of chips. Where scores hardly change with noise it is wide, and its bounds may
    be open. Where both ends have the same set, the data do not say that there is a window at all (`certain`).

    Args:
        levels: of noise, ascending, two at least; the first may be 0.
        scores: of each chip, one at each level; more is better.
        reference: scores of a common reference by chip. If it has all chips of `scores`, margins are formed chip by
            chip. If not, its mean is taken and the variance of that added, with the degrees of freedom of the smaller
            sample, which is on the safe side of Welch's; a reference of one chip allows no bounds. A single number is
            taken as exact.
        share: of the reference, above 0; such as 0.9.
        confidence: share of the sets that hold the true end.

    Raises:
        ValueError: levels that do not ascend, no chips, a chip without a finite score at each level, a reference
            that is not finite, a share or a confidence that is none.
    """
    if not 0 < share < float("inf"):
        raise ValueError(f"a share of the reference is above 0 (got {share}); 0.9 is usual")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1 (got {confidence}); 0.95 is usual")
    found = curves(levels, scores)
    spread = None
    if not isinstance(reference, Mapping):
        [asked] = checked([reference])
        asked = np.array([share * asked])
    elif all(key in reference for key in scores):
        asked = share * np.array(checked([reference[key] for key in scores]))
    else:
        values = checked(list(reference.values()))
        asked = np.array([share * np.mean(values)])
        spread = ((share * mean_and_error(values)[1]) ** 2 if len(values) > 1 else 0.0, len(values))
    return _window(levels, margin(found, asked, confidence, spread))


def _window(levels: Sequence[float], margin: Margin) -> Window:
    mean, excess = margin.mean, margin.excess
    last = len(mean) - 1
    inside = [at for at, value in enumerate(mean) if value >= 0]
    if not inside:
        return Window(None, None, False, min(excess) > 0 if excess else None)
    first, final = inside[0], inside[-1]
    low = float(first) if first == 0 else first - 1 + _crossing(mean[first - 1], mean[first])
    high = float(final) if final == last else final + _crossing(mean[final], mean[final + 1])
    return Window(
        End(noise_at(levels, low), first == 0, _bounds(levels, margin, low)),
        End(noise_at(levels, high), final == last, _bounds(levels, margin, high)),
        len(inside) < final - first + 1,
        any(value > 0 and more > 0 for value, more in zip(mean, excess, strict=True)) if excess else None,
    )


def _crossing(left: float, right: float) -> float:
    """Where the straight line between two values of unlike sign is 0, as a part of the way."""
    return left / (left - right)


def _bounds(levels: Sequence[float], margin: Margin, position: float) -> Bounds | None:
    """The confidence set around an end's position."""
    if not margin.excess:
        return None
    near = 1e-9  # a set of one point may be missed by rounding
    sets = [each for each in margin.undecided() if each[0] - near <= position <= each[1] + near]
    low, high = sets[0] if sets else (position, position)
    low, high = min(low, position), max(high, position)
    return Bounds(
        None if low == 0 else noise_at(levels, low),
        None if high == len(levels) - 1 else noise_at(levels, high),
    )
