"""Claims about results: statements such as `best(danp.test_accuracy) > best(np.test_accuracy)`, and their verdicts."""

from analogsim.claims.check import Subject, faults
from analogsim.claims.claim import Claim
from analogsim.claims.judge import judge
from analogsim.claims.parser import parse
from analogsim.claims.verdict import Estimate, Link, Verdict, Verdicts, read_verdicts, write_verdicts

__all__ = [
    "Claim",
    "Estimate",
    "Link",
    "Subject",
    "Verdict",
    "Verdicts",
    "faults",
    "judge",
    "parse",
    "read_verdicts",
    "write_verdicts",
]
