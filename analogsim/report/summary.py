"""Summaries of results: one row for each arm at each point of the population's axes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analogsim.results import ArmResult, ChipResult, Metrics, Result, interval


@dataclass(frozen=True)
class Row:
    """An arm at a point; accuracies are means over chips with the half width of their 95 % interval.

    Attributes:
        arm: its name.
        oracle: what it used beyond the hardware's grants.
        marks: what makes it a comparison: `oracle`, `ex situ`.
        point: place on the axes, the chip's number aside.
        chips, diverged: number of chips, and of those that were frozen.
        final, best: test accuracy at the end, and mean of each chip's best.
        loss: test loss at the end.
        passes_per_step: forward passes.
        silent: share of batch elements that held no information.
        saturated: share of weights at the end of their range.
    """

    arm: str
    oracle: tuple[str, ...]
    marks: tuple[str, ...]
    point: dict[str, Any]
    chips: int
    diverged: int
    final: tuple[float, float | None]
    best: tuple[float, float | None]
    loss: tuple[float, float | None]
    passes_per_step: int
    silent: float
    saturated: float


def rows(result: Result) -> list[Row]:
    """All rows of a result, arm by arm."""
    return [_row(name, arm, point, chips) for name, arm in result.arms.items() for point, chips in points(arm)]


def classified(result: Result) -> bool:
    """Whether the result has accuracies; otherwise arms are compared by their losses."""
    return any(chip.best.test_accuracy is not None for arm in result.arms.values() for chip in arm.chips)


def score(metrics: Metrics, accurate: bool) -> float:
    """The test accuracy of an evaluation, or its test loss; one that is not finite counts as 0, or as infinite.

    Args:
        metrics: of a chip.
        accurate: whether accuracies are compared, as `classified` says.
    """
    if accurate:
        return metrics.test_accuracy or 0.0
    return math.inf if metrics.test_loss is None else metrics.test_loss


@dataclass(frozen=True)
class Standing:
    """A family's best arm at a point, and how far it is from the leader there.

    Attributes:
        family: its name; of an arm that is in none, the arm's own.
        arm: the arm with the highest mean final accuracy; where there are none, with the lowest loss, and so below.
        marks: what makes it a comparison: `oracle`, `ex situ`.
        lr: its learning rate.
        final: mean and half width of the 95 % interval of its final accuracy.
        behind: mean and half width of the 95 % interval of the leader's accuracy minus its own, paired by chip; None
            for the leader, for those with a mark, and where the loss of a chip of a pair is not finite.
        leads: whether it is the leader: the best of those without a mark, unless all of them have a loss that is not
            finite.
    """

    family: str
    arm: str
    marks: tuple[str, ...]
    lr: float
    final: tuple[float, float | None]
    behind: tuple[float, float | None] | None
    leads: bool


def standings(result: Result) -> list[tuple[dict[str, Any], list[Standing]]]:
    """For each point of any arm's axes the best arm of each family that has chips there, in the scenario's order.

    The best setting of a family is chosen by the very accuracies that are shown, which favours families with many
    settings.
    """
    table: list[tuple[dict[str, Any], list[Standing]]] = []
    rank = _accuracy if classified(result) else _negative_loss
    for point in all_points(result):
        best: dict[str, tuple[str, list[ChipResult]]] = {}
        for name, arm in result.arms.items():
            chips = next((chips for place, chips in points(arm) if place == point), None)
            family = arm.family or name
            if chips and (family not in best or rank(chips) > rank(best[family][1])):
                best[family] = (name, chips)
        honest = [chips for name, chips in best.values() if not result.arms[name].marks]
        leader = max(honest, key=rank, default=None)
        if leader is not None and not math.isfinite(rank(leader)):
            leader = None
        table.append((point, [_standing(result, family, *found, leader) for family, found in best.items()]))
    return table


def _standing(
    result: Result, family: str, name: str, chips: list[ChipResult], leader: list[ChipResult] | None
) -> Standing:
    marks, accurate = result.arms[name].marks, classified(result)
    behind = None
    if leader is not None and leader is not chips and not marks and len(leader) == len(chips):
        pairs = zip(leader, chips, strict=True)
        rank = _accuracy if accurate else _negative_loss
        differences = [rank([a]) - rank([b]) for a, b in pairs]
        behind = interval(differences) if all(map(math.isfinite, differences)) else None
    final = _mean([c.final.test_accuracy if accurate else c.final.test_loss for c in chips])
    return Standing(family, name, marks, chips[0].lr, final, behind, leads=leader is chips)


def _accuracy(chips: Sequence[ChipResult]) -> float:
    return sum(score(chip.final, accurate=True) for chip in chips) / len(chips)


def _negative_loss(chips: Sequence[ChipResult]) -> float:
    return -sum(score(chip.final, accurate=False) for chip in chips) / len(chips)


def points(arm: ArmResult) -> list[tuple[dict[str, Any], list[ChipResult]]]:
    """The chips of each point of the axes, in order."""
    groups: dict[str, tuple[dict[str, Any], list[ChipResult]]] = {}
    for chip in arm.chips:
        point = {axis: place for axis, place in chip.coordinates.items() if axis != "chip"}
        groups.setdefault(repr(point), (point, []))[1].append(chip)
    return list(groups.values())


def all_points(result: Result) -> list[dict[str, Any]]:
    """The points of all arms, each once, in the order in which the arms have them."""
    found: list[dict[str, Any]] = []
    for arm in result.arms.values():
        found += [point for point, _ in points(arm) if point not in found]
    return found


def axis_label(axis: str) -> str:
    """`chip.profile.read_noise.0.sigma` -> `read noise sigma`; of a layer `layer 1 read noise sigma`."""
    layer = re.match(r"chip\.layers\.(\d+)\.(?:profile|overrides)\.", axis)
    rest = axis[layer.end() :] if layer else axis.removeprefix("chip.profile.")
    words = [*(("layer", layer[1]) if layer else ()), *(word for word in rest.split(".") if not word.isdigit())]
    return " ".join(words).replace("_", " ")


def point_label(point: dict[str, Any]) -> str:
    """`read noise sigma 1 %, lr 0.001`; empty where there are no axes."""
    return ", ".join(f"{axis_label(axis)} {place}" for axis, place in point.items())


def _row(name: str, arm: ArmResult, point: dict[str, Any], chips: Sequence[ChipResult]) -> Row:
    vectors = sum(chip.counts.vectors for chip in chips)
    return Row(
        arm=name,
        oracle=arm.oracle,
        marks=arm.marks,
        point=point,
        chips=len(chips),
        diverged=sum(chip.status == "diverged" for chip in chips),
        final=_mean([chip.final.test_accuracy for chip in chips]),
        best=_mean([chip.best.test_accuracy for chip in chips]),
        loss=_mean([chip.final.test_loss for chip in chips]),
        passes_per_step=arm.passes_per_step,
        silent=sum(chip.counts.silent for chip in chips) / max(1, vectors),
        saturated=sum(chip.counts.saturated for chip in chips) / len(chips),
    )


def _mean(values: Sequence[float | None]) -> tuple[float, float | None]:
    """Mean and interval; nan where any value was not finite."""
    known = [value for value in values if value is not None]
    return interval(known) if len(known) == len(values) else (float("nan"), None)
