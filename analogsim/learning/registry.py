"""Rules by name: a new one of ours is one file and one entry; those of other packages declare themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TypeVar

from analogsim.learning.alignment import DirectFeedbackAlignment, FeedbackAlignment
from analogsim.learning.backpropagation import Backpropagation
from analogsim.learning.covariance_perturbation import CovarianceAwareNodePerturbation
from analogsim.learning.feedback_comparators import Matching, SyntheticGradient
from analogsim.learning.identified_feedback import IdentifiedFeedback
from analogsim.learning.installed import Installed, installed
from analogsim.learning.layerwise_perturbation import LayerwisePerturbation
from analogsim.learning.learned_feedback import LearnedFeedback
from analogsim.learning.perturbation import ActivityNodePerturbation, NodePerturbation
from analogsim.learning.reinforce import Reinforce
from analogsim.learning.rule import Rule
from analogsim.learning.weight_perturbation import SimultaneousPerturbation, WeightPerturbation
from analogsim.port import Access

_T = TypeVar("_T")

_OWN: dict[str, type[Rule]] = {
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


class _Late(Mapping[str, _T]):
    """A mapping that is made when it is first looked at: packages whose rules it holds import this one."""

    def __init__(self, make: Callable[[], Mapping[str, _T]]) -> None:
        self._make = cache(make)

    def __getitem__(self, name: str) -> _T:
        return self._make()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())


@cache
def other_packages() -> Mapping[str, Installed]:
    """Rules of other packages by name.

    Raises:
        RuleError: one cannot be used.
    """
    return installed(_OWN)


RULES: Mapping[str, type[Rule]] = _Late(
    lambda: {**_OWN, **{name: each.kind for name, each in other_packages().items()}}
)
"""Rules by name: ours, then those of other packages."""

DECORRELATED: Mapping[str, str] = _Late(lambda: {f"d{name}": name for name in RULES if f"d{name}" not in RULES})
"""Aliases: a rule with decorrelation. `dfa` is a rule of its own."""


def working_rules(grants: Access) -> list[str]:
    """Names of the rules that, by default settings, work with what is granted."""
    return [name for name, rule in RULES.items() if rule().requires in grants]
