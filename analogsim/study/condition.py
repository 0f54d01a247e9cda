"""Condition: a measured number and a threshold, on which events of a timeline wait."""

from __future__ import annotations

import math
import operator
import re
from typing import Any, NamedTuple

_CONDITION = re.compile(r"^\s*(\w+)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*(%?)\s*$")
_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MEASURED_BY = {"accuracy": "evaluate", "loss": "evaluate", "self_test": "self_test"}
"""Which event measures a metric."""


class Condition(NamedTuple):
    """A measured number and a threshold.

    Attributes:
        metric: `accuracy`, `loss` or `self_test`.
        sign: `<`, `<=`, `>` or `>=`.
        threshold: what it is compared with.
    """

    metric: str
    sign: str
    threshold: float

    @classmethod
    def parse(cls, text: Any) -> Condition:
        """`accuracy < 0.95` or `accuracy < 95 %`.

        Raises:
            ValueError: it is none, or names a metric that does not exist.
        """
        if isinstance(text, Condition):
            return text
        found = _CONDITION.match(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f"not a condition (got {text!r}); write for example 'accuracy < 0.95'")
        metric, sign, number, percent = found.groups()
        if metric not in MEASURED_BY:
            raise ValueError(f"no metric is called {metric!r}; choose one of {', '.join(MEASURED_BY)} (got {text!r})")
        try:
            threshold = float(number) / (100 if percent else 1)
        except ValueError:
            threshold = math.nan
        if not math.isfinite(threshold):
            raise ValueError(f"{number!r} is not a finite number (got {text!r})")
        if metric != "loss" and threshold > 1:
            raise ValueError(f"{metric} is a share, from 0 to 1 or in percent (got {text!r}); write {number} % perhaps")
        return cls(metric, sign, threshold)

    def holds(self, value: float) -> bool:
        """Whether it is true of a number; nan counts as the worst of accuracies and losses."""
        if math.isnan(value):
            return self.sign.startswith("<") == (self.metric != "loss")
        return _SIGNS[self.sign](value, self.threshold)

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.threshold!r}"
