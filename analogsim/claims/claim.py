"""A claim as a scenario states it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from analogsim.claims.parser import parse
from analogsim.claims.tree import Statement


class Claim(BaseModel):
    """What is claimed of a scenario's results, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    claim: str
    """The statement that is judged, such as `best(danp.test_accuracy) > best(np.test_accuracy)`."""
    says: str = Field(min_length=1)
    """The same in a sentence, for people."""
    paper: str | None = None
    """The figure that was published, such as `44.4 against 28.1 %`."""
    source: str | None = None
    """Where it stands, such as `Dalm et al., Table 3`."""

    @field_validator("claim", mode="after")
    @classmethod
    def _readable(cls, text: str) -> str:
        parse(text)
        return " ".join(text.split())

    @property
    def tree(self) -> Statement:
        """The statement, read."""
        return parse(self.claim)
