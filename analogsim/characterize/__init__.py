"""A device profile as curves that a person can look at, measured on the simulated chip itself.

`characterize` runs the panels of the registry and returns a `Page`, plain data; `draw_page` draws it. Nothing here
evaluates a profile's formulas: devices are fabricated, programmed and read, and what is shown is what came out.
"""

from analogsim.characterize.characterize import characterize
from analogsim.characterize.draw import draw_page
from analogsim.characterize.page import Page

__all__ = ["Page", "characterize", "draw_page"]
