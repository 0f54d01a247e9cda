"""What scenarios of every kind have."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from analogsim.claims import Claim
from analogsim.study.section import Section
from analogsim.study.sweep_section import Sweep


class Excerpt(Section):
    """What a run is a part of; written into its resolved scenario by `--quick` and `--arm`."""

    quick: bool = Field(default=False, strict=True)
    """A short look, which decides nothing about claims."""
    left_out: tuple[str, ...] = ()
    """Arms that are not run; claims about them are not judged."""


class ScenarioBase(Section):
    """What scenarios of every kind have, beside arms."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Names the run folder."""
    description: str = ""
    """A sentence or two for people."""
    claims: tuple[Claim, ...] = ()
    """What is claimed of the results, such as a paper's statements; a run tells whether they hold."""
    excerpt: Excerpt = Excerpt()
    """What a run leaves out of the scenario."""
    sweep: Sweep | None = None
    """What `analogsim sweep` makes a study of; a run of the scenario leaves it aside."""
    quick: dict[str, Any] = Field(default_factory=dict)
    """Settings by dotted path that `--quick` puts in place, for a short look."""

    def claims_data(self) -> dict[str, Any]:
        """Claims and excerpt as plain data, where there are any."""
        data: dict[str, Any] = {}
        if self.claims:
            data["claims"] = [claim.model_dump(mode="json", exclude_none=True) for claim in self.claims]
        if self.excerpt != Excerpt():
            data["excerpt"] = self.excerpt.model_dump(mode="json", exclude_defaults=True)
        return data
