"""Rules by name. A new rule is one file and one entry."""

from __future__ import annotations

from analogsim.learning.alignment import DirectFeedbackAlignment, FeedbackAlignment
from analogsim.learning.backpropagation import Backpropagation
from analogsim.learning.covariance_perturbation import CovarianceAwareNodePerturbation
from analogsim.learning.feedback_comparators import Matching, SyntheticGradient
from analogsim.learning.identified_feedback import IdentifiedFeedback
from analogsim.learning.layerwise_perturbation import LayerwisePerturbation
from analogsim.learning.learned_feedback import LearnedFeedback
from analogsim.learning.perturbation import ActivityNodePerturbation, NodePerturbation
from analogsim.learning.reinforce import Reinforce
from analogsim.learning.rule import Rule
from analogsim.learning.weight_perturbation import SimultaneousPerturbation, WeightPerturbation
from analogsim.port import Access

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        Backpropagation,
        FeedbackAlignment,
        DirectFeedbackAlignment,
        LearnedFeedback,
        SyntheticGradient,
        Matching,
        Reinforce,
        NodePerturbation,
        LayerwisePerturbation,
        ActivityNodePerturbation,
        CovarianceAwareNodePerturbation,
        WeightPerturbation,
        SimultaneousPerturbation,
        IdentifiedFeedback,
    )
}

DECORRELATED = {f"d{name}": name for name in RULES if f"d{name}" not in RULES}
"""Aliases: a rule with decorrelation. `dfa` is a rule of its own."""


def working_rules(grants: Access) -> list[str]:
    """Names of the rules that, by default settings, work with what is granted."""
    return [name for name, rule in RULES.items() if rule().requires in grants]
