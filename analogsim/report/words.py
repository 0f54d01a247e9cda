"""What reports call things: chips that learn for epochs, or runs of a linear problem that learn for steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analogsim.results import Result


@dataclass(frozen=True)
class Words:
    """Words of a kind of scenario.

    Attributes:
        copies: what an arm has several of.
        time: what evaluations count.
        accuracy, loss: what they measure.
        whose: whose numbers a table shows.
    """

    copies: str
    time: str
    accuracy: str
    loss: str
    whose: str


_WORDS = {
    "chips": Words(
        "chips", "epochs", "test accuracy of the noisy chip, %", "test loss of the noisy chip", "the chips as deployed"
    ),
    "student_teacher": Words("runs", "steps", "", "error of the student, ||W2 W1 - A||² / (Lx Ly)", "the students"),
}


def words(result: Result) -> Words:
    """The words of a result's kind."""
    return _WORDS[result.kind]


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join(each for each in (", ".join(words[:-1]), words[-1]) if each) if words else ""
