"""What came of a study, as those see it who read its folder: the plan, where its jobs stand, and a tidy table.

Imports nothing of the simulator, so a study can be read where it cannot be run.
"""

from analogsim.outcomes.folder import Failure, JobState, StudyFolder
from analogsim.outcomes.plan import PLAN_VERSION, Axis, Drawn, Job, Plan, read_plan, write_plan
from analogsim.outcomes.tidy import Outcome, columns, outcomes, write_csv

__all__ = [
    "PLAN_VERSION",
    "Axis",
    "Drawn",
    "Failure",
    "Job",
    "JobState",
    "Outcome",
    "Plan",
    "StudyFolder",
    "columns",
    "outcomes",
    "read_plan",
    "write_csv",
    "write_plan",
]
