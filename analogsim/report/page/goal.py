"""What rules are measured by: a share of what digital backpropagation reaches on the same network and data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes

from analogsim.report.page.cells import Device
from analogsim.report.page.estimate import Scores
from analogsim.report.page.figure import Entry, line_entry
from analogsim.report.page.tones import INK, Line
from analogsim.report.page.view import View

FULL: Line = (0.0, (1.0, 1.0))
SHARE: Line = (0.0, (5.0, 2.0))
"""Lines of the reference, and of the share of it."""

REFERENCE = "digital BP"


def goal(view: View, reference: float) -> float:
    """What a rule is to reach: a share of the reference's accuracy, or a loss that is as many times larger."""
    return view.plan.share * reference if view.accurate else reference / view.plan.share


def goal_said(view: View, reference: str = "") -> str:
    """`90 % of digital BP`, `90 % of digital BP's accuracy (97.1 %)`; of losses `1.11 × digital BP's loss (0.100)`."""
    if not view.accurate:
        return f"{1 / view.plan.share:.3g}\u00a0× {REFERENCE}'s loss{f' ({reference})' if reference else ''}"
    whose = f"{REFERENCE}'s accuracy ({reference})" if reference else REFERENCE
    return f"{100 * view.plan.share:g}\u00a0% of {whose}"


def finite_reference(view: View, device: Device) -> float | None:
    """What the reference reaches on a device's network and data; None where there is nothing to compare with."""
    found = view.reference(device)
    return found.score.mean if found is not None and math.isfinite(found.score.mean) else None


def draw_goal(panel: Axes, view: View, device: Device, across: Literal["x", "y"]) -> None:
    """Lines at the reference and at the share of it, across an axis of scores."""
    reference = finite_reference(view, device)
    if reference is None:
        return
    line = panel.axhline if across == "y" else panel.axvline
    factor = Scores(view.accurate).factor
    line(factor * reference, color=INK, linewidth=1.0, linestyle=FULL)
    line(factor * goal(view, reference), color=INK, linewidth=0.9, linestyle=SHARE)


def goal_entries(view: View, devices: Sequence[Device], prefix: str) -> list[Entry]:
    """The legend of both lines, where there are any."""
    if all(finite_reference(view, device) is None for device in devices):
        return []
    return [
        line_entry(f"{prefix}-full", REFERENCE, FULL),
        line_entry(f"{prefix}-share", goal_said(view), SHARE),
    ]
