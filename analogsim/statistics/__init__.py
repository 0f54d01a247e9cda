"""Statistics of robustness studies: which rule survives how much noise, and what chance alone would show.

Chips are the units of replication, one number each (an accuracy, say); the mappings below have one entry for each chip,
by a key such as (seed, chip). Rules are compared on the same chips, so by their differences.

>>> scores = {"danp": {(0, 0): 0.95, (0, 1): 0.94, (0, 2): 0.96}, "np": {(0, 0): 0.90, (0, 1): 0.90, (0, 2): 0.89}}
>>> [(each.rank, each.name, each.tied) for each in ranking(scores)]
[(1, 'danp', ()), (2, 'np', ())]
>>> found = window([0.01, 0.1, 1.0], {(0, 0): [0.9, 0.8, 0.4]}, reference=1.0, share=0.6)
>>> found.low.open, found.high.open, round(found.high.noise, 3)
(True, False, 0.316)
"""

from analogsim.statistics.area import area, areas
from analogsim.statistics.compare import Comparison, Ranked, comparisons, ranking
from analogsim.statistics.holm import holm
from analogsim.statistics.intervals import Interval, mean_interval, student, studentised_bootstrap
from analogsim.statistics.paired import differences, p_value
from analogsim.statistics.rank import Correlation, rank_correlation
from analogsim.statistics.window import Bounds, End, Window, window

__all__ = [
    "Bounds",
    "Comparison",
    "Correlation",
    "End",
    "Interval",
    "Ranked",
    "Window",
    "area",
    "areas",
    "comparisons",
    "differences",
    "holm",
    "mean_interval",
    "p_value",
    "rank_correlation",
    "ranking",
    "student",
    "studentised_bootstrap",
    "window",
]
