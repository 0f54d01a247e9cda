"""The numbers of expressions. Infinite ones are reckoned with; what has no value is nan, and never an exception."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from analogsim._numbers import ROUNDING, scale
from analogsim.claims.tree import Applied, Binary, Expression, Number, Quantity
from analogsim.results import interval


def evaluate(tree: Expression, of: Callable[[Quantity], float]) -> float:
    """The value of an expression.

    x / 0 is infinite and log(0) is -infinite; 0 / 0, 0 x infinite, infinite - infinite and logarithms of negative
    numbers are nan.

    Args:
        tree: the expression.
        of: the number of a quantity.
    """
    match tree:
        case Number():
            return tree.value
        case Quantity():
            return of(tree)
        case Applied(function=function):
            x = evaluate(tree.operand, of)
            return -x if function == "-" else abs(x) if function == "abs" else _log(x)
        case Binary(operator=operator):
            x, y = evaluate(tree.left, of), evaluate(tree.right, of)
            return x + y if operator == "+" else x - y if operator == "-" else x * y if operator == "*" else _over(x, y)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _over(x: float, y: float) -> float:
    if y != 0:
        return x / y
    return math.copysign(math.inf, x) * math.copysign(1.0, y) if x and not math.isnan(x) else math.nan


def difference(x: float, y: float) -> float:
    """x - y, 0 within `ROUNDING`; nan of equal infinities, which may be unequal beyond what was measured."""
    gap = x - y
    return 0.0 if math.isfinite(gap) and abs(gap) <= ROUNDING * max(abs(x), abs(y)) else gap


def mean(values: Sequence[float]) -> float:
    """The mean; infinite where some are, nan where they are infinite on both sides."""
    if not all(map(math.isfinite, values)):
        return sum(values) / len(values)
    unit = scale(values)
    return unit * (math.fsum(value / unit for value in values) / len(values))


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half width of the 95 % Student interval of finite numbers of any size; None of a single one."""
    unit = scale(values)
    middle, half = interval([value / unit for value in values])
    return unit * middle, None if half is None else unit * half
