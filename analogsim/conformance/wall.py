"""The wall as an import hook: with it, nothing behind the wall can be imported."""

from __future__ import annotations

FORBIDDEN = (
    "analogsim.chip",
    "analogsim.randomness",
    "analogsim.study",
    "analogsim.tasks",
    "device_models",
)
"""What a rule must not know."""


class Wall:
    """Refuses to import what lies behind it; the first entry of `sys.meta_path`."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """None, so that others look for the module.

        Raises:
            ImportError: it lies behind the wall.
        """
        if any(name == each or name.startswith(f"{each}.") for each in FORBIDDEN):
            raise ImportError(f"{name} lies behind the wall between chip and learner")
