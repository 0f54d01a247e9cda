"""A figure of every fit: data against model, and residuals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from device_models.fit.result import Fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(fits: Sequence[Fit], title: str, colours: Sequence[str]) -> Figure:
    """One row for each fit: data with the model's centre and band, then standardised residuals.

    Args:
        title: of the figure.
        colours: of data and model.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = [fit for fit in fits if fit.picture is not None]
    figure = Figure(figsize=(9.6, 0.5 + 3.4 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(3, 2))
    for (left, right), fit in zip(panels, shown, strict=True):
        picture = fit.picture
        assert picture is not None
        size = 14 if len(picture.x) < 200 else 5
        left.fill_between(
            picture.line, picture.low, picture.high, color=colours[1], alpha=0.25, linewidth=0, label=picture.band
        )
        left.plot(picture.line, picture.centre, color=colours[1], label="model")
        left.scatter(
            picture.x, picture.y, s=size, color=colours[0], alpha=0.7, linewidths=0, label="measured", rasterized=True
        )
        right.axhspan(-1.96, 1.96, color=colours[1], alpha=0.15, linewidth=0)
        right.axhline(0, color=colours[1], linewidth=1)
        right.scatter(picture.x, picture.residuals, s=size, color=colours[0], alpha=0.7, linewidths=0, rasterized=True)
        for panel in (left, right):
            panel.set_xlabel(picture.x_label)
            if picture.log_x and np.min(picture.x) > 0:
                panel.set_xscale("log")
                panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                panel.xaxis.set_minor_formatter(NullFormatter())
        if picture.log_y:
            left.set_yscale("log")
        left.set_ylabel(picture.y_label)
        right.set_ylabel("residual, standard deviations")
        named = "\n".join(textwrap.wrap(fit.model, 70))
        count = f"{fit.points} points" + (f", {fit.devices} devices" if fit.devices else "")
        left.set_title(f"{fit.part} ({count})\n{named}", loc="left", fontsize=9)
        left.legend(fontsize=7, loc="best")
    figure.suptitle(title, fontsize=11)
    return figure
