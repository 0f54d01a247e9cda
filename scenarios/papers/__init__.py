"""Experiments of the papers, one YAML file for each figure or table: `analogsim run papers/NAME`."""
