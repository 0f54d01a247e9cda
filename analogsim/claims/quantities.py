"""What a quantity comes to: one number for each chip of a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from analogsim.claims.metrics import MISSING, MORE_IS_BETTER
from analogsim.claims.points import axes_called, is_place
from analogsim.claims.tree import Quantity
from analogsim.results import ArmResult, Curve, Metrics, Result

Key = tuple[Any, int, tuple[tuple[str, str], ...]]
"""Of a chip: its seed, its number, and its place on the axes of which no point was named."""


class NotThereError(Exception):
    """A result does not hold what a claim speaks of; the message says what, and why."""


def values(quantity: Quantity, result: Result, curves: Sequence[Curve]) -> dict[Key, float]:
    """The quantity of each chip; nan where a chip has none.

    Raises:
        NotThereError: no such arm, point, metric, layer or epoch was run.
    """
    if quantity.arm not in result.arms:
        raise NotThereError(f"{quantity.arm} has no result")
    arm = result.arms[quantity.arm]
    history = _history(quantity.arm, arm, curves)
    found = {
        key: _value(quantity, arm, at, history)
        for at, chip in enumerate(arm.chips)
        if (key := _key(quantity, chip.coordinates, result.seed)) is not None
    }
    if not found:
        point = ", ".join(f"{axis}={place}" for axis, place in quantity.point)
        raise NotThereError(f"{quantity.arm} has no chips with {point}")
    return found


def _key(quantity: Quantity, coordinates: dict[str, Any], seed: Any) -> Key | None:
    """Of a chip; None: it is not at the point that is meant."""
    axes = {axis: place for axis, place in coordinates.items() if axis != "chip"}
    left = dict(axes)
    for word, written in quantity.point:
        called = axes_called(word, axes)
        if len(called) != 1:
            raise NotThereError(f"{quantity.arm} has no axis {word}")
        if not is_place(written, axes[called[0]]):
            return None
        left.pop(called[0], None)
    left.pop("seed", None)
    return str(axes.get("seed", seed)), coordinates["chip"], tuple(sorted((a, str(p)) for a, p in left.items()))


def _history(name: str, arm: ArmResult, curves: Sequence[Curve]) -> list[tuple[Curve, bool]]:
    """Evaluations of the chips that an arm ends on, each with whether its stage had just begun."""
    found: list[tuple[Curve, bool]] = []
    for curve in curves:
        if curve.arm == name and curve.stage >= arm.first_stage:
            found.append((curve, not found or found[-1][0].stage != curve.stage))
    if not found:
        raise NotThereError(f"{name} has no evaluations")
    return found


def _value(quantity: Quantity, arm: ArmResult, at: int, history: Sequence[tuple[Curve, bool]]) -> float:
    metric, name = quantity.metric, quantity.function
    if metric is None:
        return float(arm.chips[at].status == "diverged")
    series = [
        (curve.chips[at].epoch, _number(curve.chips[at], metric, quantity.layer))
        for curve, begins in history
        if metric != "train_loss" or not begins  # a mean since the evaluation before
    ]
    if not series:
        raise NotThereError(f"{quantity.arm} has no {metric} yet")
    known = [value for _, value in series if not math.isnan(value)]
    match name:
        case "final" | "angle":
            return series[-1][1]
        case "initial":
            return series[0][1]
        case "at":
            return _at(quantity, series)
        case "reach":
            return _reach(quantity, series)
        case "least":
            return min(known, default=math.nan)
        case "most":
            return max(known, default=math.nan)
    best = (max if MORE_IS_BETTER[metric] else min)(known, default=math.nan)
    return best if name == "best" else _first(series, best)


def _first(series: Sequence[tuple[float, float]], best: float) -> float:
    """The epoch of the first evaluation with this value; nan where there is none, or the value tells nothing."""
    return next((epoch for epoch, value in series if value == best and not math.isinf(value)), math.nan)


def _at(quantity: Quantity, series: Sequence[tuple[float, float]]) -> float:
    """At the last evaluation that is not after the epoch."""
    assert quantity.number is not None
    epoch, last = quantity.number.value, series[-1][0]
    if last < epoch - 1e-9:
        raise NotThereError(f"{quantity.arm} was trained for {last:g} epochs, and {quantity} asks for a later one")
    before = [value for when, value in series if when <= epoch + 1e-9]
    if not before:
        raise NotThereError(f"{quantity.arm} has no evaluation up to epoch {epoch:g}")
    return before[-1]


def _reach(quantity: Quantity, series: Sequence[tuple[float, float]]) -> float:
    """The epoch of the first evaluation that is at least as good; infinite where there is none."""
    assert quantity.number is not None and quantity.metric is not None
    target, more = quantity.number.value, MORE_IS_BETTER[quantity.metric]
    return next((e for e, value in series if (value >= target if more else value <= target)), math.inf)


def _number(metrics: Metrics, metric: str, layer: int | None) -> float:
    if metric in MISSING:
        value = getattr(metrics, metric)
        return MISSING[metric] if value is None else value
    layers = metrics.diagnostics.get(metric)
    if layers is None:
        raise NotThereError(f"{metric} was not measured")
    if layer is not None:
        if not -len(layers) <= layer < len(layers):
            raise NotThereError(f"there is no layer {layer}")
        layers = (layers[layer],)
    known = [value for value in layers if value is not None]
    return math.fsum(known) / len(known) if known else math.nan
