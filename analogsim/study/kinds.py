"""The kinds of scenarios."""

from __future__ import annotations

from analogsim.study.schema import Scenario
from analogsim.study.student_teacher import StudentTeacherScenario

AnyScenario = Scenario | StudentTeacherScenario
"""A scenario of either kind: of chips, or of a linear student and its teacher."""
