"""Draws hiratani.svg and .png from docs/results/hiratani-*.csv, which benchmarks/hiratani.py measures.

Run `python docs/figures/make_hiratani.py`.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from analogsim.report.style import COLOURS, STYLE, save

RESULTS = Path(__file__).parents[1] / "results"
LAST = 30_000
TOP, BOTTOM = 3.0, 1e-7


def table(part: str) -> list[dict[str, str]]:
    """The rows of a CSV by column."""
    with (RESULTS / f"hiratani-{part}.csv").open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def column(rows: list[dict[str, str]], name: str, scale: bool = False) -> np.ndarray:
    """Numbers of a column, nan where there is none; with `scale` what they are logarithms of."""
    values = np.array([float(row[name]) if row[name] else math.nan for row in rows])
    return np.exp(np.minimum(values, 20)) if scale else values


def trajectories(ax: Axes) -> None:
    """Errors at four rates beside three theories."""
    rows = [row for row in table("trajectories") if float(row["step"]) <= LAST]
    for colour, factor in zip(
        (COLOURS[3], COLOURS[0], COLOURS[1], COLOURS[2]), ("0.8", "1.0", "1.2", "1.4"), strict=True
    ):
        own = [row for row in rows if row["rate [eta*]"] == factor]
        steps = column(own, "step") / 1000
        low, high = (column(own, end, True) for end in ("lowest", "highest"))
        high[np.isnan(column(own, "mean"))] = 10 * TOP  # one is over
        ax.fill_between(steps, low, high, color=colour, alpha=0.35, lw=0)
        ax.plot(steps, column(own, "mean", True), color=colour, lw=1.8, label=f"{factor} $\\eta^*$")
        ax.plot(steps, column(own, "finite size", True), color="black", lw=1, ls="--")
        ax.plot(steps, column(own, "mean field", True), color=colour, lw=1, ls=":")
        if factor == "0.8":
            ax.plot(steps, column(own, "two variables", True), color="0.55", lw=1, ls="-.")
    for style, colour, label in (
        ("--", "black", "mean field, complete"),
        (":", "black", "mean field, short form"),
        ("-.", "0.55", "two variables, 0.8 $\\eta^*$"),
    ):
        ax.plot([], [], ls=style, color=colour, lw=1, label=label)
    ax.set(yscale="log", ylim=(BOTTOM, TOP), xlim=(0, LAST / 1000), xlabel="thousand steps")
    ax.set(ylabel="error / first error", title="100-10000-10, no teacher noise")
    ax.legend(fontsize=7.5, loc="lower left")


def noise(ax: Axes) -> None:
    """Errors with teacher noise."""
    rows = table("noise")
    shown = (
        ("rotated", COLOURS[0], "100-10000-10"),
        ("chips", COLOURS[2], "20-200-4 on chips"),
        ("chips, normalised", COLOURS[5], "the same, weights normalised"),
    )
    for runs, colour, label in shown:
        own = [row for row in rows if row["runs"] == runs]
        steps = column(own, "step") / 1000
        ax.fill_between(
            steps, *(column(own, end, True) for end in ("lowest", "highest")), color=colour, alpha=0.3, lw=0
        )
        ax.plot(steps, column(own, "mean", True), color=colour, lw=1.8, label=label)
        if runs == "rotated":
            ax.plot(steps, column(own, "mean field", True), color="black", lw=1, ls="--")
    ax.set(yscale="log", ylim=(0.01, TOP), xlim=(0, 16), xlabel="thousand steps")
    ax.set(title="$\\eta^*$, teacher noise $\\sigma_t^2 = 0.1$")
    ax.legend(fontsize=7.5, loc="lower right")


def width(ax: Axes) -> None:
    """Cosines by width."""
    rows = table("width")
    for layer, colour, label in (("1", COLOURS[0], "hidden layer"), ("2", COLOURS[1], "output layer, 5 units")):
        own = [row for row in rows if row["layer"] == layer]
        widths = column(own, "width")
        ax.plot(widths, column(own, "closed form"), color=colour, lw=1)
        errors = 2 * column(own, "standard error")
        ax.errorbar(widths, column(own, "cosine"), errors, color=colour, fmt="o", ms=3.5, lw=1, label=label)
    widths = np.array([16, 2048])
    ax.plot(widths, widths**-0.5, color="0.5", lw=1, ls="--", label="$1/\\sqrt{L_h}$ (eq. 6)")
    ax.set(xscale="log", yscale="log", xlabel="hidden units $L_h$", title="cosine of update and gradient")
    ax.set_xticks([16, 64, 256, 1024], ["16", "64", "256", "1024"])
    ax.minorticks_off()
    ax.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["0.01", "0.02", "0.05", "0.1", "0.2"])
    ax.legend(fontsize=7.5, loc="lower left")


def main() -> None:
    plt.rcParams |= STYLE | {"font.size": 9, "axes.titlesize": 9.5}
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained", width_ratios=(1.35, 1, 1))
    for draw, ax in zip((trajectories, noise, width), axes, strict=True):
        draw(ax)
    here = Path(__file__)
    save(figure, [here.with_name("hiratani.png"), here.with_name("hiratani.svg")])
    plt.close(figure)


if __name__ == "__main__":
    main()
