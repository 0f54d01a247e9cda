"""What a scenario varies to no effect because its clock stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analogsim.study.schema import Scenario


def timeless(scenario: Scenario, paths: Iterable[str]) -> Iterator[str]:
    """Sentences about settings of drift that differ from chip to chip, or from place to place, where no time passes.

    Args:
        scenario: resolved.
        paths: of the settings that differ.
    """
    if scenario.train.step_time > 0 or scenario.timeline or any(arm.timeline for arm in scenario.arms.values()):
        return
    for path in paths:
        if "drift" in path.split("."):
            yield (
                f"{path}: drift does nothing here, for no time passes: "
                "set train.step_time for drift during learning, or give a timeline for drift afterwards"
            )
