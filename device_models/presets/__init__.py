"""Packaged device profiles, one YAML file each."""
