"""What each part of a chip does in a learning step, against time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analogsim.report.style import COLOURS, STYLE, save

Bar = tuple[str, str, float, float]
"""A part of the chip, what it does, start and end in seconds."""

_KINDS = {
    "read": COLOURS[0],
    "decorrelation": COLOURS[3],
    "loss": COLOURS[4],
    "broadcast": COLOURS[6],
    "backward": COLOURS[1],
    "update": COLOURS[5],
    "companion": "#9467bd",
    "write": COLOURS[2],
}
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_LEAST = 1 / 400
"""Of a panel's width: no bar is drawn narrower, and bars join over gaps that are."""


def step_gantt(bars: Iterable[Bar], title: str, files: Sequence[Path]) -> None:
    """Draw a line for each part, in the order in which they are given, and a bar for whatever it does.

    Beside a part's name stands the share of the step in which it works. Where its work is finer than can be drawn, one
    bar stands for it, the paler the less of the time it fills. Where the first samples take less than a fifth of a
    step, a second panel shows them alone.

    Args:
        bars: of one step.
        title: of the figure.
        files: where to save it, .png or .svg.
    """
    given = list(bars)
    parts = list(dict.fromkeys(part for part, *_ in given))
    whole = max((end for *_, end in given), default=0.0)
    first = _FIRST * min((end for _, what, _, end in given if what in ("broadcast", "loss")), default=whole)
    spans = {"first samples": first, "the whole step": whole} if first < whole / 5 else {"": whole}
    busy = {part: sum(end - start for each, _, start, end in given if each == part) for part in parts}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 1.6 + 0.32 * len(parts)), layout="constrained")
        panels = figure.subplots(1, len(spans), sharey=True, squeeze=False)[0]
        for panel, (name, length) in zip(panels, spans.items(), strict=True):
            _draw(panel, given, parts, length)
            panel.set_title(name, fontsize=10, loc="left")
        panels[0].set_yticks(range(len(parts)), [f"{part}, {_share(busy[part], whole)}" for part in parts])
        panels[0].set_ylim(len(parts) - 0.4, -0.6)
        figure.suptitle(title, fontsize=11)
        shown = [kind for kind in _KINDS if any(what == kind for _, what, *_ in given)]
        handles = [Patch(color=_KINDS[kind], label=kind) for kind in shown]
        if handles:
            figure.legend(
                handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2, handlelength=1.2
            )
        save(figure, files)


_FIRST = 3  # times the first loss


def _share(busy: float, whole: float) -> str:
    share = 100 * busy / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 1 or not share else "< 1 %"


def _draw(panel: Axes, bars: Sequence[Bar], parts: Sequence[str], length: float) -> None:
    """What is done in the first `length` seconds."""
    name, unit = next(((name, unit) for name, unit in _UNITS if length >= unit), _UNITS[-1])
    for row, part in enumerate(parts):
        for kind, colour in _KINDS.items():
            own = sorted((start, end) for each, what, start, end in bars if (each, what) == (part, kind))
            shown = _joined([(start, min(end, length)) for start, end in own if start < length], length * _LEAST)
            widths = [(start / unit, (end - start) / unit) for start, end, _ in shown]
            colours = [to_rgba(colour, max(0.15, duty)) for *_, duty in shown]
            panel.broken_barh(widths, (row - 0.38, 0.76), facecolors=colours, linewidth=0)
    panel.set_xlim(0, length / unit if length else 1)
    panel.grid(axis="y", visible=False)
    panel.set_axisbelow(True)
    panel.set_xlabel(f"time, {name}")


def _joined(spans: Sequence[tuple[float, float]], least: float) -> list[tuple[float, float, float]]:
    """Spans in order, as one where the gap between them is at most `least`, each at least as long as that; and the
    share of each that is filled."""
    joined: list[tuple[float, float, float]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= least:
            first, last, busy = joined[-1]
            joined[-1] = (first, max(last, end), busy + end - start)
        else:
            joined.append((start, max(end, start + least), end - start))
    return [
        (start, end, 1.0 if end - start < 1.01 * least else min(1.0, busy / (end - start)))
        for start, end, busy in joined
    ]
