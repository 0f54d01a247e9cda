"""Colours of a page: the project's palette, made readable on a light and on a dark ground."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.colors import to_hex, to_rgb

from analogsim.report.style import COLOURS

INK = "#010203"
"""What stands in figures for the colour of the page's text."""

GROUND = "#fdfeff"
"""What stands for the colour of the page's ground, which hollow marks are filled with."""

VARIABLES = {
    INK: "currentColor",
    GROUND: "var(--ground)",
    **{colour: f"var(--c{index})" for index, colour in enumerate(COLOURS)},
}
"""What the page puts in place of each colour of a figure."""

LIGHT, DARK = "#ffffff", "#16191f"
"""Grounds of figures."""
CONTRAST = {LIGHT: 3.0, DARK: 4.5}
"""Of lines with their ground, at least: 3 is what WCAG 2.1 asks for (1.4.11); thin lines on a dark ground need more."""

_MARKERS = "os^DvPX"
Line = str | tuple[float, tuple[float, ...]]
"""A line's style, as matplotlib has it."""

_LINES: tuple[Line, ...] = ("-", (0, (1, 1.2)), (0, (5, 1, 1, 1)))
_DASHES: Line = (0.0, (4.0, 2.0))


class Look(NamedTuple):
    """How a rule is drawn.

    Attributes:
        colour: of the palette.
        marker: one of seven.
        line: solid, and other lines where colours begin again; dashes are for comparisons.
    """

    colour: str
    marker: str
    line: Line


def look(index: int, candidate: bool) -> Look:
    """Of the candidate, or of the comparison, with a number from 0: comparisons take colours from the other end."""
    turn, colour = divmod(index, len(COLOURS))
    if candidate:
        return Look(COLOURS[colour], _MARKERS[(colour + 2 * turn) % len(_MARKERS)], _LINES[turn % len(_LINES)])
    return Look(COLOURS[-1 - colour], _MARKERS[(turn - 1 - colour) % len(_MARKERS)], _DASHES)


def contrast(first: str, second: str) -> float:
    """Of two colours, 1 to 21 (WCAG 2.1)."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def readable(colour: str, ground: str) -> str:
    """A colour, as far towards black or white as it takes to stand out from LIGHT or DARK."""
    towards = 0.0 if _luminance(ground) > 0.5 else 1.0
    for step in range(101):
        part = step / 100
        red, green, blue = ((1 - part) * each + part * towards for each in to_rgb(colour))
        mixed = to_hex((red, green, blue))
        if contrast(mixed, ground) >= CONTRAST[ground]:
            return mixed
    raise AssertionError("black and white stand out from any ground")


def palette(ground: str) -> dict[str, str]:
    """CSS variables of the palette on a ground."""
    return {f"--c{index}": readable(colour, ground) for index, colour in enumerate(COLOURS)}
