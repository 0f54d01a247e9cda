"""Packaged scenarios, one YAML file each: what `analogsim run NAME` finds by name."""
