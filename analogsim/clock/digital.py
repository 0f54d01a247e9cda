"""Digital: arithmetic operations of the periphery. A multiply-add is two; each sum, product, quotient, root is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analogsim.network import Layer

_PER_WEIGHT = {
    "adadelta": 16,
    "adagrad": 7,
    "adam": 12,
    "adamax": 10,
    "adamw": 13,
    "in_memory": 0,
    "mixed_precision": 6,
    "nadam": 14,
    "radam": 12,
    "rmsprop": 9,
    "sgd": 2,
}
"""Of one weight in one step, with what is the same for all weights (corrections of bias) folded into scalars.

sgd: w - lr g. adam: two moments (3 and 4), then root, + eps, quotient, product, difference (D. Kingma, J. Ba, "Adam",
ICLR 2015, section 2: the order that saves an operation); adamw one product more. adagrad: g^2 added (2), then those
five; rmsprop a mean in its place (4). adamax: a moment (3), a product, |g| + eps and a maximum (4), and the step (3).
nadam: adam with c g + d m for m (2 more). adadelta: two means of squares (8), two roots of sums, quotient, product (6),
the step (2). mixed_precision: chi + lr g (2), then quotient, whole part, product, difference (4). in_memory: none,
devices do it.
"""


def optimizer_operations(name: str, options: Mapping[str, Any] | None = None) -> int:
    """Arithmetic operations of one weight in one step of an optimiser.

    Args:
        name: as scenarios call it.
        options: its settings: `momentum`, and a `weight_decay` that is not part of it by itself, are 2 more each.

    Raises:
        ValueError: no such optimiser.
    """
    if name not in _PER_WEIGHT:
        raise ValueError(f"no such optimiser; known are {', '.join(_PER_WEIGHT)} (got {name!r})")
    given = options or {}
    more = bool(given.get("momentum")) + (bool(given.get("weight_decay")) and name != "adamw")
    return _PER_WEIGHT[name] + 2 * more


def operations_behind(layer: Layer) -> int:
    """Arithmetic operations of one sample behind a layer's pre-activations: its function, and what comes after."""
    count, total = layer.units, layer.units * layer.activation.digital_operations
    for operation in layer.after:
        total += operation.digital_operations(count)
        count = operation.results(count)
    return total
