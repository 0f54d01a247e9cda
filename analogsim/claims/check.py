"""Whether claims fit a scenario, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analogsim.claims.metrics import MORE_IS_BETTER, OF_NETWORK, SHARES
from analogsim.claims.points import axes_called, is_place
from analogsim.claims.tree import Comparison, Number, Quantity, Statement, is_share, quantities


@dataclass(frozen=True)
class Subject:
    """What a scenario has that claims may speak of.

    Attributes:
        arms: by name the axes of the arm's population, by path their places.
        left_out: arms of the scenario that are not run; no more is known of them.
        known: all metrics that could be listed under `train.metrics`.
        measured: those that are.
        depth: layers with weights.
        classes: whether there are accuracies; None: not known yet.
        quick: a short look, which may have fewer points, layers and metrics than claims speak of.
    """

    arms: Mapping[str, Mapping[str, Sequence[Any]]]
    left_out: Sequence[str] = ()
    known: Sequence[str] = ()
    measured: Sequence[str] = ()
    depth: int = 1
    classes: bool | None = None
    quick: bool = False


def faults(tree: Statement, subject: Subject) -> Iterator[str]:
    """Every fault of a claim, `column N: what is wrong; what would be right`."""
    for quantity in quantities(tree):
        yield from _of_quantity(quantity, subject)
    for pair in links(tree):
        for one, other in (pair, pair[::-1]):
            if isinstance(one, Quantity) and is_share(one) and isinstance(other, Number) and other.value > 1:
                yield f"column {one.column}: {one} is a share, at most 1, and never {other}; write {other} %"
    if not subject.quick:
        yield from _of_pairs(tree, subject)


def links(tree: Statement) -> list[tuple[Any, Any]]:
    """The pairs of expressions that are compared."""
    if isinstance(tree, Comparison):
        return list(zip(tree.operands, tree.operands[1:], strict=False))
    return [(tree.x, tree.target)]


def _of_quantity(quantity: Quantity, subject: Subject) -> Iterator[str]:
    here, metric, name = f"column {quantity.column}", quantity.metric, quantity.function
    if quantity.arm not in subject.arms and quantity.arm not in subject.left_out:
        known = ", ".join([*subject.arms, *subject.left_out])
        yield f"column {quantity.arm_column}: there is no arm {quantity.arm!r}; there are {known}"
        return
    if metric is not None and metric not in OF_NETWORK:
        if metric not in subject.known:
            yield f"{here}: no metric is called {metric!r}; choose one of {', '.join((*OF_NETWORK, *subject.known))}"
            return
        if metric not in subject.measured and not subject.quick:
            yield f"{here}: {metric} is not measured; list it under train.metrics"
        if quantity.layer is not None and not subject.quick and not -subject.depth <= quantity.layer < subject.depth:
            yield f"{here}: there is no layer {quantity.layer}; the network has {subject.depth}, numbered from 0"
    if metric == "test_accuracy" and subject.classes is False:
        yield f"{here}: there is no accuracy, because targets are no classes; take test_loss"
    if name in ("best", "reach", "epoch_of_best") and metric not in MORE_IS_BETTER:
        yield f"{here}: whether more of {metric} is better, nobody knows; take least, most, final or at"
    if name == "reach" and quantity.number is not None and metric in SHARES and quantity.number.value > 1:
        yield f"{here}: {metric} is a share, at most 1, and never {quantity.number}; write {quantity.number} %"
    if metric == "train_loss" and (name == "initial" or (quantity.number is not None and quantity.number.value == 0)):
        yield f"{here}: train_loss is a mean since the evaluation before, so the first has none; take test_loss"
    if quantity.arm in subject.arms and not subject.quick:
        yield from _of_point(quantity, subject.arms[quantity.arm])


def _of_point(quantity: Quantity, axes: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    here, arm = f"column {quantity.arm_column}", quantity.arm
    for word, written in quantity.point:
        called = axes_called(word, axes)
        if not called:
            there = f"its axes are {', '.join(axes)}" if axes else "it has no axes"
            yield f"{here}: {arm} has no axis {word}; {there}"
        elif len(called) > 1:
            yield f"{here}: {word} may be {' or '.join(called)}; write more of the path"
        elif not any(is_place(written, place) for place in axes[called[0]]):
            there = ", ".join(str(place) for place in axes[called[0]])
            yield f"{here}: {arm} has no {word} of {written}; there are {there}"
    if len({word for word, _ in quantity.point}) < len(quantity.point):
        yield f"{here}: names each axis once"


def _of_pairs(tree: Statement, subject: Subject) -> Iterator[str]:
    """Sides whose chips have no counterparts on the other."""
    for left, right in links(tree):
        both = [each for side in (left, right) for each in quantities(side) if each.arm in subject.arms]
        for one, other in zip(both[:1] * len(both), both[1:], strict=False):
            a, b = (_left(each, subject.arms[each.arm]) for each in (one, other))
            here = f"column {other.column}"
            for axis in [*(a.keys() - b.keys() - {"seed"}), *(b.keys() - a.keys() - {"seed"})]:
                has, lacks = (one, other) if axis in a else (other, one)
                word, place = axis.rpartition(".")[2], (a if axis in a else b)[axis][0]
                yield (
                    f"{here}: {has} spans the axis {word}, and {lacks} does not; name a point, such as "
                    f"{has.arm}[{word}={place}]"
                )
            for axis in a.keys() & b.keys():
                common = set(map(str, a[axis])) & set(map(str, b[axis]))
                if not common or (axis != "seed" and list(a[axis]) != list(b[axis])):
                    word = axis.rpartition(".")[2]
                    yield f"{here}: {one} and {other} have other values of {word}, so their chips make no pairs"


def _left(quantity: Quantity, axes: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """The axes that a quantity spans; of seeds, which tell chips apart, those that are left."""
    named = {axis: written for word, written in quantity.point for axis in axes_called(word, axes)}
    spans = {axis: places for axis, places in axes.items() if axis not in named}
    if "seed" in named:
        spans["seed"] = [place for place in axes["seed"] if is_place(named["seed"], place)]
    return spans
