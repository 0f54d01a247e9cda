"""From a lab's own measurements to a device profile: `fit_profile`."""

from device_models.fit.measured import Measured, fit_profile
from device_models.fit.result import Candidate, Check, Estimate, Fit
from device_models.fit.tables import Table, read_table

__all__ = ["Candidate", "Check", "Estimate", "Fit", "Measured", "Table", "fit_profile", "read_table"]
