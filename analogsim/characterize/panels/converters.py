"""Converters: from the input of a column's rows to its digitised output, and the same near zero."""

from __future__ import annotations

import numpy as np

from analogsim.characterize.lab import CHAIN, Lab
from analogsim.characterize.page import Absent, Array, Axis, Line, Panel, Trace, spread

_ROWS = 64
_READS = 200
_POINTS = 241
_BEYOND = 1.3  # of full scale
_FULL = 1.25  # of the ADC's range, reached by a full-scale input
_STEPS = 3.5  # of the coarser converter, shown near zero


def transfer(lab: Lab) -> Panel | Absent:
    """Over the whole range of inputs, and beyond it."""
    profile = lab.profile
    if all(getattr(profile, field) is None for field in CHAIN):
        return Absent("No converters: inputs and outputs are exact, columns without noise of their own.")
    limit = _BEYOND * _full_scale(lab)
    x, traces = _swept(lab, limit)
    return Panel(
        "A column: input to output",
        Axis("input of every row", limits=(-limit, limit)),
        Axis(_output(lab), limits=_widened(x * _gain(lab))),
        traces,
        f"{_ROWS} rows driven alike, devices at half range; {_READS} reads",
    )


def staircase(lab: Lab) -> Panel | Absent:
    """Near zero, where the steps can be seen."""
    profile, gain = lab.profile, _gain(lab)
    steps = [] if profile.dac is None else [profile.dac.step]
    steps += [] if profile.adc is None or profile.adc.range == "calibrated" else [profile.adc.step / gain]
    if not steps:
        return Absent("")
    limit = min(_STEPS * max(steps), _full_scale(lab))
    _, traces = _swept(lab, limit)
    return Panel(
        "The same, near zero",
        Axis("input of every row", limits=(-limit, limit)),
        Axis(_output(lab)),
        traces,
        f"mean and 5-95 % of {_READS} reads",
    )


def _swept(lab: Lab, limit: float) -> tuple[Array, tuple[Trace, ...]]:
    x, gain = np.linspace(-limit, limit, _POINTS), _gain(lab)
    levels, outputs = lab.column(np.full(_ROWS, gain / _ROWS), x, _READS)
    band, _ = spread(x, outputs.T, "", 0)
    return x, (
        band,
        Line(x, x * gain, "exact", None, "dashed"),
        Line(x, levels * gain, "driven level x weights", 1, "steps"),
        Line(x, outputs.mean(axis=0), "output", 0, "steps"),
    )


def _output(lab: Lab) -> str:
    return "output" if lab.profile.adc is None else "digitised output"


def _full_scale(lab: Lab) -> float:
    return 1.0 if lab.profile.dac is None else lab.profile.dac.range


def _gain(lab: Lab) -> float:
    """Sum of the column's weights: a full-scale input then exceeds the range of the ADC.

    Inputs that are all scaled to full scale stay within it instead.
    """
    adc, dac = lab.profile.adc, lab.profile.dac
    full = 1 / _FULL if dac is not None and dac.scaling == "per_vector" else _FULL
    return (1.0 if adc is None or adc.range == "calibrated" else full * adc.range) / _full_scale(lab)


def _widened(y: Array) -> tuple[float, float]:
    return float(y.min()) * 0.9, float(y.max()) * 0.9
