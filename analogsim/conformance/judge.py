"""Which of the checks a rule keeps."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from analogsim.conformance.checks import CHECKS
from analogsim.errors import RuleError
from analogsim.learning import Rule


@dataclass(frozen=True)
class Outcome:
    """Of one check.

    Attributes:
        check: its name.
        says: what it asks, a sentence.
        fault: what is wrong, or None.
        not_asked: why this rule is not asked for it, or None.
    """

    check: str
    says: str
    fault: str | None
    not_asked: str | None = None


def judge(rule: Rule) -> Iterator[Outcome]:
    """Run all checks; an exception of the rule is a fault, and the others are run all the same."""
    for name, check in CHECKS.items():
        says = (inspect.getdoc(check) or "").split("\n\n")[0].replace("\n", " ")
        not_asked = fault = None
        try:
            not_asked = check(rule)
        except RuleError as error:
            fault = str(error)
        except Exception as error:
            fault = f"{type(error).__name__}: {error}{_where(error, rule)}"
        yield Outcome(name, says, fault, not_asked)


def _where(error: Exception, rule: Rule) -> str:
    """The line of the rule's own file in which it was raised, or none."""
    file = inspect.getsourcefile(type(rule))
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({file}:{lines[-1]})" if lines else ""
