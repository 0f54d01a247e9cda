"""The schema of claims.json: what became of claims."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from analogsim._files import write_text
from analogsim.claims.decide import Word
from analogsim.errors import RunError

Value = Annotated[
    float,
    BeforeValidator(lambda value: float(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else str(value), when_used="json"),
]
"""A number; in JSON, which has no infinite ones, "inf" or "-inf"."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Estimate(_Record):
    """A mean over chips with its 95 % interval (Student's t)."""

    mean: Value | None
    """None: a chip has no value."""
    half: float | None
    """Half the width of the interval; None of one chip, of a number, and where the mean is not finite."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.mean is None or self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        """Upper end."""
        return None if self.mean is None or self.half is None else self.mean + self.half


class Link(_Record):
    """One comparison; a chain has several."""

    statement: str
    """Such as `best(danp.test_accuracy) > best(np.test_accuracy)`."""
    verdict: Word
    why: str = ""
    """Why it is not decided."""
    left: Estimate
    right: Estimate
    """Of `within` the target."""
    difference: Estimate
    """Left minus right, paired by chip."""
    tolerance: Value | None = None
    """Of `within`."""
    chips: int
    """Pairs; a chip that stands at several points of the axes is one, with its mean over them."""
    share: bool
    """Whether the numbers are shares, which read best in percent."""


class Verdict(_Record):
    """What became of a claim."""

    claim: str
    says: str
    paper: str | None = None
    source: str | None = None
    verdict: Word
    why: str = ""
    """Why it is not decided, or was not run."""
    links: tuple[Link, ...] = ()
    """Empty where it was not run."""


class Verdicts(_Record):
    """What claims.json holds."""

    schema_version: Literal[1] = 1
    name: str
    """Of the scenario."""
    quick: bool = False
    """Whether the results are those of a short look, which decides nothing about what is claimed."""
    claims: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The claims that fail."""
        return tuple(verdict for verdict in self.claims if verdict.verdict == "fails")


def write_verdicts(verdicts: Verdicts, path: Path) -> None:
    """Write claims.json, whole or not at all; the same verdicts are the same bytes."""
    write_text(path, json.dumps(verdicts.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_verdicts(path: Path) -> Verdicts:
    """Read claims.json.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return Verdicts.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise RunError(f"{path}: damaged, or of another release") from None
