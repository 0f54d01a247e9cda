"""What came of a study, as those see it who read its folder: the plan, where its jobs stand, and a tidy table.

Imports nothing of the simulator, so a study can be read where it cannot be run.
"""

from analogsim.outcomes.folder import Failure, JobState, StudyFolder
from analogsim.outcomes.plan import PLAN_VERSION, Axis, Drawn, Job, Plan, read_plan, write_plan
from analogsim.outcomes.tidy import Outcome, columns, outcomes, write_csv
from analogsim.outcomes.verdicts import PlaceVerdict, StudyVerdicts, verdicts_of

__all__ = [
    "PLAN_VERSION",
    "Axis",
    "Drawn",
    "Failure",
    "Job",
    "JobState",
    "Outcome",
    "PlaceVerdict",
    "Plan",
    "StudyFolder",
    "StudyVerdicts",
    "columns",
    "outcomes",
    "read_plan",
    "verdicts_of",
    "write_csv",
    "write_plan",
]
