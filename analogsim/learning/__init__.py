"""Learning rules and the controller that runs them. Sees activities and a scalar loss: the wall, nothing behind it."""

from analogsim.learning.controller import Controller
from analogsim.learning.decay import WeightDecay
from analogsim.learning.decorrelation import Decorrelation
from analogsim.learning.normalisation import WeightNormalisation
from analogsim.learning.registry import DECORRELATED, RULES, other_packages, working_rules
from analogsim.learning.rule import Copy, Rule
from analogsim.learning.writing import WritingName

__all__ = [
    "DECORRELATED",
    "RULES",
    "Controller",
    "Copy",
    "Decorrelation",
    "Rule",
    "WeightDecay",
    "WeightNormalisation",
    "WritingName",
    "other_packages",
    "working_rules",
]
