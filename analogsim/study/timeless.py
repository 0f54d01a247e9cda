"""What a scenario varies to no effect because its clock stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analogsim.study.schema import Scenario


def stands_still(scenario: Scenario) -> bool:
    """Whether no time passes for any of a scenario's chips, neither while they learn nor afterwards."""
    events = bool(scenario.timeline) or any(arm.timeline for arm in scenario.arms.values())
    return scenario.train.step_time == 0 and not events


def timeless(paths: Iterable[str]) -> Iterator[str]:
    """Sentences about settings of drift that differ from chip to chip, or from place to place, where no time passes.

    Args:
        paths: of the settings that differ.
    """
    for path in paths:
        if "drift" in path.split("."):
            yield (
                f"{path}: drift does nothing here, for no time passes: "
                "set train.step_time for drift during learning, or give a timeline for drift afterwards"
            )
