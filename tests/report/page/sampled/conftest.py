"""A study whose settings were sampled, and what makes more of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from analogsim.outcomes import StudyFolder, outcomes
from analogsim.report.page.samples import Sampled, samples
from analogsim.report.page.standing import rankings
from analogsim.report.page.view import View, view
from analogsim.statistics import mean_interval

SIGMA, BITS, LR = "chip.overrides.read_noise.sigma", "chip.overrides.adc.bits", "train.optimizer.adam.lr"


class Sampling:
    """Makes the points of studies, and reckons from their folders what a page should say.

    Args:
        studies: makes studies.
    """

    def __init__(self, studies: Any) -> None:
        self._studies = studies

    @staticmethod
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

    def axes(self, points: list[dict[str, str]]) -> list[Any]:
        places = {name: [point[name] for point in points] for name in (SIGMA, BITS, LR)}
        return [
            self._studies.sampled(SIGMA, "read noise sigma", places[SIGMA], 0.1, 10, unit="%", scale="log"),
            self._studies.sampled(BITS, "adc bits", places[BITS], 4, 8),
            self._studies.sampled(LR, "lr", places[LR], 0.001, 0.01, shared=True),
        ]

    @staticmethod
    def falls(top: float, slope: float = 0.1, own: float = 0.03, salt: str = "") -> Callable[..., float]:
        """Falls with the logarithm of noise; chips differ, and points have something of their own."""

        def value(place: Mapping[str, str], numbers: random.Random) -> float:
            of_point = random.Random(f"{salt}{place[SIGMA]}").uniform(-own, own)
            return top - slope * math.log10(float(place[SIGMA].split()[0])) + of_point + numbers.uniform(-0.02, 0.02)

        return value

    @staticmethod
    def chips(folder: StudyFolder, arm: str) -> dict[tuple[str, ...], list[float]]:
        """By point, accuracies of an arm's chips."""
        points: dict[tuple[str, ...], list[float]] = {}
        for row in outcomes(folder):
            if row.arm == arm:
                points.setdefault(tuple(row.place.values()), []).append(row.accuracy or 0.0)
        return points

    @staticmethod
    def means(folder: StudyFolder, arm: str) -> dict[tuple[str, ...], float]:
        return {point: math.fsum(values) / len(values) for point, values in Sampling.chips(folder, arm).items()}

    @staticmethod
    def written(values: list[float]) -> str:
        each = mean_interval(values)
        return f"{100 * each.mean:.2f} [{100 * each.low:.2f}, {100 * each.high:.2f}]".replace("-", "−")


@pytest.fixture(scope="session")
def sampling(studies: Any) -> Sampling:
    return Sampling(studies)


@pytest.fixture(scope="session")
def points(sampling: Sampling) -> list[dict[str, str]]:
    return sampling.drawn(14)


@pytest.fixture(scope="session")
def folder(studies: Any, sampling: Sampling, points: list[dict[str, str]]) -> StudyFolder:
    arms = {
        "bp": studies.arm(sampling.falls(0.85), "bp", oracle=("output_error",)),
        "np": studies.arm(sampling.falls(0.6)),
        "danp": studies.arm(sampling.falls(0.62, salt="danp")),
        "flat": studies.arm(sampling.falls(0.4, slope=0.0)),
    }
    making = {"chips": 3, "epochs": (0.0, 1.0, 2.0)}
    everything = [*sampling.axes(points), studies.seeds(2, folded=False)]
    return studies(arms, everything, points=points, reference=lambda *_: 0.95, making=making)


@pytest.fixture(scope="session")
def seen(folder: StudyFolder) -> View:
    return view(folder)


@pytest.fixture(scope="session")
def found(seen: View) -> Sampled:
    [only] = samples(seen, rankings(seen))
    return only


@pytest.fixture(scope="session")
def tables(studies: Any, folder: StudyFolder) -> dict[str, list[dict[str, str]]]:
    return studies.tables(studies.page(folder))
