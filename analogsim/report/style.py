"""What all figures share: colours, style, and files that appear whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim._files import part_of

COLOURS = ("#4053d3", "#ddb310", "#b51d14", "#00beff", "#fb49b0", "#00b25d", "#6e6e6e")
"""Seven colours that differ for colour-blind readers too (M. Krzywinski's palette)."""

STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 10,
    "legend.frameon": False,
    "svg.hashsalt": "analogsim",
    "svg.fonttype": "none",
}


def legend_below(figure: Figure, panels: Iterable[Axes]) -> None:
    """One legend for all panels, below them, in as many columns as the figure is wide enough for."""
    shown = {title: line for panel in panels for line, title in zip(*panel.get_legend_handles_labels(), strict=True)}
    if shown:
        fit = int(10 * figure.get_figwidth() / (max(map(len, shown)) + 6))  # characters of an inch
        columns = max(1, min(5, len(shown), fit))
        figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=columns)


def within_percent(panel: Axes) -> None:
    """Cut an axis of percentages at what there can be: intervals of few chips reach beyond."""
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, -2), min(high, 102))


def save(figure: Figure, files: Sequence[Path], dpi: int = 150) -> None:
    """Save a figure under several names, by whose endings (.png, .svg) its formats go; each file appears whole."""
    for file in files:
        file.parent.mkdir(exist_ok=True)
        with part_of(file) as part:
            if file.suffix == ".svg":
                figure.savefig(part, format="svg", metadata={"Date": None})
            else:
                figure.savefig(part, format="png", dpi=dpi)
