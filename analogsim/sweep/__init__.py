"""Studies: a scenario at every point of its axes, as jobs for processes or a cluster."""
