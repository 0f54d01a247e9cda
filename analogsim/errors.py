"""The exceptions that a caller may want to catch.

AnalogsimError (Exception)
├── ScenarioError    a scenario that cannot be used
├── AccessError      a learner asks for more than the hardware grants
├── ClaimError       a claim that cannot be read
├── RuleError        a rule that cannot be used
├── DataError        a data set that is missing or damaged
└── RunError         a run folder that cannot be written or read
    ├── BusyError          another process works on it
    ├── OtherVersionError  another release wrote it
    └── StorageError       its disk is full, or takes nothing any more
ProfileError (ValueError), of `device_models`: a device profile that cannot be used

Their messages are complete sentences for the person at the keyboard: where, what is wrong, what would be right.
"""


class AnalogsimError(Exception):
    """Base of all errors that analogsim raises on purpose."""


class ScenarioError(AnalogsimError):
    """A scenario that cannot be used."""


class AccessError(AnalogsimError):
    """A learner asks for more than the hardware grants, or for derivatives that a network does not have."""


class ClaimError(AnalogsimError, ValueError):
    """A claim that cannot be read; a ValueError, too, so that it is told with its path in a scenario."""


class RuleError(AnalogsimError):
    """A rule of another package that cannot be used, or one that breaks what every rule must keep."""


class DataError(AnalogsimError):
    """A data set that is missing or damaged."""


class RunError(AnalogsimError):
    """A run folder that cannot be written or read."""


class BusyError(RunError):
    """A folder that another process works on."""


class OtherVersionError(RunError):
    """A file that another release wrote."""


class StorageError(RunError):
    """A disk that takes nothing any more; what was written before is kept."""
