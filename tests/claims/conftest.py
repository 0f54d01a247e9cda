"""Results that are invented for a claim: values of every arm, point and metric that it speaks of."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from analogsim.claims import Claim, judge
from analogsim.claims.tree import Applied, Binary, Comparison, Expression, Number, Quantity, Statement, quantities
from analogsim.results import ArmResult, ChipResult, Counts, Curve, Metrics, Result

Series = Mapping[str, Sequence[Any]]
RANGES = {"test_accuracy": (0.0, 1.0), "sign_agreement": (0.0, 1.0), "angle": (0.0, 180.0)}
COUNTS = Counts(passes=4, device_writes=9, vectors=100, silent=0, saturated=0.0)


class Maker:
    """Results by hand and by search; a fixture, because test files do not import each other."""

    def chip(self, place: dict[str, Any], series: Series, epochs: Sequence[float], diverged: bool = False) -> Any:
        """A chip with its evaluations; metrics that are no loss or accuracy are layers."""
        known = {name: list(found) for name, found in series.items()}
        of_network = {name: known.pop(name, [0.5] * len(epochs)) for name in ("test_accuracy", "test_loss")}
        train = known.pop("train_loss", [None] * len(epochs))
        history = [
            Metrics(
                epoch=epoch,
                test_accuracy=of_network["test_accuracy"][at],
                test_loss=of_network["test_loss"][at],
                train_loss=train[at],
                diagnostics={name: tuple(found[at]) for name, found in known.items()},
            )
            for at, epoch in enumerate(epochs)
        ]
        status = "diverged" if diverged else "finished"
        chip = ChipResult(coordinates=place, lr=0.1, status=status, final=history[-1], best=history[-1], counts=COUNTS)
        return chip, history

    def arm(self, name: str, chips: Sequence[Any], **more: Any) -> tuple[ArmResult, list[Curve]]:
        """An arm with its curves, from chips as `chip` gives them."""
        settings = {"rule": "anp", "decorrelated": False, "oracle": (), "steps": 2, "passes_per_step": 2, **more}
        rows = zip(*(history for _, history in chips), strict=True)
        curves = [Curve(arm=name, step=at, chips=tuple(row)) for at, row in enumerate(rows)]
        return ArmResult(chips=tuple(chip for chip, _ in chips), **settings), curves

    def run(self, arms: Mapping[str, tuple[ArmResult, list[Curve]]], seed: Any = 0) -> tuple[Result, list[Curve]]:
        """A result with its curves."""
        result = Result(name="invented", seed=seed, arms={name: arm for name, (arm, _) in arms.items()})
        return result, [curve for _, curves in arms.values() for curve in curves]

    def simple(self, metric: str = "test_accuracy", **arms: Sequence[float | None]) -> tuple[Result, list[Curve]]:
        """Arms by the last value of a metric of each chip; the first evaluation is 0.1 of all."""
        return self.run(
            {
                name: self.arm(
                    name, [self.chip({"chip": at}, {metric: (0.1, v)}, (0.0, 2.0)) for at, v in enumerate(found)]
                )
                for name, found in arms.items()
            }
        )

    def verdict(self, claim: str, run: tuple[Result, list[Curve]]) -> Any:
        """The verdict on one claim."""
        [found] = judge([Claim(claim=claim, says="it is so")], *run).claims
        return found

    def search(self, claim: Claim, axes: Mapping[str, Mapping[str, Sequence[Any]]], depth: int, word: str) -> bool:
        """Whether some invented results give the claim this verdict.

        Args:
            claim: to be judged.
            axes: of each arm.
            depth: layers with weights.
            word: the verdict.
        """
        spoken = list(dict.fromkeys(quantities(claim.tree)))
        for levels in _attempts(claim.tree, spoken):
            arms = {
                name: self.arm(name, list(self._chips(name, axes[name], depth, levels)))
                for name in dict.fromkeys(each.arm for each in spoken)
            }
            [found] = judge([claim], *self.run(arms)).claims
            assert found.verdict != "not run", found
            if found.verdict == word:
                return True
        return False

    def _chips(self, arm: str, axes: Mapping[str, Sequence[Any]], depth: int, levels: "Levels") -> Iterator[Any]:
        """Three for each place on the axes; those of different seeds are alike."""
        for place in itertools.product(*axes.values()):
            point = dict(zip(axes, place, strict=True))
            mark = tuple(str(v) for axis, v in point.items() if axis != "seed")
            diverged = levels.diverged(arm, mark)
            for number in range(3):
                series: dict[str, list[Any]] = {}
                for metric in levels.metrics:
                    layers = [levels.series(arm, mark, metric, layer) for layer in range(depth)]
                    if metric in ("test_accuracy", "test_loss", "train_loss"):
                        series[metric] = [levels.jitter(v) for v in layers[0]]
                    else:
                        series[metric] = [[levels.jitter(v) for v in row] for row in zip(*layers, strict=True)]
                yield self.chip({**point, "chip": number}, series, levels.epochs, diverged)


class Levels:
    """Values of one attempt: of each arm at each point in each metric and layer, over the evaluations.

    The first two are constant, and rise or fall from arm to arm; the next draw at random, near the claim's own numbers
    and near each other, and are constant in every other attempt.
    """

    def __init__(self, tree: Statement, spoken: Sequence[Quantity], attempt: int) -> None:
        self._draw, self._attempt = random.Random(attempt), attempt
        self.metrics = list(dict.fromkeys(each.metric for each in spoken if each.metric is not None))
        asked = [each.number.value for each in spoken if each.function == "at" and each.number is not None]
        if any(
            each.function in ("reach", "epoch_of_best") for each in spoken
        ):  # which may have to be any of the claim's numbers
            asked += [number for number in _numbers(tree) if number >= 0]
        self.epochs = sorted({0.0, 1.0, 2.0, 3.0, *asked, 1.0 + max(asked, default=2.0)})  # the last is asked by none
        self._near = list(_combined(_numbers(tree))) or [0.5]
        self._arms = list(dict.fromkeys(each.arm for each in spoken))
        self._anchors = [self._draw.random() for _ in range(3)]
        self._known: dict[tuple[Any, ...], Any] = {}

    def series(self, arm: str, point: tuple[str, ...], metric: str, layer: int) -> list[float]:
        """Of all evaluations."""
        if self._attempt % 2 == 0:
            layer = 0  # all alike
        key = (arm, point, metric, layer)
        if key not in self._known:
            self._known[key] = self._series(arm, *RANGES.get(metric, (0.0, 5.0)), bounded=metric in RANGES)
        return self._known[key]

    def _series(self, arm: str, low: float, high: float, bounded: bool) -> list[float]:
        draw = self._draw
        if self._attempt < 2:
            rank = (self._arms.index(arm) + 1) / (len(self._arms) + 1)
            return [low + (high - low) * (rank if self._attempt else 1 - rank)] * len(self.epochs)

        def level() -> float:
            kind, near = draw.random(), draw.choice(self._near) * draw.choice((0.9, 0.999, 1.0, 1.001, 1.1))
            if kind < 0.5 and near >= low:
                return min(near, high) if bounded else near
            return low + (high - low) * (draw.choice(self._anchors) if kind < 0.75 else draw.random())

        kept = level()
        return [kept if self._attempt % 2 == 0 or draw.random() < 0.6 else level() for _ in self.epochs]

    def jitter(self, value: float) -> float:
        """A little less of it."""
        return value * (1 - 1e-5 * self._draw.random())

    def diverged(self, arm: str, point: tuple[str, ...]) -> bool:
        """Whether chips there have diverged."""
        return self._known.setdefault(("diverged", arm, point), self._draw.random() < 0.5)


def _attempts(tree: Statement, spoken: Sequence[Quantity]) -> Iterator[Levels]:
    yield from (Levels(tree, spoken, attempt) for attempt in range(2000))


def _numbers(tree: Statement | Expression) -> Iterator[float]:
    match tree:
        case Number():
            yield tree.value
        case Quantity(number=number):
            yield from () if number is None else [number.value]
        case Applied(operand=operand):
            yield from _numbers(operand)
        case Binary(left=left, right=right):
            yield from (*_numbers(left), *_numbers(right))
        case Comparison(operands=operands):
            yield from (number for operand in operands for number in _numbers(operand))
        case _:
            yield from (*_numbers(tree.x), *_numbers(tree.target), *_numbers(tree.tolerance))


def _combined(found: Iterator[float]) -> Iterator[float]:
    """Numbers that a quantity may have to be near."""
    constants = list(found)
    yield from constants
    for x, y in itertools.permutations(constants, 2):
        yield from (x * y, x + y, x - y)
        if y:
            yield x / y


@pytest.fixture(scope="session")
def invented() -> Maker:
    return Maker()
